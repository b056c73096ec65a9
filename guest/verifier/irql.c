/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checked forms of raising and lowering, for drivers that import them (driver/outofline.h). Each CPU remembers its raises;
 * those that a driver took back by an inline KeLowerIrql are found to be stale because the CPU is below them.
 */
#include "vi.h"

#include "../include/mutant.h"

#define RAISE_LIMIT 16

typedef struct _VI_RAISE {
    KIRQL From;
    KIRQL To;
} VI_RAISE;

typedef struct _VI_RAISES {
    VI_RAISE Raise[RAISE_LIMIT];
    ULONG Count;
} __attribute__((aligned(KI_CACHE_LINE))) VI_RAISES;

static VI_RAISES ViRaises[MAXIMUM_CPUS];

/* Interrupts off: an ISR raises and lowers too. */
static VI_RAISES *ViFreshRaises(KIRQL irql) {
    VI_RAISES *raises = &ViRaises[KiCurrentPrcb()->Number];
    while (raises->Count != 0 && raises->Raise[raises->Count - 1].To > irql) {
        raises->Count--;
    }
    return raises;
}

static KIRQL ViRaiseTo(KIRQL irql, ULONG64 frame, ULONG64 caller) {
    KIRQL current = (KIRQL)__readcr8();
    if ((irql < current || irql > HIGH_LEVEL) &&
        !MUTANT(VfRaisesDown, "IRQL-3", "the verifier lets IRQL be raised to a lower level")) {
        VI_REQUEST request = ViRequest(0, ViSpin, ViRaise, frame);
        ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, VI_RAISE_BAD, current, irql, 0,
                 "IRQL is raised to a level below the current one, or to none", &request);
    }
    ULONG64 flags = KiDisableInterrupts();
    VI_RAISES *raises = ViFreshRaises(current);
    if (raises->Count < RAISE_LIMIT) {
        raises->Raise[raises->Count++] = (VI_RAISE){.From = current, .To = irql};
    }
    KiRestoreInterrupts(flags);
    return KiRaiseIrql(irql, caller);
}

static KIRQL NTAPI ViRaiseIrql(KIRQL NewIrql) {
    return ViRaiseTo(NewIrql, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(KfRaiseIrql, ViRaiseIrql);

static KIRQL NTAPI ViRaiseIrqlToDpcLevel(VOID) {
    return ViRaiseTo(DISPATCH_LEVEL, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(KeRaiseIrqlToDpcLevel, ViRaiseIrqlToDpcLevel);

static KIRQL NTAPI ViRaiseIrqlToSynchLevel(VOID) {
    return ViRaiseTo(KI_SYNCH_LEVEL, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(KeRaiseIrqlToSynchLevel, ViRaiseIrqlToSynchLevel);

static VOID ViBadLower(KIRQL current, KIRQL irql, ULONG64 in_dpc, const char *text, ULONG64 frame) {
    VI_REQUEST request = ViRequest(0, ViSpin, ViRaise, frame);
    ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, VI_LOWER_BAD, current, irql, in_dpc, text, &request);
}

static VOID NTAPI ViLowerIrql(KIRQL NewIrql) {
    KIRQL current = (KIRQL)__readcr8();
    if (NewIrql > current) {
        ViBadLower(current, NewIrql, 0, "IRQL is lowered to a level above the current one", VI_FRAME);
    }
    if (NewIrql < DISPATCH_LEVEL && KiCurrentPrcb()->DpcRoutineActive) {
        ViBadLower(current, NewIrql, 1, "a DPC routine lowers IRQL below DISPATCH_LEVEL", VI_FRAME);
    }
    ULONG64 flags = KiDisableInterrupts();
    VI_RAISES *raises = ViFreshRaises(current);
    /* Where the newest raise led to another level, a driver has raised by an inline routine since: nothing is known. */
    BOOLEAN known = raises->Count != 0 && raises->Raise[raises->Count - 1].To == current;
    KIRQL from = known ? raises->Raise[--raises->Count].From : NewIrql;
    KiRestoreInterrupts(flags);
    if (NewIrql != from &&
        !MUTANT(VfLowersAnywhere, "IRQL-4", "the verifier lets IRQL be lowered to any lower level")) {
        ViBadLower(current, NewIrql, 0, "IRQL is lowered to another level than the last raise returned", VI_FRAME);
    }
    ViCheckLower(NULL, NewIrql, VI_FRAME);
    KiLowerIrql(NewIrql, KI_CALLER);
}
NT_VERIFIED(KeLowerIrql, ViLowerIrql);
