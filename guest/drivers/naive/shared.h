/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What naive.sys and the host share: the memory in BAR2 of the doorbell device (QEMU's ivshmem-doorbell), which plays a device with
 * several channels. Each does one operation at a time and interrupts by its own message when it is done. Each word has one writer.
 */
#pragma once

#define NAIVE_MAGIC            0x6576696eull /* "nive" */
#define NAIVE_MAXIMUM_CHANNELS 16

typedef struct _NAIVE_CHANNEL {
    volatile ULONG64 Result;    /* host: of the operation that is done; written before the interrupt, never 0 */
    volatile ULONG64 Accepted;  /* driver: reads that were put to wait for this channel */
    volatile ULONG64 Delivered; /* ISR: times it ran for this channel */
    volatile ULONG64 Spare;
} NAIVE_CHANNEL;

typedef struct _NAIVE_SHARED {
    volatile ULONG64 Magic;     /* host: NAIVE_MAGIC, before the device is started */
    volatile ULONG64 DpcRuns;   /* DpcForIsr: times it ran, */
    volatile ULONG64 EmptyRuns; /* and found nothing to complete */
    NAIVE_CHANNEL Channel[NAIVE_MAXIMUM_CHANNELS];
} NAIVE_SHARED;
