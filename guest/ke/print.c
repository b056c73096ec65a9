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

/*
 * Which messages of a component are shown: bit n is level n. All are, until a driver asks otherwise. A component that is not
 * known shares one mask with all others of that kind.
 */
#define PRINT_COMPONENTS 256
static volatile ULONG PrintHidden[PRINT_COMPONENTS + 1];

static volatile ULONG *PrintMask(ULONG component) {
    return &PrintHidden[min(component, PRINT_COMPONENTS)];
}

/* A level up to 31 is a bit's number, a larger one the bits themselves. */
static ULONG PrintBits(ULONG level) {
    return level < 32 ? 1u << level : level;
}

NTSTATUS NTAPI DbgQueryDebugFilterState(ULONG ComponentId, ULONG Level) {
    /* Relaxed: which of two concurrent settings holds for a message is nobody's concern. */
    return (PrintBits(Level) & ~__atomic_load_n(PrintMask(ComponentId), __ATOMIC_RELAXED)) != 0;
}
NT_EXPORT(DbgQueryDebugFilterState);

NTSTATUS NTAPI DbgSetDebugFilterState(ULONG ComponentId, ULONG Level, BOOLEAN State) {
    if (State) {
        __atomic_and_fetch(PrintMask(ComponentId), ~PrintBits(Level), __ATOMIC_RELAXED);
    } else {
        __atomic_or_fetch(PrintMask(ComponentId), PrintBits(Level), __ATOMIC_RELAXED);
    }
    return STATUS_SUCCESS;
}
NT_EXPORT(DbgSetDebugFilterState);

/* One message, its prefix and all, so that others do not come between. */
ULONG NTAPI vDbgPrintExWithPrefix(PCCH Prefix, ULONG ComponentId, ULONG Level, PCCH Format, va_list arglist) {
    char text[PRINT_BYTES];
    ULONG length = 0;
    if (!DbgQueryDebugFilterState(ComponentId, Level)) {
        return (ULONG)STATUS_SUCCESS;
    }
    while (Prefix != NULL && Prefix[length] != 0 && length < sizeof text - 1) {
        text[length] = Prefix[length];
        length++;
    }
    length += RtlpFormat(text + length, sizeof text - length, Format, arglist);
    ConsoleWrite(text, length);
    return (ULONG)STATUS_SUCCESS;
}
NT_EXPORT(vDbgPrintExWithPrefix);

ULONG NTAPI vDbgPrintEx(ULONG ComponentId, ULONG Level, PCCH Format, va_list arglist) {
    return vDbgPrintExWithPrefix(NULL, ComponentId, Level, Format, arglist);
}
NT_EXPORT(vDbgPrintEx);

ULONG __cdecl DbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, ...) {
    va_list arguments;
    va_start(arguments, Format);
    vDbgPrintEx(ComponentId, Level, Format, arguments);
    va_end(arguments);
    return (ULONG)STATUS_SUCCESS;
}
NT_EXPORT(DbgPrintEx);

ULONG __cdecl DbgPrint(PCSTR Format, ...) {
    va_list arguments;
    va_start(arguments, Format);
    vDbgPrintEx(DPFLTR_DEFAULT_ID, DPFLTR_INFO_LEVEL, Format, arguments);
    va_end(arguments);
    return (ULONG)STATUS_SUCCESS;
}
NT_EXPORT(DbgPrint);
