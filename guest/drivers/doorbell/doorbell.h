/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's own state. Locks: InterruptLock guards Seen and Pending, TotalLock guards Total and what the host reads. */
#pragma once

#include <ntddk.h>

#include "shared.h"

typedef struct _DOORBELL_EXTENSION {
    PDEVICE_OBJECT PhysicalDevice;
    PDEVICE_OBJECT LowerDevice;
    DOORBELL_REGISTERS *Registers;
    SIZE_T RegistersBytes;
    DOORBELL_SHARED *Shared;
    SIZE_T SharedBytes;
    PIO_INTERRUPT_MESSAGE_INFO Messages; /* NULL: interrupts are not connected */
    BOOLEAN Stopping;                    /* guarded by InterruptLock: the ISR queues no DPC any more */
    KSPIN_LOCK InterruptLock;            /* one for all vectors, tied to the device's DIRQL when they are connected */
    ULONG64 Seen[DOORBELL_MAXIMUM_VECTORS];
    ULONG64 Pending[DOORBELL_MAXIMUM_VECTORS]; /* the ISR adds, DpcForIsr takes all and leaves zero */
    KSPIN_LOCK TotalLock;                      /* executive spin lock: DpcForIsr may run on two CPUs at once */
    ULONG64 Total[DOORBELL_MAXIMUM_VECTORS];
} DOORBELL_EXTENSION, *PDOORBELL_EXTENSION;

/* interrupt.c */
KMESSAGE_SERVICE_ROUTINE DoorbellIsr; /* DIRQL, InterruptLock held by the kernel */
IO_DPC_ROUTINE DoorbellDpcForIsr;     /* DISPATCH_LEVEL */

/* driver.c */
DRIVER_INITIALIZE DriverEntry;
