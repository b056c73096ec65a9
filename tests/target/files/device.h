/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device that the cases open: it counts what it is sent, answers reads and control codes with what was written, and
 * keeps a request, if it is told to, until the case completes it.
 */
#pragma once

#include "../threads.h"

#define FILES_BYTES        6000 /* more than a page */
#define FILES_CODE(method) CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, (method), FILE_ANY_ACCESS)
#define FILES_TURN         0x5a /* what a byte is combined with on its way back */
#define FILES_TARGET_NAME  L"\\Device\\Files"
#define FILES_LINK_NAME    L"\\DosDevices\\FilesLink"
#define FILES_OPEN_NAME    L"\\??\\fileslink"

/* Documented in ntifs.h's part of the headers, which goes badly with ntddk.h. */
NTSYSAPI NTSTATUS NTAPI ZwSetEvent(HANDLE EventHandle, PLONG PreviousState);
NTSYSAPI NTSTATUS NTAPI ZwClearEvent(HANDLE EventHandle);

typedef struct _FILES_SEEN {
    volatile LONG Creates, Cleanups, Closes, Others;
    KIRQL CloseIrql;
    WCHAR Name[32]; /* of the file last opened, behind the device's */
    BOOLEAN Read, Write;
    PIRP Kept;
    volatile LONG Cancelled;
} FILES_SEEN;

extern FILES_SEEN Seen;
extern PDEVICE_OBJECT FilesDevice;
extern PDRIVER_OBJECT FilesDriver;
extern BOOLEAN KeepNext; /* the next control request is pended */

VOID FilesReset(VOID);
NTSTATUS FilesMakeDevice(PCWSTR Name, ULONG Flags, BOOLEAN Exclusive, PDEVICE_OBJECT *Device);
VOID FilesComplete(PIRP Irp); /* one that was kept */
HANDLE FilesOpen(PCWSTR Name);
NTSTATUS FilesTryOpen(PCWSTR Name, PHANDLE Handle);
