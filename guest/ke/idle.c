/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Idle CPUs. A CPU marks itself idle with interrupts off and then executes STI; HLT: the STI holds interrupts back for one
 * instruction, so nothing can arrive between the last look and the halt (Intel SDM 2, STI). Any interrupt unmarks it. A thread
 * that is to run takes the CPU from the idle one as from any other: at the end of the DISPATCH software interrupt.
 */
#include "ki.h"

#include "../trace/trace.h"

static volatile ULONG64 KiIdleProcessors; /* bit n: CPU n is halted, or about to be, at PASSIVE_LEVEL */

BOOLEAN KiLeaveIdle(ULONG number) {
    ULONG64 bit = 1ull << number;
    /* Only this CPU sets its own bit, so a plain look is enough to know that there is nothing to clear. */
    if ((__atomic_load_n(&KiIdleProcessors, __ATOMIC_RELAXED) & bit) == 0) {
        return FALSE;
    }
    __atomic_and_fetch(&KiIdleProcessors, ~bit, __ATOMIC_SEQ_CST);
    return TRUE;
}

ULONG KiFindIdleProcessor(ULONG except, ULONG after) {
    /* A hint: the CPU may wake at any time. Whoever uses it sends an interrupt that is not lost either way. */
    ULONG64 idle = __atomic_load_n(&KiIdleProcessors, __ATOMIC_ACQUIRE) & ~(1ull << except);
    if (idle == 0) {
        return DPC_ANY_CPU;
    }
    ULONG64 above = idle & ~((2ull << after) - 1);
    return (ULONG)__builtin_ctzll(above != 0 ? above : idle);
}

VOID KiWaitForInterrupt(VOID) {
    trace(TraceIdleEnter, 0, 0);
    __atomic_or_fetch(&KiIdleProcessors, 1ull << KiCurrentPrcb()->Number, __ATOMIC_SEQ_CST);
    __asm__ volatile("sti; hlt" : : : "memory");
}

VOID KiIdleLoop(VOID) {
    for (;;) {
        _disable();
        if (KiHasWork()) { /* what comes after this look sends an interrupt, which ends the halt at once */
            _enable();
            KiStartWork();
        } else {
            KiWaitForInterrupt();
        }
    }
}
