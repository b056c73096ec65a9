/* SPDX-License-Identifier: Apache-2.0 */
/* Guarded mutexes (nt/mutexes.h): their holder is in a guarded region, so no APC comes to it. */
#include "mutexword.h"

static FAST_MUTEX *KiWordOf(PKGUARDED_MUTEX mutex) {
    return (FAST_MUTEX *)mutex;
}

VOID FASTCALL KeInitializeGuardedMutex(PKGUARDED_MUTEX GuardedMutex) {
    RtlZeroMemory(GuardedMutex, sizeof *GuardedMutex);
    GuardedMutex->Count = GM_LOCK_BIT;
    KeInitializeEvent(&KiWordOf(GuardedMutex)->Event, SynchronizationEvent, FALSE);
}
NT_EXPORT(KeInitializeGuardedMutex);

VOID FASTCALL KeAcquireGuardedMutexUnsafe(PKGUARDED_MUTEX GuardedMutex) {
    KiTakeMutexWord(KiWordOf(GuardedMutex));
}
NT_EXPORT(KeAcquireGuardedMutexUnsafe);

VOID FASTCALL KeReleaseGuardedMutexUnsafe(PKGUARDED_MUTEX GuardedMutex) {
    KiGiveMutexWord(KiWordOf(GuardedMutex));
}
NT_EXPORT(KeReleaseGuardedMutexUnsafe);

VOID FASTCALL KeAcquireGuardedMutex(PKGUARDED_MUTEX GuardedMutex) {
    KeEnterGuardedRegion();
    KiTakeMutexWord(KiWordOf(GuardedMutex));
}
NT_EXPORT(KeAcquireGuardedMutex);

VOID FASTCALL KeReleaseGuardedMutex(PKGUARDED_MUTEX GuardedMutex) {
    KiGiveMutexWord(KiWordOf(GuardedMutex));
    KeLeaveGuardedRegion();
}
NT_EXPORT(KeReleaseGuardedMutex);

BOOLEAN FASTCALL KeTryToAcquireGuardedMutex(PKGUARDED_MUTEX GuardedMutex) {
    KeEnterGuardedRegion();
    if (KiTryMutexWord(KiWordOf(GuardedMutex))) {
        return TRUE;
    }
    KeLeaveGuardedRegion();
    return FALSE;
}
NT_EXPORT(KeTryToAcquireGuardedMutex);
