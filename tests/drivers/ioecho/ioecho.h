/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ioecho.sys: a legacy driver with three devices, \\.\IoEcho (buffered), \\.\IoEchoDirect and \\.\IoEchoNeither, that does with a
 * request what its control code says: echoes it by each method, ends it with any status, from a DPC, a timer or a work item, keeps
 * it until it is cancelled or released, forgets that it could be cancelled, or waits in its dispatch routine.
 */
#pragma once

#include <ntddk.h>

#define ECHO_CODE(function, method) CTL_CODE(FILE_DEVICE_UNKNOWN, function, method, FILE_ANY_ACCESS)

#define ECHO_ECHO           0x800 /* by each method: input to output; IN_DIRECT: the second buffer is taken */
#define ECHO_STATUS         0x801 /* {ULONG status, ULONG information}: ends like that */
#define ECHO_DPC            0x802 /* input to output, from a DPC */
#define ECHO_TIMER          0x803 /* the same from a timer; input: milliseconds */
#define ECHO_WORK           0x804 /* the same from a work item */
#define ECHO_HOLD           0x805 /* kept, can be cancelled */
#define ECHO_FORGET         0x806 /* kept, cannot be cancelled */
#define ECHO_RELEASE        0x807 /* ends what is kept; output: ULONG, how many that were */
#define ECHO_BLOCK          0x808 /* waits in the dispatch routine */
#define ECHO_UNBLOCK        0x809 /* until this */
#define ECHO_WHERE          0x80a /* output: ECHO_PLACE */
#define ECHO_COUNTS         0x80b /* output: ECHO_COUNTERS */
#define ECHO_CRASH          0x80c
#define ECHO_OVERRUN        0x80d /* METHOD_NEITHER: writes a byte more than the output has */
#define ECHO_FUNCTION(code) ((code) >> 2 & 0xfff)

#define ECHO_BYTES 8192 /* that a device keeps */

typedef struct _ECHO_PLACE {
    ULONG Cpu, Irql, Priority;
} ECHO_PLACE;

typedef struct _ECHO_COUNTERS {
    LONG Creates, Cleanups, Closes, Flushes;
} ECHO_COUNTERS;

typedef struct _ECHO_LIST {
    LIST_ENTRY Head;
    KSPIN_LOCK Lock;
} ECHO_LIST;

typedef struct _ECHO_EXTENSION {
    PDEVICE_OBJECT Device;
    UNICODE_STRING Link;
    ECHO_COUNTERS Counters;
    KDPC Dpc, TimerDpc;
    KTIMER Timer;
    KEVENT Unblock;
    ECHO_LIST ForDpc, ForTimer, Forgotten, Held;
    IO_CSQ Queue; /* over Held */
    UCHAR Data[ECHO_BYTES];
} ECHO_EXTENSION;

NTSTATUS EchoComplete(PIRP irp, NTSTATUS status, ULONG_PTR information);
NTSTATUS EchoTransfer(ECHO_EXTENSION *extension, PIRP irp, BOOLEAN read); /* transfer.c */
NTSTATUS EchoByMethod(PIRP irp);                                          /* transfer.c: ends nothing */

/* later.c: requests that end later. */
VOID EchoInitializeLater(ECHO_EXTENSION *extension);
NTSTATUS EchoLater(ECHO_EXTENSION *extension, PIRP irp);
ULONG EchoRelease(ECHO_EXTENSION *extension);
