/* SPDX-License-Identifier: Apache-2.0 */
/* What drivers may ask of a thread's priority and of the CPUs that it runs on. */
#include "dispatcher.h"

#include "../include/mutant.h"

KPRIORITY NTAPI KeSetPriorityThread(PKTHREAD Thread, KPRIORITY Priority) {
    KIRQL irql = KiLockDispatcher();
    KPRIORITY before = Thread->Priority;
    Thread->BasePriority = Priority;
    Thread->QuantumLeft = KI_QUANTUM_TICKS;
    KiChangePriority(Thread, Priority);
    KiUnlockDispatcher(irql);
    if (MUTANT(PriorityAfter, "THR-1", "KeSetPriorityThread tells the new priority")) {
        before = Priority;
    }
    return before;
}
NT_EXPORT(KeSetPriorityThread);

KPRIORITY NTAPI KeQueryPriorityThread(PRKTHREAD Thread) {
    return __atomic_load_n(&Thread->Priority, __ATOMIC_RELAXED); /* true when it was looked at */
}
NT_EXPORT(KeQueryPriorityThread);

LONG NTAPI KeSetBasePriorityThread(PKTHREAD Thread, LONG Increment) {
    KIRQL irql = KiLockDispatcher();
    LONG before = Thread->BasePriority - KI_NORMAL_PRIORITY;
    LONG base = KI_NORMAL_PRIORITY + Increment;
    base = base < 1 ? 1 : base >= KI_LOWEST_REAL_TIME ? KI_LOWEST_REAL_TIME - 1 : base;
    Thread->BasePriority = base;
    KiChangePriority(Thread, base);
    KiUnlockDispatcher(irql);
    return before;
}
NT_EXPORT(KeSetBasePriorityThread);

/* Returns the system affinity before, 0: there was none. */
static KAFFINITY KiSetAffinity(KAFFINITY affinity, BOOLEAN user) {
    PKTHREAD thread = KiCurrentThread();
    KIRQL irql = KiLockDispatcher();
    KAFFINITY before = thread->SystemAffinity;
    affinity &= KeQueryActiveProcessors();
    if (user || affinity != 0) {
        thread->SystemAffinity = user ? 0 : affinity;
        KiChangeAffinity(thread, user ? thread->UserAffinity : affinity);
    }
    KiUnlockDispatcher(irql);
    return before;
}

KAFFINITY NTAPI KeSetSystemAffinityThreadEx(KAFFINITY Affinity) {
    return KiSetAffinity(Affinity, FALSE);
}
NT_EXPORT(KeSetSystemAffinityThreadEx);

VOID NTAPI KeSetSystemAffinityThread(KAFFINITY Affinity) {
    (VOID) KiSetAffinity(Affinity, FALSE);
}
NT_EXPORT(KeSetSystemAffinityThread);

VOID NTAPI KeRevertToUserAffinityThreadEx(KAFFINITY Affinity) {
    (VOID) KiSetAffinity(Affinity, Affinity == 0);
}
NT_EXPORT(KeRevertToUserAffinityThreadEx);

VOID NTAPI KeRevertToUserAffinityThread(VOID) {
    (VOID) KiSetAffinity(0, TRUE);
}
NT_EXPORT(KeRevertToUserAffinityThread);
