/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IRQL is CR8. Raising and lowering are one store each; what waits behind CR8 waits in the local APIC and is taken by
 * the hardware on lowering, highest first (spec IRQL-2), so nothing here looks for work.
 */
#include "locks.h"

#include "../trace/trace.h"

KIRQL KiRaiseIrql(KIRQL irql, ULONG64 caller) {
    KIRQL old = (KIRQL)__readcr8();
    __writecr8(irql);
    trace(TraceIrqlRaise, old | (ULONG64)irql << 8, caller);
    return old;
}

VOID KiLowerIrql(KIRQL irql, ULONG64 caller) {
    trace(TraceIrqlLower, __readcr8() | (ULONG64)irql << 8, caller);
    __writecr8(irql);
}

/*
 * The out-of-line forms for drivers that do not use the DDK's inline ones. The headers define those names inline, so the
 * functions have names of their own here and are exported under the documented ones.
 */
static KIRQL NTAPI KiExportedRaiseIrql(KIRQL NewIrql) {
    return KiRaiseIrql(NewIrql, KI_CALLER);
}
NT_EXPORT_AS(KiExportedRaiseIrql, KfRaiseIrql);

static VOID NTAPI KiExportedLowerIrql(KIRQL NewIrql) {
    KiLowerIrql(NewIrql, KI_CALLER);
}
NT_EXPORT_AS(KiExportedLowerIrql, KeLowerIrql);

static KIRQL NTAPI KiExportedRaiseIrqlToDpcLevel(VOID) {
    return KiRaiseIrql(DISPATCH_LEVEL, KI_CALLER);
}
NT_EXPORT_AS(KiExportedRaiseIrqlToDpcLevel, KeRaiseIrqlToDpcLevel);

static KIRQL NTAPI KiExportedRaiseIrqlToSynchLevel(VOID) {
    return KiRaiseIrql(KI_SYNCH_LEVEL, KI_CALLER);
}
NT_EXPORT_AS(KiExportedRaiseIrqlToSynchLevel, KeRaiseIrqlToSynchLevel);

static KIRQL NTAPI KiExportedGetCurrentIrql(VOID) {
    return (KIRQL)__readcr8();
}
NT_EXPORT_AS(KiExportedGetCurrentIrql, KeGetCurrentIrql);
