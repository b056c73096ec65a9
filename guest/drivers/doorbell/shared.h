/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What doorbell.sys and the host share: the memory in BAR2 of the doorbell device (QEMU's ivshmem-doorbell). The host
 * counts what it sends, the driver counts what became of it; the host reads the layout from the driver's debug info.
 * Each word has one writer, named beside it, and is read and written whole.
 */
#pragma once

#define DOORBELL_VENDOR          0x1af4
#define DOORBELL_DEVICE          0x1110
#define DOORBELL_MAGIC           0x6c6c6562726f6f64ull /* "doorbell" */
#define DOORBELL_MAXIMUM_VECTORS 64

typedef struct _DOORBELL_VECTOR {
    volatile ULONG64 Sent;      /* host: interrupts sent; raised before the doorbell is rung */
    volatile ULONG64 Delivered; /* ISR: times it ran */
    volatile LONG64 Merged;     /* ISR: sent interrupts that arrived as one with another: Sent = Delivered + Merged */
    volatile ULONG64 Acknowledged; /* DpcForIsr: sent interrupts that it has dealt with */
    volatile ULONG64 Spare[4];
} DOORBELL_VECTOR;

typedef struct _DOORBELL_SHARED {
    volatile ULONG64 Magic;    /* host: DOORBELL_MAGIC, before the device is started */
    volatile ULONG64 HostPeer; /* host: the peer to ring when interrupts have been dealt with */
    volatile ULONG64 DpcRuns;  /* DpcForIsr: times it ran */
    volatile ULONG64 Spare[5];
    DOORBELL_VECTOR Vector[DOORBELL_MAXIMUM_VECTORS];
} DOORBELL_SHARED;

/* BAR0 (QEMU documentation, "ivshmem device specification"). */
typedef struct _DOORBELL_REGISTERS {
    ULONG InterruptMask;
    ULONG InterruptStatus;
    ULONG IvPosition; /* our own peer number */
    ULONG Doorbell;   /* write peer << 16 | vector: interrupts that peer */
} DOORBELL_REGISTERS;
