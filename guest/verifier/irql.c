/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checked forms of raising and lowering, for drivers that import them (driver/outofline.h). Each CPU remembers its raises to
 * DISPATCH_LEVEL and above; those that a driver took back by an inline KeLowerIrql are found to be stale because the CPU is below
 * them. A thread at APC_LEVEL may be preempted, and go on on another CPU: its raises to that level go with it.
 */
#include "vi.h"

#include "../include/mutant.h"
#include "../ke/thread.h"

#define RAISE_LIMIT     16
#define APC_RAISE_LIMIT 64 /* bits of KTHREAD.ApcRaises */

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

/* Of the current thread, IRQL <= APC_LEVEL: nobody else looks, and an APC leaves behind what it found. */
static VOID ViPushApcRaise(KIRQL from) {
    PKTHREAD thread = KeGetCurrentThread();
    if (from == PASSIVE_LEVEL) { /* whatever was raised before has been taken back, by an inline routine */
        thread->ApcRaiseCount = 0;
    }
    thread->ApcRaises = thread->ApcRaises << 1 | from;
    thread->ApcRaiseCount += thread->ApcRaiseCount < APC_RAISE_LIMIT;
}

/* What the newest raise to APC_LEVEL came from; irql where none is known. */
static KIRQL ViPopApcRaise(KIRQL irql) {
    PKTHREAD thread = KeGetCurrentThread();
    if (thread->ApcRaiseCount == 0) {
        return irql;
    }
    KIRQL from = (KIRQL)(thread->ApcRaises & 1);
    thread->ApcRaises >>= 1;
    thread->ApcRaiseCount--;
    return from;
}

static VOID ViPushRaise(KIRQL from, KIRQL to) {
    ULONG64 flags = KiDisableInterrupts();
    VI_RAISES *raises = ViFreshRaises(from);
    if (raises->Count < RAISE_LIMIT) {
        raises->Raise[raises->Count++] = (VI_RAISE){.From = from, .To = to};
    }
    KiRestoreInterrupts(flags);
}

/* Where the newest raise led to another level, a driver has raised by an inline routine since: nothing is known. */
static KIRQL ViPopRaise(KIRQL current, KIRQL irql) {
    ULONG64 flags = KiDisableInterrupts();
    VI_RAISES *raises = ViFreshRaises(current);
    BOOLEAN known = raises->Count != 0 && raises->Raise[raises->Count - 1].To == current;
    KIRQL from = known ? raises->Raise[--raises->Count].From : irql;
    KiRestoreInterrupts(flags);
    return from;
}

static KIRQL ViRaiseTo(KIRQL irql, ULONG64 frame, ULONG64 caller) {
    KIRQL current = (KIRQL)__readcr8();
    if ((irql < current || irql > HIGH_LEVEL) &&
        !MUTANT(VfRaisesDown, "IRQL-3", "the verifier lets IRQL be raised to a lower level")) {
        VI_REQUEST request = ViRequest(0, ViSpin, ViRaise, frame);
        ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, VI_RAISE_BAD, current, irql, 0,
                 "IRQL is raised to a level below the current one, or to none", &request);
    }
    if (irql >= DISPATCH_LEVEL || MUTANT(VfRaisesStay, "IRQL-4 IRQL-10", "raises to APC_LEVEL are remembered by CPU")) {
        ViPushRaise(current, irql);
    } else if (irql == APC_LEVEL) {
        ViPushApcRaise(current);
    }
    if (current < DISPATCH_LEVEL && irql > DISPATCH_LEVEL && HostBootOptions.ForceIrql != 0) {
        __writecr8(DISPATCH_LEVEL); /* on the way: memory is put out there */
        ViTrimMemory();
        __writecr8(current);
    }
    KIRQL old = KiRaiseIrql(irql, caller);
    ViTrimMemory();
    return old;
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
    ViCheckWaitFollows(VI_FRAME);
    if (NewIrql < DISPATCH_LEVEL && current >= DISPATCH_LEVEL && KiCurrentPrcb()->DpcRoutineActive) {
        ViBadLower(current, NewIrql, 1, "a DPC routine lowers IRQL below DISPATCH_LEVEL", VI_FRAME);
    }
    KIRQL from = NewIrql;
    if (current >= DISPATCH_LEVEL ||
        MUTANT(VfRaisesStay, "IRQL-4 IRQL-10", "raises to APC_LEVEL are remembered by CPU")) {
        from = ViPopRaise(current, NewIrql);
    } else if (current == APC_LEVEL) {
        from = ViPopApcRaise(NewIrql);
    }
    if (NewIrql != from &&
        !MUTANT(VfLowersAnywhere, "IRQL-4", "the verifier lets IRQL be lowered to any lower level")) {
        ViBadLower(current, NewIrql, 0, "IRQL is lowered to another level than the last raise returned", VI_FRAME);
    }
    ViCheckLower(NULL, NewIrql, VI_FRAME);
    KiLowerIrql(NewIrql, KI_CALLER);
}
NT_VERIFIED(KeLowerIrql, ViLowerIrql);
