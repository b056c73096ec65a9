/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel stacks. Taking a mapping away costs every CPU an interrupt, so the stack of a thread that has ended waits for the
 * next thread: a list through the stacks' own top words.
 */
#include "ps.h"

#include "../mm/mi.h"

static ULONG64 PspFreeStacks; /* the top of the first one; each one's last word is the next one's top */
static KSPIN_LOCK PspStackLock;

static ULONG64 *PspNextOf(ULONG64 top) {
    return (ULONG64 *)top - 1;
}

ULONG64 PspTakeStack(VOID) {
    KIRQL irql = KiAcquireLockAtHigh(&PspStackLock);
    ULONG64 top = PspFreeStacks;
    if (top != 0) {
        PspFreeStacks = *PspNextOf(top);
    }
    KiReleaseLockFromHigh(&PspStackLock, irql);
    return top != 0 ? top : MiTryCreateStack(KI_THREAD_STACK_PAGES);
}

VOID PspKeepStack(ULONG64 top) {
    KIRQL irql = KiAcquireLockAtHigh(&PspStackLock);
    *PspNextOf(top) = PspFreeStacks;
    PspFreeStacks = top;
    KiReleaseLockFromHigh(&PspStackLock, irql);
}
