/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the machine holds at a moment of rest: what a driver that was loaded, used and unloaded must have given back. The threads
 * that start the host's I/O requests are the monitor's own and not counted, nor is their pool.
 */
#pragma once

#include "ddk.h"

#define HOST_INVENTORY_TAGS 256

typedef struct _HOST_INVENTORY_TAG {
    ULONG Tag; /* 0: of all those that found no place of their own */
    ULONG Spare;
    ULONG64 Blocks[2]; /* allocated and not freed: nonpaged, paged */
    ULONG64 Bytes[2];
} HOST_INVENTORY_TAG;

typedef struct _HOST_INVENTORY {
    ULONG64 Interrupts; /* interrupt objects connected */
    ULONG64 Vectors;    /* vectors allocated */
    ULONG64 Threads;    /* begun and not ended */
    ULONG64 Timers;     /* set */
    ULONG64 Handles;    /* open */
    ULONG64 Images;     /* loaded */
    ULONG64 Drivers;    /* objects, and those below */
    ULONG64 Devices;
    ULONG64 Files;
    ULONG64 Names;    /* of objects, symbolic links among them */
    ULONG64 Requests; /* of the host, not finished */
    ULONG64 FreePages;
    ULONG64 TagCount; /* of those below */
    HOST_INVENTORY_TAG Tag[HOST_INVENTORY_TAGS];
} HOST_INVENTORY;
