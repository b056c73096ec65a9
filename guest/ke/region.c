/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Critical regions, which hold back normal kernel APCs, and guarded regions, which hold back all (nt/apc.h): two counts of
 * the current thread, which nobody else changes while it runs.
 */
#include "apc.h"

#include "../include/mutant.h"

/* An interrupt on this CPU sees the count before whatever the region is for. */
static inline VOID KiCountRegion(SHORT *count, SHORT change) {
    *(volatile SHORT *)count = (SHORT)(*count + change);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

VOID NTAPI KeEnterCriticalRegion(VOID) {
    KiCountRegion(&KeGetCurrentThread()->Apc.KernelApcDisable, -1);
}
NT_EXPORT(KeEnterCriticalRegion);

VOID NTAPI KeLeaveCriticalRegion(VOID) {
    PKTHREAD thread = KeGetCurrentThread();
    if (MUTANT(RegionDoesNotNest, "APC-3", "leaving an inner critical region leaves the outer one too")) {
        thread->Apc.KernelApcDisable = -1;
    }
    KiCountRegion(&thread->Apc.KernelApcDisable, 1);
    if (thread->Apc.KernelApcDisable == 0) {
        KiDeliverHeldApcs(thread);
    }
}
NT_EXPORT(KeLeaveCriticalRegion);

VOID NTAPI KeEnterGuardedRegion(VOID) {
    KiCountRegion(&KeGetCurrentThread()->Apc.SpecialApcDisable, -1);
}
NT_EXPORT(KeEnterGuardedRegion);

VOID NTAPI KeLeaveGuardedRegion(VOID) {
    PKTHREAD thread = KeGetCurrentThread();
    KiCountRegion(&thread->Apc.SpecialApcDisable, 1);
    if (thread->Apc.SpecialApcDisable == 0) {
        KiDeliverHeldApcs(thread);
    }
}
NT_EXPORT(KeLeaveGuardedRegion);

BOOLEAN NTAPI KeAreApcsDisabled(VOID) {
    const KI_APC_STATE *state = &KeGetCurrentThread()->Apc;
    return state->KernelApcDisable != 0 || state->SpecialApcDisable != 0;
}
NT_EXPORT(KeAreApcsDisabled);

BOOLEAN NTAPI KeAreAllApcsDisabled(VOID) {
    return KeGetCurrentThread()->Apc.SpecialApcDisable != 0 || __readcr8() >= APC_LEVEL;
}
NT_EXPORT(KeAreAllApcsDisabled);
