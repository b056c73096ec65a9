/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel layer's own face: per-CPU data, trap frames, vectors, and the routines that other layers of the executive
 * call but drivers do not. Public routines have their prototypes in the DDK headers; their contracts stand in nt.h.
 */
#pragma once

#include "../include/ddk.h"
#include "../include/driver/dirql.h"
#include "../include/export.h"
#include "../include/highlock.h"
#include "../include/hostif.h"
#include "../include/nt.h"
#include "../include/vectors.h"
#include "../trace/trace.h"
#include "dpc.h"

#define CONSOLE_LEVEL 3
#define DPC_ANY_CPU   0xff

#define KI_CACHE_LINE 64

/*
 * What the trap stubs leave on the stack. Link makes the frame a link of the frame-pointer chain, so that a stack walk
 * goes through an interrupt to what it interrupted.
 */
typedef struct _KI_TRAP_FRAME {
    struct _KI_TRAP_FRAME *Previous; /* the frame that this interrupt interrupted, NULL for none */
    ULONG64 PreviousIrql;
    ULONG MxCsr;
    ULONG Spare[3];
    M128A Xmm[6]; /* XMM0 to XMM5: what the Microsoft convention calls volatile */
    struct {
        ULONG64 Rbp;
        ULONG64 Rip;
    } Link;
    ULONG64 R15, R14, R13, R12, R11, R10, R9, R8, Rdi, Rsi, Rbp, Rbx, Rdx, Rcx, Rax;
    ULONG64 Vector;
    ULONG64 ErrorCode;
    ULONG64 Rip, Cs, Rflags, Rsp, Ss;
} KI_TRAP_FRAME;
C_ASSERT(sizeof(KI_TRAP_FRAME) % 16 == 0);

/* The descriptor tables and emergency stacks of one CPU (ke/cpu.c). */
typedef struct _KI_DESCRIPTORS KI_DESCRIPTORS;

/* Follows the KPCR at the offset that driver binaries know: processor number at GS:[184h], thread at GS:[188h]. */
struct _KPRCB {
    ULONG MxCsr;
    ULONG Number;
    PKTHREAD CurrentThread;
    TRACE_RING *TraceRing;
    ULONG ApicId;
    volatile LONG DpcRoutineActive; /* a DPC routine is running on this CPU */
    KI_TRAP_FRAME *InterruptFrame;  /* innermost interrupt, NULL when none is being served */
    PKDPC CurrentDpc;
    ULONG64 StackTop;           /* of the idle thread */
    volatile LONG DpcRequested; /* a DPC software interrupt is on its way to this CPU */
    volatile LONG64 InterruptCount;
    volatile LONG64 DpcCount;
    volatile LONG64 IpiCount;
    volatile LONG64 ClockCount;
    volatile LONG64 SpuriousCount;
    volatile LONG64 NmiCount;
    volatile LONG64 SpinCount; /* looks at a spin lock that was not free yet */
    volatile LONG Running;     /* this CPU has finished its start */
    KI_DESCRIPTORS *Descriptors;
    DIRQL_WORK_ROUTINE *WorkRoutine; /* what this CPU's work thread is to call (ke/work.c) */
    PVOID WorkContext;
    const volatile VOID
        *volatile AwaitedWord; /* what this CPU halts for, or is about to (ke/spinwait.c); NULL: nothing */
    volatile ULONG64 AwaitedPlace;
    volatile LONG WorkBusy;          /* from DirqlStartOn until the routine has returned */
    PKDPC CurrentThreadedDpc;        /* that its DPC thread runs, whatever has the CPU at the moment */
    volatile LONG ThreadedDpcActive; /* the DPC thread is out of its park: it runs one or is about to look for one */
    ULONG DpcTicks;                  /* clock ticks that the current DPC's routine has run for */
    ULONG DispatchTicks;             /* clock ticks in a row that found this CPU at DISPATCH_LEVEL or above */
    __attribute__((aligned(KI_CACHE_LINE))) KI_DPC_QUEUE DpcQueue;
    KI_DPC_QUEUE ThreadedDpcQueue;
    /* The dispatcher's (dispatcher.h). */
    __attribute__((aligned(KI_CACHE_LINE))) PKTHREAD volatile NextThread; /* that follows the current one */
    PKTHREAD IdleThread, DpcThread, WorkThread;
    PKTHREAD DeadThread;         /* the one that ended here and has just been left */
    volatile BOOLEAN QuantumEnd; /* the current thread has used its turn up */
    ULONG ReadySummary;          /* bit n: ReadyList[n] is not empty */
    LIST_ENTRY ReadyList[KI_PRIORITIES];
};

#define KPCR_PRCB_OFFSET 0x180

typedef union _KIPCR {
    KPCR Public;
    struct {
        UCHAR PublicBytes[KPCR_PRCB_OFFSET];
        KPRCB Prcb;
    };
} __attribute__((aligned(KI_CACHE_LINE))) KIPCR;
C_ASSERT(FIELD_OFFSET(KIPCR, Prcb) + FIELD_OFFSET(KPRCB, Number) == 0x184);
C_ASSERT(FIELD_OFFSET(KIPCR, Prcb) + FIELD_OFFSET(KPRCB, CurrentThread) == 0x188);
C_ASSERT(FIELD_OFFSET(KIPCR, Prcb) + FIELD_OFFSET(KPRCB, TraceRing) == TRACE_RING_GS);
C_ASSERT(sizeof(KPCR) <= KPCR_PRCB_OFFSET);

extern KIPCR KiPcr[MAXIMUM_CPUS];
extern ULONG KiProcessorCount;

static inline PKPRCB KiCurrentPrcb(VOID) {
    return (PKPRCB)__readgsqword(FIELD_OFFSET(KPCR, CurrentPrcb));
}

/* One instruction: exact although an interrupt may come and spin too. */
static inline VOID KiCountSpin(VOID) {
    __asm__ volatile("incq %%gs:%c0" : : "i"(FIELD_OFFSET(KIPCR, Prcb) + FIELD_OFFSET(KPRCB, SpinCount)) : "memory");
}

#define KI_CALLER ((ULONG64)__builtin_return_address(0))

/* Raise and lower, each recorded in the trace. Here and not in ke/irql.c: every spin lock is paid for with one of each. */
static inline __attribute__((always_inline)) KIRQL KiRaiseIrql(KIRQL irql, ULONG64 caller) {
    KIRQL old = (KIRQL)__readcr8();
    __writecr8(irql);
    trace(TraceIrqlRaise, old | (ULONG64)irql << 8, caller);
    return old;
}

static inline __attribute__((always_inline)) VOID KiLowerIrql(KIRQL irql, ULONG64 caller) {
    trace(TraceIrqlLower, __readcr8() | (ULONG64)irql << 8, caller);
    __writecr8(irql);
}

/* ke/spinlock.c: the lock word alone; the caller's IRQL keeps the holder on its CPU. caller goes into the trace. */
VOID KiWaitForSpinLock(KSPIN_LOCK *lock, ULONG64 caller) __attribute__((noinline)); /* held at return */
BOOLEAN KiTryToAcquireSpinLock(KSPIN_LOCK *lock, ULONG64 caller);
VOID KiReleaseSpinLock(KSPIN_LOCK *lock, ULONG64 caller);

static inline __attribute__((always_inline)) BOOLEAN KiTakeSpinLock(KSPIN_LOCK *lock, ULONG64 caller) {
    KSPIN_LOCK expected = 0;
    KSPIN_LOCK owner = (KSPIN_LOCK)KiCurrentPrcb();
    if (!__atomic_compare_exchange_n(lock, &expected, owner, FALSE, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        return FALSE;
    }
    trace(TraceLockAcquired, (ULONG64)lock, caller);
    return TRUE;
}

static inline __attribute__((always_inline)) VOID KiAcquireSpinLock(KSPIN_LOCK *lock, ULONG64 caller) {
    if (!KiTakeSpinLock(lock, caller)) {
        KiWaitForSpinLock(lock, caller);
    }
}

/* ke/cpu.c */
VOID KiInitializeProcessor(ULONG number, ULONG apic_id); /* each CPU, first thing: GDT, TSS, IDT, GS, CR0, CR4 */
#define KI_EMERGENCY_STACKS 3                            /* double fault, NMI, machine check */
VOID KiSetEmergencyStack(ULONG number, ULONG index, ULONG64 top); /* boot CPU, for each CPU before it starts */

/*
 * ke/identity.c (SYS-1). Take: boot CPU, before the others start. Compare: each other CPU, before it takes part; bugcheck
 * 0x3E: CPU; CPUID leaf << 8 | 0 EAX, 1 EBX, 2 ECX, 3 EDX, or all ones: MXCSR mask; the boot CPU's word; this CPU's.
 */
VOID KiTakeIdentity(VOID);
VOID KiCompareIdentity(VOID);

/* ke/trap.c: what answers a vector. Handlers run at the vector's IRQL with interrupts on; EOI follows unless early. */
typedef VOID KI_VECTOR_ROUTINE(KI_TRAP_FRAME *frame, PVOID context);
VOID KiConnectVector(ULONG vector, KI_VECTOR_ROUTINE *routine, PVOID context, BOOLEAN early_eoi);
VOID KiDisconnectVector(ULONG vector);
VOID KiDispatchTrap(KI_TRAP_FRAME *frame); /* called by the stubs */

/*
 * Page faults (ke/pagefault.c): who knows of pages that are not there (mm/paging.c). With resolve: below DISPATCH_LEVEL, interrupts
 * on, any CPU at return; the touch may be tried again if the answer is KiFaultResolved. Without: any IRQL, only a look.
 */
typedef enum _KI_FAULT {
    KiFaultInvalid,  /* no page belongs there */
    KiFaultPageOut,  /* a page does, and is out, or was when it was touched */
    KiFaultResolved, /* it is there now */
} KI_FAULT;
/* ke/guardedload.S. Any IRQL. FALSE: no page belongs to the address. A page that is out is as anywhere. */
BOOLEAN KiLoadIfThere(const VOID *address, ULONG64 *value);
extern KI_FAULT (*KiResolveFault)(ULONG64 address, ULONG64 rip,
                                  BOOLEAN resolve); /* NULL: there is no pageable memory */

#include "interrupt.h"

/* ke/ipi.c: runs routine on every other CPU at IPI_LEVEL and waits for all. Caller below IPI_LEVEL. */
typedef VOID KI_IPI_ROUTINE(PVOID context);
VOID KiConnectIpi(VOID);
VOID KiCallOthers(KI_IPI_ROUTINE *routine, PVOID context); /* any number of callers */

/* ke/idle.c */
VOID KiIdleLoop(VOID) __attribute__((noreturn));
/* The idle thread, PASSIVE_LEVEL, interrupts off (on again at return): until something happens. Out of line: one place for gdb. */
VOID KiWaitForInterrupt(VOID) __attribute__((noinline));
BOOLEAN KiLeaveIdle(ULONG number);                    /* interrupt entry: TRUE if the CPU was marked idle */
ULONG KiFindIdleProcessor(ULONG except, ULONG after); /* an idle CPU other than `after`, DPC_ANY_CPU if none */

/* ke/work.c: a thread for each CPU that runs what DirqlStartOn asks for. */
VOID KiWorkThread(PVOID context); /* its start routine; context: KPRCB */
BOOLEAN KiHasWork(VOID);          /* this CPU */
VOID KiStartWork(VOID);           /* the idle loop, interrupts on: wakes the thread */
BOOLEAN KiIsWorking(ULONG cpu);

/* ke/print.c. Any IRQL; takes the console's lock at HIGH_LEVEL; never from an NMI. */
VOID ConsoleWrite(const char *text, ULONG length);
ULONG ConsolePrint(const char *format, ...);

/* ke/processor.c: boot CPU, once all CPUs run */
VOID KiPublishProcessorCount(VOID);

/* ke/clock.c */
VOID KiConnectClock(VOID);
VOID KiStartClock(VOID); /* boot CPU, at CLOCK_LEVEL or above: time and its ticks begin */
extern ULONG KiClockPeriod100ns;

/*
 * ke/raise.c: the exception `status`, which happened at `address`, for whoever handles it. Any IRQL. About: it came up while the other
 * one was dealt with.
 */
VOID KiRaiseStatus(NTSTATUS status, ULONG64 address, ULONG64 parameter0, ULONG64 parameter1) __attribute__((noreturn));

VOID KiOfferStatus(NTSTATUS status,
                   ULONG64 address); /* returns if nobody handles it: it is the caller's to tell then */
VOID KiRaiseAbout(NTSTATUS status, ULONG64 address, PEXCEPTION_RECORD other) __attribute__((noreturn));
/* Whoever looks for handlers (seh/dispatch.c); NULL: there is none yet. TRUE: go on at *context; FALSE: nobody handles it. */
extern BOOLEAN (*KiDispatchException)(PEXCEPTION_RECORD record, PCONTEXT context);
BOOLEAN KiAskHandlers(PEXCEPTION_RECORD record, PCONTEXT context); /* that, if there is anyone to ask */
/* Of what a trap has interrupted. Returns if nobody handles it. */
VOID KiAskHandlersOf(const KI_TRAP_FRAME *frame, NTSTATUS status, ULONG parameters, ULONG64 first, ULONG64 second);

/* Exceptions: vectors 0 to 31 but the APC's, and two that code raises by INT (intrinsics __fastfail, DbgRaiseAssertionFailure). */
#define KI_EXCEPTIONS       32
#define KI_FAST_FAIL_VECTOR 0x29
#define KI_ASSERTION_VECTOR 0x2c
static inline BOOLEAN KiIsRaisingVector(ULONG vector) {
    return vector == KI_FAST_FAIL_VECTOR || vector == KI_ASSERTION_VECTOR;
}

/* ke/exception.c. Returns from an NMI only. */
VOID KiException(KI_TRAP_FRAME *frame);

/* ke/pagefault.c. Returns when the access may be tried again. */
VOID KiPageFault(KI_TRAP_FRAME *frame);
extern ULONG64 (*KiPageEntry)(ULONG64 address); /* set by mm/: the page table's entry, 0 if there is none. Any IRQL */

/* ke/bugcheck.c */
typedef struct _KI_CAUSE {
    ULONG Code;
    KI_ACCESS Access;
    ULONG64 Parameter[4];
    ULONG64 Address;
    const char *Text; /* what the code does not say, NULL: nothing */
} KI_CAUSE;
VOID KiBugCheckCause(const KI_CAUSE *cause, KI_TRAP_FRAME *frame) __attribute__((noreturn));
VOID KiBugCheckFrame(ULONG code, ULONG64 p1, ULONG64 p2, ULONG64 p3, ULONG64 p4, KI_TRAP_FRAME *frame)
    __attribute__((noreturn));
/* Called once the record is complete, before the machine ends; any IRQL, every other CPU stopped. */
extern VOID (*KiReportBugCheck)(ULONG code);
BOOLEAN KiIsBugChecking(VOID);     /* this CPU: what it raises now is no exception for anyone */
VOID KiCallBugCheckRoutines(VOID); /* those that drivers registered; the others are stopped */
VOID KiEndMachine(HOST_EXIT exit) __attribute__((noreturn));
VOID KiFreezeProcessor(KI_TRAP_FRAME *frame); /* NMI: saves the registers and stops if a bugcheck is under way */
