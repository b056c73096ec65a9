/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rundown protection (nt/mutexes.h): a word that counts in steps of EX_RUNDOWN_COUNT_INC while the object is alive. Whoever runs
 * it down puts there the address of a count on its own stack instead, EX_RUNDOWN_ACTIVE set, and from then on releases count
 * that one down; the last of them wakes it.
 */
#include "../ke/ki.h"

#include "../include/mutant.h"

typedef struct _EXP_RUNDOWN {
    volatile LONG64 Left;
    KEVENT Done;
} EXP_RUNDOWN;

VOID FASTCALL ExInitializeRundownProtection(PEX_RUNDOWN_REF RunRef) {
    __atomic_store_n(&RunRef->Count, 0, __ATOMIC_RELEASE);
}
NT_EXPORT(ExInitializeRundownProtection);
NT_EXPORT_AS(ExInitializeRundownProtection, ExReInitializeRundownProtection);

BOOLEAN FASTCALL ExAcquireRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count) {
    ULONG_PTR old = __atomic_load_n(&RunRef->Count, __ATOMIC_RELAXED);
    do {
        if ((old & EX_RUNDOWN_ACTIVE) != 0) {
            return FALSE;
        }
        /* Acquire: what follows may rely on the object's being there. */
    } while (!__atomic_compare_exchange_n(&RunRef->Count, &old, old + (ULONG_PTR)Count * EX_RUNDOWN_COUNT_INC, FALSE,
                                          __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
    return TRUE;
}
NT_EXPORT(ExAcquireRundownProtectionEx);

BOOLEAN FASTCALL ExAcquireRundownProtection(PEX_RUNDOWN_REF RunRef) {
    return ExAcquireRundownProtectionEx(RunRef, 1);
}
NT_EXPORT(ExAcquireRundownProtection);

VOID FASTCALL ExReleaseRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count) {
    ULONG_PTR old = __atomic_load_n(&RunRef->Count, __ATOMIC_ACQUIRE);
    /* Release: what the protection was for comes before the end of the object. */
    while ((old & EX_RUNDOWN_ACTIVE) == 0) {
        if (__atomic_compare_exchange_n(&RunRef->Count, &old, old - (ULONG_PTR)Count * EX_RUNDOWN_COUNT_INC, FALSE,
                                        __ATOMIC_RELEASE, __ATOMIC_ACQUIRE)) {
            return;
        }
    }
    EXP_RUNDOWN *rundown = (EXP_RUNDOWN *)(old & ~(ULONG_PTR)EX_RUNDOWN_ACTIVE);
    if (__atomic_sub_fetch(&rundown->Left, (LONG64)Count, __ATOMIC_ACQ_REL) == 0) {
        KeSetEvent(&rundown->Done, EVENT_INCREMENT, FALSE);
    }
}
NT_EXPORT(ExReleaseRundownProtectionEx);

VOID FASTCALL ExReleaseRundownProtection(PEX_RUNDOWN_REF RunRef) {
    ExReleaseRundownProtectionEx(RunRef, 1);
}
NT_EXPORT(ExReleaseRundownProtection);

VOID FASTCALL ExWaitForRundownProtectionRelease(PEX_RUNDOWN_REF RunRef) {
    EXP_RUNDOWN rundown;
    KeInitializeEvent(&rundown.Done, SynchronizationEvent, FALSE);
    ULONG_PTR old = __atomic_load_n(&RunRef->Count, __ATOMIC_RELAXED);
    do {
        rundown.Left = (LONG64)(old / EX_RUNDOWN_COUNT_INC);
        /* Both: the count is there for those that see its address, and their last touches for the caller. */
    } while (!__atomic_compare_exchange_n(&RunRef->Count, &old, (ULONG_PTR)&rundown | EX_RUNDOWN_ACTIVE, FALSE,
                                          __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    if (old / EX_RUNDOWN_COUNT_INC != 0 &&
        !MUTANT(RundownDoesNotWait, "RUN-1", "a rundown does not wait for those that hold protection")) {
        KeWaitForSingleObject(&rundown.Done, Executive, KernelMode, FALSE, NULL);
    }
    __atomic_store_n(&RunRef->Count, EX_RUNDOWN_ACTIVE, __ATOMIC_RELEASE);
}
NT_EXPORT(ExWaitForRundownProtectionRelease);

VOID FASTCALL ExRundownCompleted(PEX_RUNDOWN_REF RunRef) {
    __atomic_store_n(&RunRef->Count, EX_RUNDOWN_ACTIVE, __ATOMIC_RELEASE);
}
NT_EXPORT(ExRundownCompleted);
