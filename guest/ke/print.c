/* SPDX-License-Identifier: Apache-2.0 */
/* Text on COM1, a whole message at a time: the lock keeps the CPUs' messages apart. */
#include "ki.h"

#include "../hal/hal.h"
#include "../hal/regs.h"
#include "../rtl/rtl.h"

#define PRINT_BYTES 512 /* the documented limit of one DbgPrint message */

static KSPIN_LOCK ConsoleLock;

VOID ConsoleWrite(const char *text, ULONG length) {
    KIRQL irql = KiAcquireLockAtHigh(&ConsoleLock);
    ULONG start = 0;
    for (ULONG i = 0; i < length; i++) {
        if (text[i] == '\n') {
            uart_write(UART_COM1, (const UCHAR *)text + start, i - start);
            uart_write(UART_COM1, (const UCHAR *)"\r\n", 2);
            start = i + 1;
        }
    }
    uart_write(UART_COM1, (const UCHAR *)text + start, length - start);
    KiReleaseLockFromHigh(&ConsoleLock, irql);
}

static ULONG ConsolePrintV(const char *format, va_list arguments) {
    char text[PRINT_BYTES];
    ULONG length = RtlpFormat(text, sizeof text, format, arguments);
    ConsoleWrite(text, length);
    return length;
}

ULONG ConsolePrint(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    ULONG length = ConsolePrintV(format, arguments);
    va_end(arguments);
    return length;
}

ULONG __cdecl DbgPrint(PCSTR Format, ...) {
    va_list arguments;
    va_start(arguments, Format);
    ConsolePrintV(Format, arguments);
    va_end(arguments);
    return (ULONG)STATUS_SUCCESS;
}
NT_EXPORT(DbgPrint);

ULONG __cdecl DbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, ...) {
    va_list arguments;
    UNREFERENCED_PARAMETER(ComponentId);
    UNREFERENCED_PARAMETER(Level);
    va_start(arguments, Format);
    ConsolePrintV(Format, arguments);
    va_end(arguments);
    return (ULONG)STATUS_SUCCESS;
}
NT_EXPORT(DbgPrintEx);
