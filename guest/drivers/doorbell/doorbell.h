/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's own state. Locks: Seen and Pending of a vector and Stopping are guarded by that vector's interrupt spin lock,
 * which is InterruptLock for all vectors, or one of its own for each (LockPerVector). CountLock, an executive spin lock, guards
 * the totals, what the host reads, and Reader.
 */
#pragma once

#include <ntddk.h>

#include "shared.h"

#define DOORBELL_NAME L"\\Device\\Doorbell0"
#define DOORBELL_LINK L"\\??\\Doorbell0" /* for programs; a second device has no names */

typedef struct _DOORBELL_EXTENSION {
    PDEVICE_OBJECT PhysicalDevice;
    PDEVICE_OBJECT LowerDevice;
    BOOLEAN Linked; /* DOORBELL_LINK leads here */
    DOORBELL_REGISTERS *Registers;
    SIZE_T RegistersBytes;
    DOORBELL_SHARED *Shared;
    SIZE_T SharedBytes;
    PIO_INTERRUPT_MESSAGE_INFO Messages; /* NULL: interrupts are not connected */
    BOOLEAN Stopping;                    /* the ISR queues no DPC any more; set under every interrupt spin lock */
    BOOLEAN LockPerVector;
    KSPIN_LOCK InterruptLock; /* tied to the device's DIRQL when the vectors are connected */
    ULONG64 Seen[DOORBELL_MAXIMUM_VECTORS];
    ULONG64 Pending[DOORBELL_MAXIMUM_VECTORS]; /* the ISR adds, DpcForIsr takes all and leaves zero */
    KSPIN_LOCK CountLock;                      /* DpcForIsr may run on two CPUs at once */
    ULONG64 Total[DOORBELL_MAXIMUM_VECTORS];
    ULONG64 Unread[DOORBELL_MAXIMUM_VECTORS]; /* dealt with since the last read */
    PIRP Reader;                              /* the read that StartIo left to wait for the next interrupt */
    BOOLEAN Refusing;                         /* reads end as cancelled: the file is closed, or the device stops */
} DOORBELL_EXTENSION, *PDOORBELL_EXTENSION;

/* interrupt.c */
KMESSAGE_SERVICE_ROUTINE DoorbellIsr; /* DIRQL, the vector's interrupt spin lock held by the kernel */
IO_DPC_ROUTINE DoorbellDpcForIsr;     /* DISPATCH_LEVEL */
/* PASSIVE_LEVEL. Connects all vectors; stops: no new DPC, then none left, then no interrupt. */
NTSTATUS DoorbellConnect(PDEVICE_OBJECT device);
VOID DoorbellDisconnect(PDOORBELL_EXTENSION extension);

/* read.c */
DRIVER_DISPATCH DoorbellOpen; /* IRP_MJ_CREATE */
DRIVER_DISPATCH DoorbellClose;
DRIVER_DISPATCH DoorbellCleanup;
DRIVER_DISPATCH DoorbellRead;
DRIVER_STARTIO DoorbellStartIo;
DRIVER_CANCEL DoorbellCancelReader;
/* CountLock held, DISPATCH_LEVEL. The waiting read, filled, if it is to be completed now: by DoorbellEndRead, with no lock held. */
PIRP DoorbellTakeReader(PDOORBELL_EXTENSION extension);
VOID DoorbellEndRead(PDEVICE_OBJECT device, PIRP irp); /* DISPATCH_LEVEL: starts the next, completes this one */
/* IRQL < DISPATCH_LEVEL. TRUE: every read ends as cancelled, those that wait now too. */
VOID DoorbellRefuseReads(PDEVICE_OBJECT device, BOOLEAN refuse);

/* driver.c */
DRIVER_INITIALIZE DriverEntry;
