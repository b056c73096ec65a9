/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I/O requests of the host to drivers: slots in shared RAM, each one request from its posting to its result, and two rings that
 * say which slots have news. Data lies in an area that the host divides as it likes. Many may be in flight, from any CPUs.
 */
#pragma once

#include "ddk.h"

#define HOST_IO_SLOTS        256
#define HOST_IO_FILES        256
#define HOST_IO_RING_ENTRIES 1024 /* a slot is at most twice in a ring: posted, and to be cancelled */

typedef enum _HOST_IO_STATE {
    HostIoFree = 0,     /* the host's */
    HostIoPosted = 1,   /* host: complete, and in the ring */
    HostIoStarted = 2,  /* guest: a thread of its CPU has it, and is about to call the driver or has */
    HostIoReturned = 3, /* guest: the driver's routine has returned; what is pending is the driver's */
    HostIoFinished = 4, /* guest: the result is there. The host's again */
} HOST_IO_STATE;

/*
 * IRP_MJ_CREATE opens the object whose name (UTF-16) is the input: Code is the access, Key disposition << 24 | options, Share the sharing. IRP_MJ_CLOSE
 * closes the file: cleanup, then close. Both at PASSIVE_LEVEL. All others go to the file's device as they are; Code is the
 * control code, or the class of information; the input of a directory query is its pattern.
 */
typedef struct DECLSPEC_ALIGN(64) _HOST_IO {
    volatile ULONG State; /* HOST_IO_STATE */
    ULONG Cpu;            /* whose thread calls the driver */
    UCHAR MajorFunction;
    UCHAR MinorFunction;
    UCHAR Irql;     /* that the driver is called at, at most DISPATCH_LEVEL */
    UCHAR Priority; /* of the thread meanwhile; 0: the usual one */
    ULONG File;     /* index of the file that the host chose when it was opened */
    ULONG Code;
    ULONG Key;
    ULONG Share;
    ULONG Input; /* offset in the data area */
    ULONG InputBytes;
    ULONG Output;
    ULONG OutputBytes;
    ULONG Spare;
    LONGLONG Offset; /* in the file */
    /* The guest's answer. */
    ULONG64 Information;
    NTSTATUS Status;
    NTSTATUS Returned;  /* by the driver's dispatch routine */
    UCHAR FinishedIrql; /* of the IRP's completion, and where that was */
    UCHAR Spare2[3];
    ULONG FinishedCpu;
} HOST_IO;
C_ASSERT(sizeof(HOST_IO) == 128);

#define HOST_IO_CANCEL 0x8000u /* in an entry of the ring of posted ones: the slot's request is to be cancelled */

typedef struct DECLSPEC_ALIGN(64) _HOST_IO_RING {
    volatile ULONG Head;   /* entries ever put in */
    volatile ULONG Wanted; /* 1: who empties it wants a HostFrameIo with the next entry; 0: it will look anyway */
    ULONG Spare[14];
    volatile ULONG Tail; /* entries ever taken out */
    ULONG Spare2[15];
    USHORT Entry[HOST_IO_RING_ENTRIES];
} HOST_IO_RING;

typedef struct _HOST_IO_CHANNEL {
    HOST_IO_RING Posted;   /* host to guest: slots, with HOST_IO_CANCEL or without */
    HOST_IO_RING Finished; /* guest to host: slots */
    ULONG64 DataPhysical;  /* the data area; set by the guest before HostFrameReady */
    ULONG64 DataBytes;
    HOST_IO Slot[HOST_IO_SLOTS];
} HOST_IO_CHANNEL;

/* Where in an IRP the host finds what the headers have in nameless structures. */
typedef enum _HOST_IRP_OFFSET {
    HostIrpListEntry = FIELD_OFFSET(IRP, Tail.Overlay.ListEntry),
    HostIrpDeviceQueueEntry = FIELD_OFFSET(IRP, Tail.Overlay.DeviceQueueEntry),
} HOST_IRP_OFFSET;

/* What HostRequestIo waits for. */
typedef enum _HOST_IO_WAIT {
    HostIoWaitNothing = 0,
    HostIoWaitSlot = 1,   /* [1]: the slot is finished */
    HostIoWaitAny = 2,    /* [1]: Finished.Head is no longer this */
    HostIoWaitReturn = 3, /* [1]: the driver's routine has returned to the thread that has the slot */
} HOST_IO_WAIT;

extern HOST_IO_CHANNEL HostIoChannel;
extern HOST_IRP_OFFSET HostIrpOffsets; /* so that the debug information has them */
