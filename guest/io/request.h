/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to drivers: files are opened, IRPs built and sent, by the executive itself (io/request.c), by drivers (io/build.c,
 * io/zwfile.c) and by the harness (the monitor).
 */
#pragma once

#include "iop.h"

#define POOL_TAG_SYSTEM_BUFFER 'BsyS'

/*
 * io/buffers.c: an IRP gets the buffers of a read or write, or of a control code, as the device's flags or the code's method
 * ask: buffered, direct, neither. IRQL <= APC_LEVEL, with resident buffers (resident: TRUE) <= DISPATCH_LEVEL. Release: what
 * came in goes to the caller's buffer, and what was made is given back; both routines of it <= DISPATCH_LEVEL.
 */
NTSTATUS IopGiveTransfer(PIRP irp, PDEVICE_OBJECT device, BOOLEAN read, PVOID buffer, ULONG bytes, BOOLEAN resident);
NTSTATUS IopGiveControl(PIRP irp, PIO_STACK_LOCATION location, ULONG code, PVOID input, ULONG input_bytes, PVOID output,
                        ULONG output_bytes, BOOLEAN resident);
NTSTATUS IopGiveSystemBuffer(PIRP irp, const VOID *input, ULONG input_bytes, PVOID output, ULONG output_bytes);
VOID IopReleaseBuffers(PIRP irp);
VOID IopReleaseMdls(PIRP irp);

/*
 * io/threadirp.c: IRPs that end in the thread that they were made in, by an APC: its status block is filled, its event set.
 * A thread that ends cancels those that it still has and waits for them. Add: PASSIVE_LEVEL or APC_LEVEL.
 */
VOID IopAddThreadIrp(PIRP irp);
VOID IopEndThreadIrp(PIRP irp, CCHAR boost); /* <= DISPATCH_LEVEL, completed */

/*
 * One request to the stack of devices behind a file. The caller fills the first part and keeps the structure, zeroed
 * otherwise, and what it points to, resident until Completed is called. Completed is called once, at IRQL <= DISPATCH_LEVEL, by
 * whoever completes it, or by IopSendRequest itself if no IRP could be made; the request is the caller's again.
 */
typedef struct _IOP_REQUEST {
    UCHAR MajorFunction, MinorFunction;
    PFILE_OBJECT File;
    ULONG Code; /* control code; information class of query and set */
    ULONG Key;  /* of a read or write */
    LARGE_INTEGER
    Offset; /* of a read or write; create: disposition << 24 | options in the low half, share access above */
    PVOID Input;
    ULONG InputBytes;
    PVOID Output;
    ULONG OutputBytes;
    PUNICODE_STRING Pattern; /* of a directory query, or NULL */
    BOOLEAN Pageable;        /* the buffers may be put out: only for IopCallRequest */
    VOID (*Completed)(struct _IOP_REQUEST *request);
    PVOID Context;

    IO_STATUS_BLOCK Result; /* from Completed on */

    PIRP Irp; /* the rest is request.c's */
    PKEVENT Done;
    KSPIN_LOCK Lock;
    LONG Cancelling;
    BOOLEAN Finished;
} IOP_REQUEST;

/* <= DISPATCH_LEVEL; create, cleanup, close: PASSIVE_LEVEL. At the caller's IRQL and on its CPU the driver's dispatch routine
 * is called; returns what that returned. */
NTSTATUS IopSendRequest(IOP_REQUEST *request);
/* <= DISPATCH_LEVEL, before Completed has been called or while the caller keeps it from using the structure anew. Whether the
 * IRP had a Cancel routine that was called. */
BOOLEAN IopCancelRequest(IOP_REQUEST *request);
/* PASSIVE_LEVEL: sends it and waits; Completed is not called. Returns Result.Status. */
NTSTATUS IopCallRequest(IOP_REQUEST *request);

/* io/file.c. PASSIVE_LEVEL. */
typedef struct _IOP_OPEN {
    ACCESS_MASK Access;
    ULONG Disposition, Options, Share, Attributes; /* as of ZwCreateFile */
    ULONG_PTR Information;                         /* out: FILE_OPENED, FILE_CREATED, ... */
} IOP_OPEN;
/* The file has one reference, the caller's, and counts as one handle. */
NTSTATUS IopOpenFile(PCUNICODE_STRING name, IOP_OPEN *open, PFILE_OBJECT *file);
VOID IopCloseFile(PFILE_OBJECT file); /* IRP_MJ_CLEANUP, and IRP_MJ_CLOSE when the last reference goes */
VOID IopCleanupFile(PFILE_OBJECT file);
