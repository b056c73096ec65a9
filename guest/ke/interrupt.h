/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupt objects inside the kernel layer: the object, its spin lock, vectors and what is counted of them. Drivers know
 * them by the DDK's routines (include/nt/interrupts.h), the I/O manager by what stands here. Included by ki.h.
 */
#pragma once

#include "../include/ddk.h"
#include "../include/hostif.h"

/*
 * An interrupt spin lock, in the storage of a KSPIN_LOCK that KeInitializeSpinLock has made 0. First come, first served: who
 * wants it draws a ticket from Next and has it when Serving is that ticket (ke/interruptlock.c).
 */
typedef struct _KI_INTERRUPT_LOCK {
    volatile USHORT Serving;
    volatile USHORT Next;
    volatile ULONG Holder; /* CPU + 1, 0: none; for whoever looks, nothing is decided by it */
} KI_INTERRUPT_LOCK;
C_ASSERT(sizeof(KI_INTERRUPT_LOCK) == sizeof(KSPIN_LOCK));

/* At the lock's IRQL, which keeps the holder on its CPU. caller goes into the trace. */
VOID KiAcquireInterruptLock(PKSPIN_LOCK lock, ULONG64 caller);
VOID KiReleaseInterruptLock(PKSPIN_LOCK lock, ULONG64 caller);

/* ke/synchronize.c: KeSynchronizeExecution; `shown` is what the trace names as the routine. */
BOOLEAN KiSynchronizeExecution(PKINTERRUPT interrupt, PKSYNCHRONIZE_ROUTINE shown, PKSYNCHRONIZE_ROUTINE routine,
                               PVOID context, ULONG64 caller);

typedef struct _KI_INTERRUPT_PARAMETERS {
    PKSERVICE_ROUTINE ServiceRoutine; /* or */
    PKMESSAGE_SERVICE_ROUTINE MessageServiceRoutine;
    PVOID ServiceContext;
    ULONG MessageId;
    PKSPIN_LOCK SpinLock; /* NULL: the object's own */
    ULONG Vector;
    KIRQL Irql;
    KIRQL SynchronizeIrql;
    KINTERRUPT_MODE Mode;
    BOOLEAN ShareVector;
    KAFFINITY Affinity; /* the CPUs that may take it; on any other the vector is as good as not connected */
    ULONG Cpu;          /* the CPU that the interrupt goes to, for the trace */
    const VOID *Owner;  /* whose it is, for KiFindInterrupt; NULL: nobody said */
} KI_INTERRUPT_PARAMETERS;

/* An interrupt object; its storage is the caller's, resident until KiDisconnectInterrupt has returned. */
struct _KINTERRUPT {
    struct _KINTERRUPT *Next; /* connection order */
    KI_INTERRUPT_PARAMETERS Parameters;
    PKSPIN_LOCK ActualLock;
    KSPIN_LOCK OwnLock;
    volatile LONG64 Count;
    volatile LONG64 Claimed;
    volatile BOOLEAN Active; /* written and read under ActualLock (INT-8) */
    struct _KINTERRUPT
        *PassiveObject;  /* the driver's object that this one stands for at the vector; NULL: this is it */
    PKEVENT PassiveLock; /* of a passive-level interrupt, in place of the spin lock (io/passive.c); else NULL */
};

/* ke/synchronize.c: the event of a passive-level interrupt. PASSIVE_LEVEL; acquiring waits. */
VOID KiAcquirePassiveInterrupt(PKINTERRUPT interrupt);
VOID KiReleasePassiveInterrupt(PKINTERRUPT interrupt);
/* Any IRQL: a bugcheck if it is one, which has no spin lock. */
VOID KiRefusePassive(PKINTERRUPT interrupt, ULONG64 caller);

/* ke/interrupt.c. PASSIVE_LEVEL or above. STATUS_INVALID_PARAMETER: the vector is taken and not shared in the same way. */
NTSTATUS KiConnectInterrupt(PKINTERRUPT interrupt, const KI_INTERRUPT_PARAMETERS *parameters);
VOID KiUnlinkInterrupt(PKINTERRUPT interrupt); /* no walk of the vector's chain that begins after it finds the object */
/* PASSIVE_LEVEL; returns when no walk that began before it is left on another CPU: no CPU runs the ISR. */
VOID KiAwaitInterruptWalks(ULONG vector);
VOID KiDisconnectInterrupt(PKINTERRUPT interrupt); /* PASSIVE_LEVEL; the two above */
/* IRQL <= SynchronizeIrql. When it returns FALSE has taken effect: the ISR is not running and is not called. */
VOID KiSetInterruptActive(PKINTERRUPT interrupt, BOOLEAN active);
VOID KiSetInterruptCpu(PKINTERRUPT interrupt, ULONG cpu);
BOOLEAN KiQueryInterrupt(ULONG vector, PKINTERRUPT *interrupt, ULONG64 *count, ULONG64 *claimed);
/* What is connected to a vector, as a whole. */
typedef struct _KI_VECTOR_USE {
    ULONG Objects;
    ULONG Active;
    KAFFINITY Affinity; /* the CPUs that all of them allow; all ones where there are none */
} KI_VECTOR_USE;
KI_VECTOR_USE KiQueryVectorUse(ULONG vector);
/* The first object of this owner, or whose service routine lies in [base, base + size); NULL: none. */
PKINTERRUPT KiFindInterrupt(const VOID *owner, ULONG64 base, ULONG64 size);

/* ke/servicechain.c: what a vector that has interrupt objects is connected to. */
VOID KiInterruptChain(KI_TRAP_FRAME *frame, PVOID context);
extern struct _KINTERRUPT *volatile KiInterrupts[256]; /* first of each vector's chain */
/* Odd while the CPU walks the vector's chain. */
extern volatile UCHAR KiChainWalks[MAXIMUM_CPUS][256];

/* ke/vectors.c: which vectors are whose. */
BOOLEAN
KiIsDeviceVector(ULONG vector);     /* one that a driver may connect to: not the executive's own, IRQL 3 and above */
ULONG KiAllocateVector(KIRQL irql); /* 0: none left at this level */
VOID KiFreeVector(ULONG vector);
BOOLEAN KiReserveVector(ULONG vector); /* FALSE: it was allocated already */
VOID KiKeepVector(ULONG vector);       /* an allocated one that is never freed and no longer counts */
ULONG KiCountVectors(VOID);            /* allocated now and to be freed */

/* What was taken of each vector, since the start. */
extern volatile ULONG64 KiInterruptCounts[MAXIMUM_CPUS][256];
extern volatile ULONG64 KiUnexpectedCounts[256]; /* of those: nothing was connected to it for this CPU, or inactive */
extern volatile ULONG64 KiUnclaimedCounts[256];  /* of those: no service routine returned TRUE */
VOID KiCountUnexpected(const KI_TRAP_FRAME *frame);
