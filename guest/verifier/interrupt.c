/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupt spin locks (spec sections 6 and 7): the checked forms of what takes them, and the hooks around a driver's ISRs, DPCs
 * and other routines. That the IRQL is wrong at the end of one is 0xC8 IRQL_UNEXPECTED_VALUE.
 */
#include "vi.h"

#include "../include/mutant.h"

/* Third byte of 0xC8's first parameter: what kind of routine it was (bug-check-0xc8). */
#define UNEXPECTED_ISR 3

VOID ViCheckReturnedIrql(ULONG64 routine, ULONG64 object, KIRQL expected, ULONG what) {
    KIRQL irql = (KIRQL)__readcr8();
    if (irql != expected &&
        !MUTANT(VfAnyIrqlAfterRoutine, "IRQL-6", "the verifier does not look at the IRQL that a routine returns at")) {
        VF_VIOLATION violation = {
            .Code = IRQL_UNEXPECTED_VALUE,
            .Parameter = {(ULONG64)irql << 16 | (ULONG64)expected << 8 | what, routine, object, 0},
            .Text = "a routine returned at another IRQL than it was called at",
        };
        ViReportSites(&violation);
    }
}

VOID ViConnectInterrupt(PKINTERRUPT interrupt) {
    VI_REQUEST request = ViRequest((ULONG64)interrupt->ActualLock, ViInterrupt, ViService, VI_FRAME);
    request.HeldIrql = interrupt->Parameters.SynchronizeIrql;
    ViLearnKind(&request);
}

VOID ViEnterServiceRoutine(PKINTERRUPT interrupt, ULONG64 routine) {
    VI_REQUEST held = {.Lock = (ULONG64)interrupt->ActualLock, .Kind = ViInterrupt, .Form = ViService};
    held.Irql = held.HeldIrql = (KIRQL)__readcr8();
    held.Stack[0] = routine;
    ViPushHeld(&held);
}

VOID ViLeaveServiceRoutine(PKINTERRUPT interrupt, ULONG64 routine) {
    VI_REQUEST *held = ViFindHeld((ULONG64)interrupt->ActualLock);
    if (held != NULL) { /* NULL: the verifier was off when the routine was entered */
        ViCheckReturnedIrql(routine, (ULONG64)interrupt, held->HeldIrql, UNEXPECTED_ISR);
        ViPopHeld(held);
    }
}

VOID ViLeaveRoutine(ULONG64 routine, ULONG64 argument, KIRQL expected) {
    const VI_REQUEST *held = ViHeld(0);
    if (held != NULL) {
        /* The rule SpinLock of the documented DDI compliance rules: what a routine takes it gives back before it returns. */
        const char *text = "a routine returned holding a spin lock";
        VF_VIOLATION violation = {
            .Code = DRIVER_VERIFIER_DETECTED_VIOLATION,
            .Parameter = {VI_RULE_SPIN_LOCK, (ULONG64)text, held->Lock, routine},
            .Text = text,
            .SiteCount = 1,
        };
        ViFillSite(&violation.Site[0], held);
        ViReportSites(&violation);
    }
    ViCheckReturnedIrql(routine, argument, expected, VI_UNEXPECTED_CALLOUT);
}

/* SYN-4. The documents say "IRQL <= SynchronizeIrql"; 0x30 (a raise to a lower level) is what it comes to. */
static VI_REQUEST ViEnter(PKINTERRUPT interrupt, VI_FORM form, ULONG64 frame) {
    VI_REQUEST request = ViRequest((ULONG64)interrupt->ActualLock, ViInterrupt, form, frame);
    request.HeldIrql = interrupt->Parameters.SynchronizeIrql;
    if (request.Irql > request.HeldIrql &&
        !MUTANT(VfSynchronizesAnywhere, "SYN-4", "the verifier lets an interrupt spin lock be taken above its IRQL")) {
        ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, VI_RAISE_BAD, request.Irql, request.HeldIrql, 0,
                 "an interrupt spin lock is taken above the interrupt's SynchronizeIrql", &request);
    }
    ViBeforeAcquire(&request);
    return request;
}

typedef struct _VI_SYNCHRONIZED {
    PKSYNCHRONIZE_ROUTINE Routine;
    PVOID Context;
    PKINTERRUPT Interrupt;
    const VI_REQUEST *Request;
} VI_SYNCHRONIZED;

/* In place of the driver's routine, with the lock held. */
static BOOLEAN NTAPI ViSynchronized(PVOID context) {
    const VI_SYNCHRONIZED *call = context;
    ViPushHeld(call->Request);
    BOOLEAN value = call->Routine(call->Context);
    ViCheckReturnedIrql((ULONG64)call->Routine, (ULONG64)call->Interrupt, call->Request->HeldIrql,
                        VI_UNEXPECTED_CALLOUT);
    ViPopHeld(ViFindHeld(call->Request->Lock));
    return value;
}

static BOOLEAN NTAPI ViSynchronizeExecution(PKINTERRUPT Interrupt, PKSYNCHRONIZE_ROUTINE SynchronizeRoutine,
                                            PVOID SynchronizeContext) {
    if (Interrupt->PassiveLock != NULL && __readcr8() == PASSIVE_LEVEL) { /* no spin lock to watch */
        return KiSynchronizeExecution(Interrupt, SynchronizeRoutine, SynchronizeRoutine, SynchronizeContext, KI_CALLER);
    }
    VI_REQUEST request = ViEnter(Interrupt, ViService, VI_FRAME);
    VI_SYNCHRONIZED call = {SynchronizeRoutine, SynchronizeContext, Interrupt, &request};
    return KiSynchronizeExecution(Interrupt, SynchronizeRoutine, ViSynchronized, &call, KI_CALLER);
}
NT_VERIFIED(KeSynchronizeExecution, ViSynchronizeExecution);

static KIRQL NTAPI ViAcquireInterruptLock(PKINTERRUPT Interrupt) {
    KiRefusePassive(Interrupt, KI_CALLER);
    VI_REQUEST request = ViEnter(Interrupt, ViInterruptLock, VI_FRAME);
    KiRaiseIrql(request.HeldIrql, KI_CALLER);
    KiAcquireInterruptLock(Interrupt->ActualLock, KI_CALLER);
    ViAfterAcquire(&request);
    return request.Irql;
}
NT_VERIFIED(KeAcquireInterruptSpinLock, ViAcquireInterruptLock);

static VOID NTAPI ViReleaseInterruptLock(PKINTERRUPT Interrupt, KIRQL OldIrql) {
    KiRefusePassive(Interrupt, KI_CALLER);
    ULONG64 lock = (ULONG64)Interrupt->ActualLock;
    VI_REQUEST *held = ViCheckRelease(lock, ViInterrupt, ViInterruptLock, VI_FRAME);
    ViCheckReleaseIrql(lock, VI_KERNEL_RELEASE_IRQL, OldIrql, VI_FRAME);
    ViCheckLower(held, OldIrql, VI_FRAME);
    ViForgetHolding(held);
    KiReleaseInterruptLock(Interrupt->ActualLock, KI_CALLER);
    KiLowerIrql(OldIrql, KI_CALLER);
}
NT_VERIFIED(KeReleaseInterruptSpinLock, ViReleaseInterruptLock);
