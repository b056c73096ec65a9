/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deferred procedure calls inside the kernel layer: the queues, who takes objects off them, and what a CPU knows of its
 * own DPCs. The documented routines have their contracts in include/nt/dpc.h.
 */
#pragma once

#include "../include/ddk.h"
#include "thread.h"

#define KI_DPC_OBJECT          0x13  /* KDPC.Type */
#define KI_THREADED_DPC_OBJECT 0x18  /* KDPC.Type */
#define KI_DPC_DEVICE_BOUND    0x100 /* in KDPC.Number: a DpcForIsr; the low byte is the target CPU + 1, 0 for none */

/*
 * The limits that the documentation calls system-defined: a queue deeper than the first is processed at once whatever the
 * importance; with fewer requests in a clock tick than the second, waiting to collect more of them has no point.
 */
#define KI_DPC_MAXIMUM_DEPTH 4
#define KI_DPC_MINIMUM_RATE  3

/* A queue of DPC objects: for each CPU one of ordinary and one of threaded ones, and one that any CPU serves. */
typedef struct _KI_DPC_QUEUE {
    KSPIN_LOCK Lock; /* taken at HIGH_LEVEL: DPCs are queued at any IRQL */
    LIST_ENTRY List;
    volatile ULONG Depth;
    ULONG Cpu;               /* DPC_ANY_CPU for the shared one */
    volatile ULONG Requests; /* insertions since the last clock tick of its CPU */
    volatile ULONG LastRate; /* and in the tick before that */
} KI_DPC_QUEUE;

/* A DPC that has been taken off its queue. */
typedef struct _KI_DPC_CALL {
    PKDPC Dpc;
    PKDEFERRED_ROUTINE Routine;
    PVOID Context, Argument1, Argument2;
} KI_DPC_CALL;

typedef struct _KPRCB KPRCB, *PKPRCB;

/* ke/dpc.c */
extern KI_DPC_QUEUE KiSharedDpcQueue;
VOID KiInitializeDpcs(ULONG processors); /* boot CPU, before the others start */
/* queue: the one to use; NULL: the one that the object's target and the placement policy say. Any IRQL. */
BOOLEAN KiInsertDpc(PRKDPC dpc, KI_DPC_QUEUE *queue, PVOID argument1, PVOID argument2);

VOID KiInsertTimerDpc(PRKDPC dpc); /* any IRQL */
VOID KiRequestSharedDpc(VOID);     /* any IRQL: the first CPU available looks for work of DISPATCH_LEVEL */

/* ke/dpcrun.c */
VOID KiConnectDpcInterrupt(VOID);
BOOLEAN KiRequestDpcInterrupt(ULONG cpu); /* any IRQL; FALSE: it had been asked for and has not come yet */
/* <= HIGH_LEVEL in, irql out and its start recorded; FALSE: the queue is empty and nothing changed. */
BOOLEAN KiTakeDpc(KI_DPC_QUEUE *queue, KIRQL irql, KI_DPC_CALL *call);
VOID KiClockTickDpcs(PKPRCB prcb); /* CLOCK_LEVEL: sees to what importance has left waiting, then to the watchdog */
ULONG KiDpcRate(const KI_DPC_QUEUE *queue);

/* ke/dpcflush.c: after the record of its end; a flush that waits for this one goes on. */
VOID KiDpcHasEnded(const KI_DPC_CALL *call);

/* ke/threadeddpc.c */
VOID KiDpcThread(PVOID context);   /* the thread's start routine; context: KPRCB */
VOID KiWakeDpcThread(PKPRCB prcb); /* DISPATCH_LEVEL, in the DPC interrupt, when no ordinary DPC is left */

/* ke/dpcwatchdog.c. CLOCK_LEVEL */
VOID KiTickDpcWatchdog(PKPRCB prcb);

/* "In a DPC" is not "at DISPATCH_LEVEL": a routine of one runs on this CPU, or was interrupted here. */
BOOLEAN KiInDpc(const KPRCB *prcb);
