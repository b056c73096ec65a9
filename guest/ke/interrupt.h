/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupt objects inside the kernel layer: the object, its spin lock, vectors and what is counted of them. Drivers know
 * them by the DDK's routines (include/nt/interrupts.h), the I/O manager by what stands here. Included by ki.h.
 */
#pragma once

#include "../include/ddk.h"

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
    ULONG Cpu; /* the CPU that the interrupt goes to, for the trace */
} KI_INTERRUPT_PARAMETERS;

/* An interrupt object; its storage is the caller's, resident until KiDisconnectInterrupt has returned. */
struct _KINTERRUPT {
    struct _KINTERRUPT *Next; /* connection order */
    KI_INTERRUPT_PARAMETERS Parameters;
    PKSPIN_LOCK ActualLock;
    KSPIN_LOCK OwnLock;
    volatile LONG64 Count;
    volatile LONG64 Claimed;
};

/* PASSIVE_LEVEL. STATUS_INVALID_PARAMETER: the vector is taken and not shared in the same way. */
NTSTATUS KiConnectInterrupt(PKINTERRUPT interrupt, const KI_INTERRUPT_PARAMETERS *parameters);
/* PASSIVE_LEVEL; returns when no CPU runs its ISR. */
VOID KiDisconnectInterrupt(PKINTERRUPT interrupt);
BOOLEAN KiIsOnlyInterrupt(PKINTERRUPT interrupt); /* nothing else is connected to its vector */
ULONG KiInterruptVector(PKINTERRUPT interrupt);
BOOLEAN KiQueryInterrupt(ULONG vector, PKINTERRUPT *interrupt, ULONG64 *count, ULONG64 *claimed);
VOID KiSetInterruptCpu(PKINTERRUPT interrupt, ULONG cpu);
ULONG KiAllocateVector(KIRQL irql); /* 0: none left at this level */
VOID KiFreeVector(ULONG vector);
ULONG KiCountVectors(VOID); /* allocated now */
