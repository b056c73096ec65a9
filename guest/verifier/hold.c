/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For how long spin locks are held (SPIN-10, SYS-13): at most 25 microseconds, say the documents. It is measured where time counts
 * instructions, and elsewhere the boot options ask for nothing: a host may set a CPU aside for any time. A hold that was too long is a finding,
 * which Python reads, or a violation if the boot options want that.
 */
#include "vi.h"

#include "../include/mutant.h"

VF_HOLD VfHolds[VF_MAXIMUM_HOLDS];

static KSPIN_LOCK ViHoldLock; /* at HIGH_LEVEL */

extern const UCHAR KiTextStart[], KiTextEnd[];

/* Of the driver's own frames: the verifier's come first. */
static VOID ViCaptureDriver(ULONG64 *stack, ULONG64 frame) {
    ULONG64 all[VF_STACK_FRAMES];
    ULONG first = 0;
    ViCaptureStack(all, frame);
    while (first < VF_STACK_FRAMES && all[first] >= (ULONG64)KiTextStart && all[first] < (ULONG64)KiTextEnd) {
        first++;
    }
    for (ULONG i = 0; i < VF_STACK_FRAMES; i++) {
        stack[i] = first + i < VF_STACK_FRAMES ? all[first + i] : 0;
    }
}

static VOID ViReportHold(const VI_REQUEST *held, ULONG64 ticks, const ULONG64 *stack) {
    /* The rule SpinLock of the DDI compliance rules is the nearest that is documented. */
    const char *text = "a spin lock is held for longer than it may be";
    VF_VIOLATION violation = {
        .Code = DRIVER_VERIFIER_DETECTED_VIOLATION,
        .Parameter = {VI_RULE_SPIN_LOCK, (ULONG64)text, held->Lock, ticks},
        .Text = text,
        .SiteCount = 1,
    };
    ViFillSite(&violation.Site[0], held);
    violation.Site[0].Held = held->Lock;
    RtlCopyMemory(violation.Site[0].HeldStack, held->Stack, sizeof held->Stack);
    RtlCopyMemory(violation.Site[0].Stack, stack, sizeof violation.Site[0].Stack);
    ViReportSites(&violation);
}

VOID ViCheckHold(const VI_REQUEST *held, ULONG64 frame) {
    ULONG64 limit = HostBootOptions.LockHoldTicks;
    ULONG64 ticks = __rdtsc() - held->Since;
    ULONG64 stack[VF_STACK_FRAMES];
    if (limit == 0 || ticks <= limit || MUTANT(VfHoldsAnyTime, "SPIN-10 SYS-13", "the verifier measures no hold")) {
        return;
    }
    ViCaptureDriver(stack, frame);
    if (HostBootOptions.LockHoldFatal != 0) {
        ViReportHold(held, ticks, stack);
    }
    KIRQL irql = KiAcquireLockAtHigh(&ViHoldLock);
    for (ULONG i = 0; i < VF_MAXIMUM_HOLDS; i++) {
        VF_HOLD *hold = &VfHolds[i];
        if (hold->Lock != 0 && (hold->Lock != held->Lock || hold->HeldStack[0] != held->Stack[0])) {
            continue;
        }
        hold->Lock = held->Lock;
        hold->Count++;
        if (ticks > hold->Ticks) {
            hold->Ticks = ticks;
            hold->Cpu = KiCurrentPrcb()->Number;
            hold->Irql = held->Irql;
            RtlCopyMemory(hold->HeldStack, held->Stack, sizeof hold->HeldStack);
            RtlCopyMemory(hold->Stack, stack, sizeof hold->Stack);
        }
        break;
    }
    KiReleaseLockFromHigh(&ViHoldLock, irql);
}

VOID ViForgetHolds(VOID) {
    RtlZeroMemory(VfHolds, sizeof VfHolds);
}
