/* SPDX-License-Identifier: Apache-2.0 */
/* The host's I/O requests inside the monitor: what is known of each beside its slot, and the threads that start them. */
#pragma once

#include "monitor.h"

#include "../io/request.h"

typedef struct _HOST_IO_WORK {
    LIST_ENTRY Entry; /* in the queue of its CPU */
    IOP_REQUEST Request;
    UNICODE_STRING Pattern;   /* of a directory query */
    volatile LONG References; /* the thread's that starts it, the driver's, a canceller's; 0: the request has ended */
    volatile BOOLEAN Cancel;  /* the host wants it cancelled */
    volatile BOOLEAN Sent;    /* Request is what the driver gets, or has */
} HOST_IO_WORK;

extern HOST_IO_WORK HostIoWork[HOST_IO_SLOTS];

/* monitor/iochannel.c */
static inline HOST_IO *HostIoSlotOf(const HOST_IO_WORK *work) {
    return &HostIoChannel.Slot[work - HostIoWork];
}
VOID HostIoTakePosted(VOID); /* <= DISPATCH_LEVEL, one caller at a time: gives what is posted to its threads */
VOID HostIoHasReturned(HOST_IO_WORK *work); /* <= DISPATCH_LEVEL: from the driver */
VOID HostIoRelease(HOST_IO_WORK *work);     /* <= DISPATCH_LEVEL: one reference less; the last tells the host */

/* monitor/iothread.c. Queue: <= DISPATCH_LEVEL. */
VOID HostIoInitializeThreads(VOID);
VOID HostIoQueue(HOST_IO_WORK *work, ULONG cpu);
