/* SPDX-License-Identifier: Apache-2.0 */
/* Fast mutexes (nt/mutexes.h): held at APC_LEVEL, so no APC comes to their holder, which may still wait. */
#include "../ke/mutexword.h"

VOID FASTCALL ExAcquireFastMutex(PFAST_MUTEX FastMutex) {
    KIRQL irql = MUTANT(FastMutexAtPassive, "FMX-2 IRQL-10", "a fast mutex is held at the IRQL of its caller")
        ? (KIRQL)__readcr8()
        : KiRaiseIrql(APC_LEVEL, KI_CALLER);
    KiTakeMutexWord(FastMutex);
    FastMutex->OldIrql = irql;
}
NT_EXPORT(ExAcquireFastMutex);

VOID FASTCALL ExReleaseFastMutex(PFAST_MUTEX FastMutex) {
    KIRQL irql = (KIRQL)FastMutex->OldIrql; /* its next owner's from the release on */
    KiGiveMutexWord(FastMutex);
    KiLowerIrql(irql, KI_CALLER);
}
NT_EXPORT(ExReleaseFastMutex);

BOOLEAN FASTCALL ExTryToAcquireFastMutex(PFAST_MUTEX FastMutex) {
    KIRQL irql = KiRaiseIrql(APC_LEVEL, KI_CALLER);
    if (KiTryMutexWord(FastMutex)) {
        FastMutex->OldIrql = irql;
        return TRUE;
    }
    KiLowerIrql(irql, KI_CALLER);
    return FALSE;
}
NT_EXPORT(ExTryToAcquireFastMutex);

VOID FASTCALL ExAcquireFastMutexUnsafe(PFAST_MUTEX FastMutex) {
    KiTakeMutexWord(FastMutex);
}
NT_EXPORT(ExAcquireFastMutexUnsafe);

VOID FASTCALL ExReleaseFastMutexUnsafe(PFAST_MUTEX FastMutex) {
    KiGiveMutexWord(FastMutex);
}
NT_EXPORT(ExReleaseFastMutexUnsafe);
