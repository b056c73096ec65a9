/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a CPU waits for a spin lock. It spins for a while and then halts, until the CPU that
 * lets the lock go interrupts it: where there are more CPUs than processors to run them, a CPU that only spins takes the
 * time of the very one that it waits for. Interrupts above its IRQL come as ever.
 *
 *     KI_SPIN_WAIT wait = KiBeginSpinWait(word, place);
 *     while (the word does not say that it is this place's turn) {
 *         KiSpin(&wait);
 *     }
 *     KiEndSpinWait(&wait);
 *
 * and, after a sequentially consistent store that says so, KiWakeSpinner(word, place) for one CPU that waits there,
 * KiWakeSpinners(word) for all, KiWakeSpinnerOn where the CPU is known. A lock without an order has the place 0.
 */
#pragma once

#include "ki.h"

typedef struct _KI_SPIN_WAIT {
    const volatile VOID *Word;
    ULONG64 Place;
    ULONG Spins;
    BOOLEAN Announced;
} KI_SPIN_WAIT;

/* Any IRQL. At IPI_LEVEL and above, and with interrupts off, a wait only spins: nothing could end the halt. */
static inline KI_SPIN_WAIT KiBeginSpinWait(const volatile VOID *word, ULONG64 place) {
    KI_SPIN_WAIT wait = {.Word = word, .Place = place};
    return wait;
}

VOID KiSpin(KI_SPIN_WAIT *wait);
VOID KiEndSpinWait(const KI_SPIN_WAIT *wait);
extern volatile LONG KiAnnouncedSpinners; /* at least as many as there are CPUs that have announced a wait */

VOID KiWakeOneSpinner(const volatile VOID *word, ULONG64 place);
VOID KiWakeSpinners(const volatile VOID *word);
BOOLEAN KiWakeSpinnerOn(ULONG cpu, const volatile VOID *word, ULONG64 place); /* FALSE: it does not wait there */

/* Nothing but a look where nobody waits, as is the rule. */
static inline VOID KiWakeSpinner(const volatile VOID *word, ULONG64 place) {
    if (__atomic_load_n(&KiAnnouncedSpinners, __ATOMIC_SEQ_CST) != 0) {
        KiWakeOneSpinner(word, place);
    }
}

VOID KiConnectSpinWait(VOID); /* boot CPU, before the others start */
