/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of trace events: the one source for C and, through the debug info of this enumeration, for Python.
 * A record is 32 bytes: time (TSC), sequence, event, CPU, IRQL (the CR8 of its moment) and two arguments,
 * which are named here beside each event. Numbers are part of stored traces: append, never renumber.
 */
#pragma once

typedef enum _TRACE_EVENT {
    TraceNone = 0,
    TraceCpuStart = 1,       /* APIC id; 0 */
    TraceIdleEnter = 2,      /* 0; 0. PASSIVE_LEVEL, about to halt */
    TraceIdleExit = 3,       /* 0; 0. awake again */
    TraceInterruptEnter = 4, /* vector | interrupted IRQL << 8; interrupted RIP. IRQL raised, IF still 0 */
    TraceInterruptExit = 5,  /* vector | interrupted IRQL << 8; RIP returned to. IRQL restored, IF still 0 */
    TraceIsrEnter = 6,       /* KINTERRUPT; ServiceRoutine. interrupt spin lock held */
    TraceIsrExit = 7,        /* KINTERRUPT; value returned. interrupt spin lock still held */
    TraceSyncRequest = 8,    /* KINTERRUPT; SynchronizeRoutine. caller's IRQL */
    TraceSyncEnter = 9,      /* KINTERRUPT; SynchronizeRoutine. SynchronizeIrql, interrupt spin lock held */
    TraceSyncExit = 10,      /* KINTERRUPT; value returned. interrupt spin lock still held */
    TraceSyncReturn = 11,    /* KINTERRUPT; value returned. caller's IRQL again */
    TraceLockWait = 12,      /* lock; caller. contended, starts to spin */
    TraceLockAcquired = 13,  /* lock; caller. recorded after the acquisition */
    TraceLockReleased = 14,  /* lock; caller. recorded before the release */
    TraceDpcInsert = 15, /* KDPC; inserted (0 or 1) | target CPU << 8 (0xFF: any) | importance << 16 | threaded << 24 */
    TraceDpcStart = 16,  /* KDPC; DeferredRoutine. off its queue, about to run */
    TraceDpcEnd = 17,    /* KDPC; DeferredRoutine */
    TraceDpcRemove = 18, /* KDPC; removed (0 or 1) */
    TraceIrqlRaise = 19, /* old | new << 8; caller. IRQL already raised */
    TraceIrqlLower = 20, /* old | new << 8; caller. IRQL not yet lowered */
    TraceIpiSend = 21,   /* vector; target CPU, or 0xFF for all the others */
    TraceImageLoad = 22, /* base; size in bytes */
    TraceImageUnload = 23,         /* base; size in bytes */
    TraceHostRequest = 24,         /* sequence; HOST_REQUEST_CODE */
    TraceHostReply = 25,           /* sequence; NTSTATUS */
    TraceRendezvous = 26,          /* value the host answered with; 0. follows a TraceRendezvousEnter */
    TraceMark = 27,                /* two values of the driver's own choice (DirqlTraceMark) */
    TraceInterruptConnect = 28,    /* KINTERRUPT; vector | Irql << 8 | SynchronizeIrql << 16 | target CPU << 24 |
                                      the CPUs that it may interrupt << 32 */
    TraceUnexpectedInterrupt = 29, /* vector; interrupted RIP */
    TraceRendezvousEnter = 30,     /* 0; 0. about to ask the host, which holds the machine until it answers */
    TraceLockQueued = 31,     /* lock; 1 << 32 | CPU that is waited behind, or 2 << 32 | ticket. has its place, spins.
                                   or 3 << 32: the acquisition before was a try, and would not have waited */
    TraceLockSharedWait = 32, /* lock; caller. a reader that cannot enter yet */
    TraceLockSharedAcquired = 33, /* lock; caller. as a reader, recorded after the acquisition */
    TraceLockSharedReleased = 34, /* lock; caller. recorded before the release */
    TraceIpiCallEnter = 35,       /* routine; context. a routine called on all CPUs, IPI_LEVEL */
    TraceIpiCallExit = 36,        /* routine; value returned */
    TraceThreadedDpcStart = 37,   /* KDPC; DeferredRoutine. PASSIVE_LEVEL, off its queue, about to run */
    TraceThreadedDpcEnd = 38,     /* KDPC; DeferredRoutine */
    TraceCaseBegin = 39,          /* routine; 0. a routine that the host called, PASSIVE_LEVEL */
    TraceCaseEnd = 40,            /* routine; 0 */
    TraceHostCall = 41,           /* sequence; HOST_CALL_CODE. the guest asks the host */
    TraceHostCallDone = 42,       /* sequence; value answered */
    TraceInterruptActive = 43,    /* KINTERRUPT; 1: active, 0: inactive from now on */
    TraceThreadSwitch =
        44, /* KTHREAD that runs from here on; state of the one before (KI_THREAD_STATE) | its priority << 8 |
                               the new one's priority << 16. DISPATCH_LEVEL, under the dispatcher lock; the CPU is the new thread's */
    TraceThreadReady =
        45, /* KTHREAD; CPU that it is to run on | priority << 8 | 1 << 16 if it is to run there at once */
    TraceThreadCreate = 46, /* KTHREAD; start routine */
    TraceThreadExit = 47,   /* KTHREAD; exit status */
    TraceWaitBegin = 48, /* first object; number of objects | WAIT_TYPE << 8 | alertable << 16 | with a timeout << 24.
                               not satisfied at once: the thread is about to give its CPU away */
    TraceWaitEnd =
        49,           /* first object; NTSTATUS. of a wait that began and of one that was satisfied or failed at once */
    TraceSignal = 50, /* object; SignalState after, the low 32 bits | its type << 32. before its waiters are let go */
    TraceTimerSet = 51,    /* KTIMER; interrupt time that it is due at, 100 ns */
    TraceTimerCancel = 52, /* KTIMER; 1: it was set */
    TraceTimerExpire =
        53,              /* KTIMER; interrupt time that it was due at, 100 ns. before it is signalled, DISPATCH_LEVEL */
    TraceApcStart = 54,  /* KAPC; routine that is about to run. APC_LEVEL, or PASSIVE_LEVEL for a normal routine */
    TraceApcEnd = 55,    /* KAPC; routine */
    TracePageOut = 56,   /* address; bytes */
    TracePageIn = 57,    /* address that was touched; RIP that touched it */
    TraceWorkStart = 58, /* work item, or passive-level interrupt; routine that a thread is about to call for it */
    TraceWorkEnd = 59,   /* the same; routine */
    TraceIrpAllocate = 60, /* IRP; its stack locations */
    TraceIrpFree = 61,     /* IRP; 0 */
    TraceIrpCall = 62, /* IRP; device, its low 48 bits | major function << 48 | minor function << 56. IoCallDriver: its
                               dispatch routine is about to run */
    TraceIrpReturn = 63,    /* IRP, which may be gone; NTSTATUS that the dispatch routine returned */
    TraceIrpComplete = 64,  /* IRP; caller. IoCompleteRequest: completion routines are about to run */
    TraceIrpDone = 65,      /* IRP; NTSTATUS. all of them have run and none took the IRP back: it is over */
    TraceStartIoEnter = 66, /* device; IRP. DISPATCH_LEVEL, its StartIo routine is about to run */
    TraceStartIoExit = 67,  /* device; StartIo routine */
    TraceIrpCancel = 68,    /* IRP; its Cancel routine, which is about to run, or 0: it had none */
    TraceStartIoNext =
        69, /* device; the IRP that its device queue gave, or 0: empty, not busy any more. IoStartNextPacket,
                               or a driver's own KeRemoveDeviceQueue; the queue's lock held */
    TraceMaskSet =
        70, /* events 0 to 63; events 64 to 127. what is recorded from here on. It is recorded itself whatever
                          was, and is */
    TraceEventCount
} TRACE_EVENT;
