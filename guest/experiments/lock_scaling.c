/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock-scaling, the half on the guest: CPUs that fight for one lock, of four kinds. Two are the executive's, by the DDK's
 * names; the ticket lock and the plain test-and-test-and-set lock are here, with counts of their own. What the host asks
 * for and what came of it is in LockScaling; the traced variant marks each request, so that who overtook whom is known.
 */
#include <ntddk.h>

#include <dirql.h>

#define MAXIMUM_CPUS 64
#define LINE         64

typedef enum _SCALING_LOCK {
    ScalingExecutive = 0, /* KeAcquireSpinLock */
    ScalingQueued = 1,    /* KeAcquireInStackQueuedSpinLock */
    ScalingTicket = 2,
    ScalingTtas = 3,
} SCALING_LOCK;

/* Values of TraceMark: what, and the lock's kind. */
typedef enum _SCALING_MARK {
    ScalingRequests = 1, /* is about to ask */
    ScalingWaits = 2,    /* has its place, or has failed once; of our own locks only: the executive records its own */
    ScalingEnters = 3,
    ScalingLeaves = 4, /* still holds it */
} SCALING_MARK;

typedef struct _SCALING_CPU {
    volatile ULONG64 Acquisitions;
    volatile ULONG64 Spins; /* PAUSEs, of our own locks only: the executive counts its own */
    ULONG64 Random;         /* this CPU's own sequence */
    ULONG64 Spare[5];
} SCALING_CPU;
C_ASSERT(sizeof(SCALING_CPU) == LINE);

typedef struct _LOCK_SCALING {
    ULONG Lock;    /* SCALING_LOCK */
    ULONG Cpus;    /* the first so many take part */
    ULONG Total;   /* acquisitions, of all of them together, */
    ULONG Marks;   /* 1: the traced variant */
    ULONG Hold;    /* most PAUSEs with the lock held; how many is drawn each time */
    ULONG Think;   /* and without, between two requests */
    ULONG64 Seed;  /* of what is drawn */
    ULONG64 Limit; /* or as many as there are in so many ticks of the TSC; 0: no limit */
    ULONG64 Begin; /* TSC */
    ULONG64 End;
    ULONG64 Done; /* under the lock, and on purpose not an atomic: it proves the lock */
    volatile LONG Ready;
    ULONG Over; /* under the lock: it has ended */
    SCALING_CPU Cpu[MAXIMUM_CPUS];
} LOCK_SCALING;

LOCK_SCALING LockScaling __attribute__((aligned(LINE)));

/* Each lock in a line of its own. */
static KSPIN_LOCK Plain __attribute__((aligned(LINE)));
static KSPIN_LOCK InStack __attribute__((aligned(LINE)));
static struct {
    volatile ULONG Next;
    volatile ULONG Serving;
} Ticket __attribute__((aligned(LINE)));
static volatile LONG Ttas __attribute__((aligned(LINE)));
static UCHAR AfterTheLocks[LINE] __attribute__((aligned(LINE), used));

static inline VOID Mark(SCALING_MARK what) {
    if (LockScaling.Marks) {
        DirqlTraceMark(what, LockScaling.Lock);
    }
}

static VOID AcquireTicket(SCALING_CPU *cpu) {
    /* Relaxed: only the number counts. The read of Serving acquires what the last holder did. */
    ULONG ticket = __atomic_fetch_add(&Ticket.Next, 1, __ATOMIC_RELAXED);
    if (__atomic_load_n(&Ticket.Serving, __ATOMIC_ACQUIRE) == ticket) {
        return;
    }
    Mark(ScalingWaits);
    do {
        cpu->Spins++;
        YieldProcessor();
    } while (__atomic_load_n(&Ticket.Serving, __ATOMIC_ACQUIRE) != ticket);
}

static VOID ReleaseTicket(VOID) {
    /* Only the holder stores here. Release: what it did is seen by the next. */
    __atomic_store_n(&Ticket.Serving, Ticket.Serving + 1, __ATOMIC_RELEASE);
}

static VOID AcquireTtas(SCALING_CPU *cpu) {
    if (__atomic_exchange_n(&Ttas, 1, __ATOMIC_ACQUIRE) == 0) {
        return;
    }
    Mark(ScalingWaits);
    do {
        /* Relaxed: a hint that an exchange is worth while. */
        while (__atomic_load_n(&Ttas, __ATOMIC_RELAXED) != 0) {
            cpu->Spins++;
            YieldProcessor();
        }
    } while (__atomic_exchange_n(&Ttas, 1, __ATOMIC_ACQUIRE) != 0);
}

/* 0 to most PAUSEs, by a linear congruential generator (Knuth's MMIX constants). */
static inline VOID Pause(SCALING_CPU *cpu, ULONG most) {
    cpu->Random = cpu->Random * 6364136223846793005ull + 1442695040888963407ull;
    for (ULONG64 i = (cpu->Random >> 33) % (most + 1ull); i > 0; i--) {
        YieldProcessor();
    }
}

/* The lock is held. FALSE: it is over, and this one does not count. */
static inline BOOLEAN Inside(SCALING_CPU *cpu) {
    LOCK_SCALING *run = &LockScaling;
    BOOLEAN counts = !run->Over;
    Mark(ScalingEnters);
    if (counts) {
        run->Done++;
        cpu->Acquisitions++;
        Pause(cpu, run->Hold);
        run->End = __rdtsc();
        run->Over = run->Done == run->Total || (run->Limit != 0 && run->End - run->Begin > run->Limit);
    }
    Mark(ScalingLeaves);
    return counts;
}

static BOOLEAN AcquireOnce(SCALING_CPU *cpu) {
    KLOCK_QUEUE_HANDLE handle;
    KIRQL irql;
    BOOLEAN counts;
    Mark(ScalingRequests);
    switch (LockScaling.Lock) {
    case ScalingExecutive:
        KeAcquireSpinLock(&Plain, &irql);
        counts = Inside(cpu);
        KeReleaseSpinLock(&Plain, irql);
        return counts;
    case ScalingQueued:
        KeAcquireInStackQueuedSpinLock(&InStack, &handle);
        counts = Inside(cpu);
        KeReleaseInStackQueuedSpinLock(&handle);
        return counts;
    case ScalingTicket:
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        AcquireTicket(cpu);
        counts = Inside(cpu);
        ReleaseTicket();
        KeLowerIrql(irql);
        return counts;
    default:
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        AcquireTtas(cpu);
        counts = Inside(cpu);
        __atomic_store_n(&Ttas, 0, __ATOMIC_RELEASE);
        KeLowerIrql(irql);
        return counts;
    }
}

static VOID NTAPI Compete(PVOID Context) {
    LOCK_SCALING *run = &LockScaling;
    SCALING_CPU *cpu = &run->Cpu[(ULONG_PTR)Context];
    cpu->Random = run->Seed + (ULONG_PTR)Context * 0x9e3779b97f4a7c15ull;
    InterlockedIncrement(&run->Ready);
    while (run->Ready != (LONG)run->Cpus) { /* all start together */
        YieldProcessor();
    }
    while (AcquireOnce(cpu)) {
        Pause(cpu, run->Think);
    }
}

/* Called by the host, which has filled in the parameters. PASSIVE_LEVEL. */
VOID NTAPI RunLockScaling(PVOID Context);
VOID NTAPI RunLockScaling(PVOID Context) {
    LOCK_SCALING *run = &LockScaling;
    UNREFERENCED_PARAMETER(Context);
    RtlZeroMemory(run->Cpu, sizeof run->Cpu);
    KeInitializeSpinLock(&Plain);
    KeInitializeSpinLock(&InStack);
    run->Done = 0;
    run->Ready = 0;
    run->Over = FALSE;
    for (ULONG cpu = 1; cpu < run->Cpus; cpu++) {
        DirqlStartOn(cpu, Compete, (PVOID)(ULONG_PTR)cpu);
    }
    while (run->Ready != (LONG)run->Cpus - 1) {
        YieldProcessor();
    }
    run->Begin = __rdtsc();
    Compete(NULL);
    for (ULONG cpu = 1; cpu < run->Cpus; cpu++) {
        DirqlWaitFor(cpu);
    }
}

static VOID NTAPI ScalingUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

DRIVER_INITIALIZE DriverEntry;
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = ScalingUnload;
    return STATUS_SUCCESS;
}
