/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passive-level interrupts (INT-9): the vector's own object is the kernel's; it answers at DIRQL, masks a level line, and
 * wakes a thread that calls the driver's service routine at PASSIVE_LEVEL, where it may wait, and then opens the line again.
 * What synchronises with the routine is an event in place of the interrupt spin lock (using-passive-level-interrupt-handling-routines).
 */
#include "../include/mutant.h"
#include "iop.h"

#include "../ps/ps.h"

#define PASSIVE_PRIORITY KI_LOWEST_REAL_TIME

typedef struct _IOP_PASSIVE {
    struct _KINTERRUPT Object; /* the driver's: in no chain */
    struct _KINTERRUPT Trap;   /* the kernel's, at the vector */
    KEVENT Lock;               /* set: nobody is inside the routine or synchronises with it */
    KEVENT Arrived;
    KDPC Dpc;
    ULONG Pin; /* BOOT_NO_PIN: no line's vector */
    PKTHREAD Thread;
    volatile LONG Stop;
} IOP_PASSIVE;

static IOP_PASSIVE *IopPassiveOf(PKINTERRUPT object) {
    return CONTAINING_RECORD(object, IOP_PASSIVE, Object);
}

static VOID NTAPI IopPassiveArrived(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    KeSetEvent(&((IOP_PASSIVE *)DeferredContext)->Arrived, IO_NO_INCREMENT, FALSE);
}

/* At DIRQL, with the trap's interrupt spin lock. A level line is held until the driver's routine has dealt with its device. */
static BOOLEAN NTAPI IopPassiveTrap(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    IOP_PASSIVE *passive = ServiceContext;
    if (passive->Pin != BOOT_NO_PIN && Interrupt->Parameters.Mode == LevelSensitive) {
        Interrupt->Active = FALSE;
        trace(TraceInterruptActive, (ULONG64)Interrupt, FALSE);
        IopHoldLine(passive->Pin);
    }
    KeInsertQueueDpc(&passive->Dpc, NULL, NULL);
    return TRUE;
}

static VOID IopOpenPassiveLine(IOP_PASSIVE *passive) {
    if (passive->Pin != BOOT_NO_PIN && passive->Trap.Parameters.Mode == LevelSensitive) {
        KiSetInterruptActive(&passive->Trap, TRUE);
        IopHoldLine(passive->Pin);
    }
}

static VOID IopServePassive(IOP_PASSIVE *passive) {
    PKINTERRUPT object = &passive->Object;
    ULONG64 routine = (ULONG64)object->Parameters.ServiceRoutine;
    KIRQL level = MUTANT(PassiveAtDirql, "INT-9", "a passive-level service routine runs at DISPATCH_LEVEL")
        ? DISPATCH_LEVEL
        : PASSIVE_LEVEL;
    BOOLEAN lock = !MUTANT(PassiveWithoutLock, "INT-9", "a passive-level service routine runs without its event");
    if (lock) {
        KiAcquirePassiveInterrupt(object);
    }
    if (object->Active) {
        __writecr8(level);
        trace(TraceWorkStart, (ULONG64)object, routine); /* to the trace it is a thread's work, not an ISR */
        BOOLEAN claimed = object->Parameters.ServiceRoutine(object, object->Parameters.ServiceContext);
        trace(TraceWorkEnd, (ULONG64)object, routine);
        __writecr8(PASSIVE_LEVEL);
        object->Count++;
        object->Claimed += claimed != FALSE;
        IopOpenPassiveLine(passive);
    } /* otherwise the line stays held until it is active again */
    if (lock) {
        KiReleasePassiveInterrupt(object);
    }
}

static VOID IopPassiveThread(PVOID context) {
    IOP_PASSIVE *passive = context;
    for (;;) {
        KeWaitForSingleObject(&passive->Arrived, Executive, KernelMode, FALSE, NULL);
        /* Relaxed: the event orders it. */
        if (__atomic_load_n(&passive->Stop, __ATOMIC_RELAXED) != FALSE) {
            return;
        }
        IopServePassive(passive);
    }
}

static NTSTATUS IopConnectTrap(IOP_PASSIVE *passive, const KI_INTERRUPT_PARAMETERS *given) {
    KI_INTERRUPT_PARAMETERS parameters = *given;
    parameters.ServiceRoutine = IopPassiveTrap;
    parameters.ServiceContext = passive;
    parameters.Irql = parameters.SynchronizeIrql = VECTOR_IRQL(given->Vector);
    parameters.ShareVector =
        FALSE; /* a routine that cannot say at once whether its device interrupted shares with nobody */
    parameters.Owner = given->Owner;
    return passive->Pin != BOOT_NO_PIN ? IopConnectToLine(passive->Pin, &passive->Trap, &parameters)
                                       : KiConnectInterrupt(&passive->Trap, &parameters);
}

static VOID IopFreePassive(IOP_PASSIVE *passive) {
    __atomic_store_n(&passive->Stop, TRUE, __ATOMIC_RELAXED); /* ordered by the event */
    KeSetEvent(&passive->Arrived, IO_NO_INCREMENT, FALSE);
    KeWaitForSingleObject(passive->Thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(passive->Thread);
    ExFreePoolWithTag(passive, POOL_TAG_INTERRUPT);
}

NTSTATUS IopConnectPassive(const KI_INTERRUPT_PARAMETERS *given, PKINTERRUPT *interrupt) {
    IOP_PASSIVE *passive = ExAllocatePoolWithTag(NonPagedPool, sizeof *passive, POOL_TAG_INTERRUPT);
    if (passive == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    RtlZeroMemory(passive, sizeof *passive);
    passive->Object.Parameters = *given;
    passive->Object.Active = TRUE;
    passive->Object.PassiveLock = &passive->Lock;
    passive->Pin = IopPinOfVector(given->Vector);
    KeInitializeEvent(&passive->Lock, SynchronizationEvent, TRUE);
    KeInitializeEvent(&passive->Arrived, SynchronizationEvent, FALSE);
    KeInitializeDpc(&passive->Dpc, IopPassiveArrived, passive);
    passive->Thread = PsNewThread(IopPassiveThread, passive, PASSIVE_PRIORITY, KeQueryActiveProcessors());
    if (passive->Thread == NULL) {
        ExFreePoolWithTag(passive, POOL_TAG_INTERRUPT);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    *interrupt = &passive->Object; /* before the first interrupt (INT-7) */
    KiStartThread(passive->Thread);
    NTSTATUS status = IopConnectTrap(passive, given);
    if (!NT_SUCCESS(status)) {
        *interrupt = NULL;
        IopFreePassive(passive);
        return status;
    }
    passive->Trap.PassiveObject = &passive->Object; /* for whoever looks for what an image left connected */
    return STATUS_SUCCESS;
}

VOID IopDisconnectPassive(PKINTERRUPT object) {
    IOP_PASSIVE *passive = IopPassiveOf(object);
    if (passive->Pin != BOOT_NO_PIN) {
        IopDisconnectFromLine(passive->Pin, &passive->Trap);
    } else {
        KiDisconnectInterrupt(&passive->Trap);
    }
    KeFlushQueuedDpcs(); /* its DPC is not queued again, and has run */
    IopFreePassive(passive);
}

VOID IopSetPassiveActive(PKINTERRUPT object, BOOLEAN active) {
    IOP_PASSIVE *passive = IopPassiveOf(object);
    KiAcquirePassiveInterrupt(object);
    object->Active = active;
    KiSetInterruptActive(&passive->Trap, active);
    if (passive->Pin != BOOT_NO_PIN) {
        IopHoldLine(passive->Pin);
    }
    KiReleasePassiveInterrupt(object);
}
