/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IRQL is CR8. Raising and lowering are one store each (ki.h); what waits behind CR8 waits in the local APIC and is taken by
 * the hardware on lowering, highest first (spec IRQL-2), so nothing looks for work.
 *
 * Here are the out-of-line forms for drivers that do not use the DDK's inline ones. The headers define those names inline, so the
 * functions have names of their own here and are exported under the documented ones.
 */
#include "locks.h"

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
