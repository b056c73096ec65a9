/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Thread objects: what KeGetCurrentThread names. Drivers see the pointer only. What is said to be the dispatcher's is read
 * and changed under the dispatcher lock (dispatcher.h), the rest by the thread itself.
 */
#pragma once

#include "../include/ddk.h"

#define KI_LOW_PRIORITY       0  /* of an idle thread, which is in no ready queue */
#define KI_NORMAL_PRIORITY    8  /* of a system thread */
#define KI_LOWEST_REAL_TIME   16 /* from here on no boost and no decay */
#define KI_HIGHEST_PRIORITY   31
#define KI_PRIORITIES         32
#define KI_QUANTUM_TICKS      2 /* clock ticks that a thread runs before another of its priority gets its turn */
#define KI_THREAD_STACK_PAGES 8

typedef enum _KI_THREAD_STATE {
    KiThreadInitialized, /* has never been ready */
    KiThreadReady,       /* in a ready queue */
    KiThreadStandby,     /* chosen to be the next on its CPU */
    KiThreadRunning,
    KiThreadWaiting, /* for objects, or parked */
    KiThreadTerminated,
} KI_THREAD_STATE;

typedef struct _KI_TRAP_FRAME KI_TRAP_FRAME;

/* Normal APCs have two routines and are held back by KernelApcDisable, special ones by SpecialApcDisable alone. */
typedef struct _KI_APC_STATE {
    LIST_ENTRY List;          /* KAPC.ApcListEntry, the special ones first. The dispatcher's */
    volatile BOOLEAN Pending; /* the list is not empty */
    BOOLEAN NormalInProgress; /* a normal routine runs: the next one waits */
    SHORT KernelApcDisable;   /* negative: in so many critical regions, mutexes held included */
    SHORT SpecialApcDisable;  /* negative: in so many guarded regions */
} KI_APC_STATE;

typedef struct _KTHREAD {
    DISPATCHER_HEADER Header; /* ThreadObject: signalled when the thread has ended */
    ULONG64 StackPointer;     /* while it does not run: where its registers lie (ke/swap.S) */
    ULONG64 StackTop;
    ULONG Id;
    KI_TRAP_FRAME *InterruptFrame; /* while it does not run: what KPRCB.InterruptFrame was */
    PKSTART_ROUTINE StartRoutine;
    PVOID StartContext;
    NTSTATUS ExitStatus;
    VOID (*Reap)(struct _KTHREAD *thread); /* DISPATCH_LEVEL, once it has ended and its stack is no longer in use */
    LIST_ENTRY AllThreads;

    /* Scheduling: the dispatcher's. */
    KI_THREAD_STATE State;
    KPRIORITY Priority, BasePriority;
    LONG QuantumLeft;         /* clock ticks; also counted down by its CPU's clock interrupt */
    ULONG Processor;          /* where it runs, is about to, or ran last */
    KAFFINITY Affinity;       /* the CPUs that it may run on */
    KAFFINITY UserAffinity;   /* what KeRevertToUserAffinityThread goes back to */
    KAFFINITY SystemAffinity; /* what KeSetSystemAffinityThread has set, 0: nothing */
    LIST_ENTRY ReadyEntry;
    ULONG64 Switches; /* times that it was given a CPU */

    /* Waiting: the dispatcher's. */
    NTSTATUS WaitStatus;
    PKWAIT_BLOCK WaitBlock; /* first of the current wait's, a ring by NextWaitBlock; NULL: it waits for no object */
    WAIT_TYPE WaitType;
    KPROCESSOR_MODE WaitMode;
    BOOLEAN WaitAlertable;
    BOOLEAN WaitNext; /* it holds the dispatcher lock since a routine with Wait = TRUE */
    KIRQL WaitIrql;   /* that it goes back to */
    BOOLEAN Alerted;
    BOOLEAN Unparked;
    KWAIT_BLOCK OwnWaitBlocks[THREAD_WAIT_OBJECTS + 1]; /* the last is for Timer */
    KTIMER Timer;                                       /* of its own waits' timeouts */
    LIST_ENTRY Mutexes;                                 /* KMUTANT.MutantListEntry of those that it owns */
    struct _KQUEUE *Queue;                              /* the queue whose work it does, NULL for none */
    LIST_ENTRY QueueEntry;
    PLIST_ENTRY QueueTaken; /* the entry that ended its wait for a queue */

    KI_APC_STATE Apc;

    /* The I/O manager's: IRPs that complete in this thread. The thread's own, at APC_LEVEL. */
    LIST_ENTRY Irps;
    PKEVENT IrpsDone; /* set when the last of them has; NULL: nobody waits */

    /* The verifier's (verifier/irql.c, owned.c), the thread's own. */
    ULONG64 ApcRaises; /* its raises to APC_LEVEL, the newest in bit 0; a bit: the IRQL that it came from */
    ULONG ApcRaiseCount;
    ULONG OwnedCount;          /* of its locks that wait, in Owned */
    struct _VI_REQUEST *Owned; /* NULL: it has taken none yet */
} KTHREAD;

/* One object of two names: the executive's outer face adds nothing that drivers see. */
typedef struct _ETHREAD {
    KTHREAD Tcb;
} ETHREAD;
