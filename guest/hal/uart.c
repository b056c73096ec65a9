/* SPDX-License-Identifier: Apache-2.0 */
/* Two 16550 ports: COM1 for people, COM2 for frames. Sending polls; receiving is by interrupt, read out here. */
#include "hal.h"

#include "regs.h"

VOID uart_initialize(USHORT port, UCHAR fifo_control) {
    __outbyte(port + UART_IER, 0);
    __outbyte(port + UART_LCR, 0x80); /* divisor latch */
    __outbyte(port + UART_DATA, 1);   /* 115200 baud */
    __outbyte(port + UART_IER, 0);
    __outbyte(port + UART_LCR, 0x03); /* 8 data bits, no parity, 1 stop bit */
    __outbyte(port + UART_FCR, fifo_control);
    __outbyte(port + UART_MCR, UART_MCR_ON);
}

VOID uart_listen(USHORT port) {
    __outbyte(port + UART_IER, UART_IER_RECEIVE);
}

VOID uart_write(USHORT port, const UCHAR *bytes, ULONG count) {
    ULONG room = 0;
    for (ULONG i = 0; i < count; i++) {
        if (room == 0) {
            while ((__inbyte(port + UART_LSR) & UART_LSR_EMPTY) == 0) {
                _mm_pause();
            }
            room = UART_FIFO_BYTES;
        }
        __outbyte(port + UART_DATA, bytes[i]);
        room--;
    }
}

BOOLEAN uart_read(USHORT port, UCHAR *byte) {
    if ((__inbyte(port + UART_LSR) & UART_LSR_DATA) == 0) {
        return FALSE;
    }
    *byte = __inbyte(port + UART_DATA);
    return TRUE;
}
