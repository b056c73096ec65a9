/* SPDX-License-Identifier: Apache-2.0 */
/* The console's input: COM1's interrupt fills a ring, the boot CPU's loop edits lines out of it and echoes. */
#include "monitor.h"

#include "../hal/hal.h"
#include "../hal/regs.h"
#include "../ke/ki.h"

#define INPUT_BYTES 1024
#define LINE_BYTES  256

/* One producer (the interrupt), one consumer (the loop), on the same CPU: the indices need no more than single stores. */
static UCHAR ConsoleRing[INPUT_BYTES];
static volatile ULONG ConsoleHead, ConsoleTail;
static char ConsoleLine[LINE_BYTES];
static ULONG ConsoleLength;

static VOID ConsoleInterrupt(KI_TRAP_FRAME *frame, PVOID context) {
    UCHAR byte;
    UNREFERENCED_PARAMETER(frame);
    UNREFERENCED_PARAMETER(context);
    while (uart_read(UART_COM1, &byte)) {
        if (ConsoleHead - ConsoleTail < INPUT_BYTES) {
            ConsoleRing[ConsoleHead % INPUT_BYTES] = byte;
            ConsoleHead++;
        }
    }
    MonitorConsoleArrived();
}

VOID ConsoleInitialize(VOID) {
    uart_initialize(UART_COM1, UART_FIFO_ON);
    KiConnectVector(CONSOLE_VECTOR, ConsoleInterrupt, NULL, FALSE);
    ioapic_route(UART_COM1_PIN, CONSOLE_VECTOR, KiPcr[0].Prcb.ApicId, FALSE);
    uart_listen(UART_COM1);
}

static VOID ConsoleTake(char c) {
    switch (c) {
    case '\r':
    case '\n':
        ConsoleWrite("\n", 1);
        ConsoleLine[ConsoleLength] = 0;
        ConsoleLength = 0;
        ConsoleExecute(ConsoleLine);
        ConsoleWrite("dirql> ", 7);
        break;
    case '\b':
    case 0x7f:
        if (ConsoleLength != 0) {
            ConsoleLength--;
            ConsoleWrite("\b \b", 3);
        }
        break;
    case 0x15: /* Ctrl-U: the line again */
        for (; ConsoleLength != 0; ConsoleLength--) {
            ConsoleWrite("\b \b", 3);
        }
        break;
    default:
        if (c >= ' ' && ConsoleLength < LINE_BYTES - 1) {
            ConsoleLine[ConsoleLength++] = c;
            ConsoleWrite(&c, 1);
        }
        break;
    }
}

VOID ConsoleServe(VOID) {
    while (ConsoleHead != ConsoleTail) {
        char c = (char)ConsoleRing[ConsoleTail % INPUT_BYTES];
        ConsoleTail++;
        ConsoleTake(c);
    }
}
