/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads begin and end. A new one has on its stack what KiSwapContext expects of a thread that gave its CPU away, and goes
 * on at KiThreadEntry. One that ends is signalled and never runs again; whoever has the CPU next gives back what it had.
 */
#include "apc.h"
#include "frame.h"
#include "queue.h"

#include "../hal/hal.h"
#include "../include/mutant.h"
#include "verify.h"

#define KI_INITIAL_MXCSR 0x1f80 /* all exceptions masked, round to nearest */
#define KI_INITIAL_FPCW  0x27f  /* the same, 53 bits: what the Microsoft convention says of the x87 */

/* What KiSwapContext (ke/swap.S) leaves on a stack. */
typedef struct _KI_SWITCH_FRAME {
    M128A Xmm[10]; /* XMM6 to XMM15 */
    ULONG MxCsr;
    USHORT Fpcw;
    USHORT Spare;
    ULONG64 R15, R14, R13, R12, Rdi, Rsi, Rbx, Rbp;
    ULONG64 Rip;
} KI_SWITCH_FRAME;
C_ASSERT(FIELD_OFFSET(KI_SWITCH_FRAME, MxCsr) == KI_SWITCH_MXCSR);
C_ASSERT(FIELD_OFFSET(KI_SWITCH_FRAME, R15) == KI_SWITCH_BYTES);
C_ASSERT(FIELD_OFFSET(KTHREAD, StackPointer) == KI_THREAD_STACK_POINTER);

extern const UCHAR KiThreadEntry[];

LIST_ENTRY KiAllThreads; /* KiInitializeScheduler makes it an empty list */
ULONG KiThreadCount;
volatile LONG KiThreadsEnding;
KTHREAD KiIdleThreads[MAXIMUM_CPUS];

static volatile LONG KiLastThreadId;

VOID KiInitializeThread(PKTHREAD thread, ULONG64 stack_top, PKSTART_ROUTINE routine, PVOID context, KPRIORITY priority,
                        KAFFINITY affinity) {
    RtlZeroMemory(thread, sizeof *thread);
    KiInitializeHeader(&thread->Header, ThreadObject, sizeof *thread, 0);
    KiInitializeHeader(&thread->Timer.Header, TimerNotificationObject, sizeof thread->Timer, 0);
    InitializeListHead(&thread->Mutexes);
    InitializeListHead(&thread->Irps);
    InitializeListHead(&thread->Apc.List);
    InitializeListHead(&thread->AllThreads);
    thread->StackTop = stack_top;
    thread->StartRoutine = routine;
    thread->StartContext = context;
    thread->Priority = thread->BasePriority = priority;
    thread->Affinity = thread->UserAffinity = affinity;
    thread->QuantumLeft = KI_QUANTUM_TICKS;
    thread->Processor = KiCurrentPrcb()->Number;
    /* Relaxed: the numbers only have to differ. */
    thread->Id = (ULONG)__atomic_add_fetch(&KiLastThreadId, 1, __ATOMIC_RELAXED) * sizeof(ULONG);
    KI_SWITCH_FRAME *frame = (KI_SWITCH_FRAME *)(stack_top - 2 * sizeof(ULONG64)) - 1;
    RtlZeroMemory(frame, sizeof *frame);
    frame->MxCsr = KI_INITIAL_MXCSR;
    frame->Fpcw = KI_INITIAL_FPCW;
    frame->Rip = (ULONG64)KiThreadEntry;
    thread->StackPointer = (ULONG64)frame;
}

static VOID KiListThread(PKTHREAD thread) {
    InsertTailList(&KiAllThreads, &thread->AllThreads);
    KiThreadCount++;
    trace(TraceThreadCreate, (ULONG64)thread, (ULONG64)thread->StartRoutine);
}

VOID KiStartThread(PKTHREAD thread) {
    KIRQL irql = KiLockDispatcher();
    KiListThread(thread);
    KiReadyThread(thread);
    KiUnlockDispatcher(irql);
}

VOID KiStartParked(PKTHREAD thread) {
    KIRQL irql = KiLockDispatcher();
    KiListThread(thread);
    thread->State = KiThreadWaiting;
    KiUnlockDispatcher(irql);
}

VOID KiThreadBegins(VOID) __attribute__((noreturn));

/* From KiThreadEntry: DISPATCH_LEVEL, with the dispatcher lock of the thread that was left. */
VOID KiThreadBegins(VOID) {
    PKTHREAD thread = KiCurrentThread();
    if (thread->Apc.Pending) { /* queued before it ran for the first time */
        lapic_self(APC_VECTOR);
    }
    KiReleaseDispatcher(PASSIVE_LEVEL);
    thread->StartRoutine(thread->StartContext);
    KiExitThread(STATUS_SUCCESS);
}

VOID (*KiEndThreadIo)(PKTHREAD thread);

VOID KiExitThread(NTSTATUS status) {
    PKTHREAD thread = KiCurrentThread();
    if (KiEndThreadIo != NULL) {
        KiEndThreadIo(thread);
    }
    KiVerifyThreadEnd();
    KiEndApcs(thread);
    if (thread->Queue != NULL) {
        KiLeaveQueue(thread);
    }
    trace(TraceThreadExit, (ULONG64)thread, (ULONG)status);
    thread->ExitStatus = status;
    RemoveEntryList(&thread->AllThreads);
    KiThreadCount--;
    __atomic_add_fetch(&KiThreadsEnding, 1, __ATOMIC_RELAXED); /* the lock orders it */
    thread->State = KiThreadTerminated;
    thread->Header.SignalState = !MUTANT(ThreadUnsignalled, "THR-1", "a thread that has ended is not signalled");
    KiTraceSignal(&thread->Header);
    KiReleaseWaiters(&thread->Header, 0);
    PKPRCB prcb = KiCurrentPrcb();
    prcb->DeadThread = thread;
    KiSwapThread(prcb);
    __builtin_unreachable();
}
