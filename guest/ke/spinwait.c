/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a turn (spinwait.h). A CPU that is about to halt says so in its PRCB, looks at the lock's word once more, and
 * halts only if its announcement still stands. Both the wake-up and a wait of an interrupt that comes in between take the
 * announcement away, so neither can be missed: the word is then looked at again.
 *
 * Order: the announcement is stored, then the word is read; the word is stored, then announcements are read; both
 * sequentially consistent, so at least one side sees the other.
 */
#include "spinwait.h"

#include "../hal/hal.h"
#include "../trace/trace.h"

#define KI_SPINS_BEFORE_HALT 100

volatile LONG KiAnnouncedSpinners;

static BOOLEAN KiMayHalt(VOID) {
    ULONG64 flags;
    __asm__ volatile("pushfq; popq %0" : "=r"(flags));
    return (flags & 0x200u) != 0 && __readcr8() < VECTOR_IRQL(WAKE_VECTOR);
}

/*
 * The count goes up before an announcement stands and down after it has gone, so it is never less than there are. The
 * exchange is one instruction: an interrupt on this CPU comes before it or after.
 */
static VOID KiAnnounce(const volatile VOID *word, ULONG64 place) {
    PKPRCB prcb = KiCurrentPrcb();
    __atomic_add_fetch(&KiAnnouncedSpinners, 1, __ATOMIC_SEQ_CST);
    prcb->AwaitedPlace = place;
    if (__atomic_exchange_n(&prcb->AwaitedWord, word, __ATOMIC_SEQ_CST) != NULL) {
        __atomic_sub_fetch(&KiAnnouncedSpinners, 1, __ATOMIC_SEQ_CST);
    }
}

static VOID KiTakeAnnouncementAway(VOID) {
    if (__atomic_exchange_n(&KiCurrentPrcb()->AwaitedWord, NULL, __ATOMIC_SEQ_CST) != NULL) {
        __atomic_sub_fetch(&KiAnnouncedSpinners, 1, __ATOMIC_SEQ_CST);
    }
}

VOID KiSpin(KI_SPIN_WAIT *wait) {
    KiCountSpin();
    if (++wait->Spins < KI_SPINS_BEFORE_HALT || !KiMayHalt()) {
        _mm_pause();
        return;
    }
    if (!wait->Announced) {
        KiAnnounce(wait->Word, wait->Place);
        wait->Announced = TRUE;
        return; /* to look once more */
    }
    wait->Announced = FALSE;
    _disable();
    PKPRCB prcb = KiCurrentPrcb();
    if (prcb->AwaitedWord == wait->Word && prcb->AwaitedPlace == wait->Place) {
        __asm__ volatile("sti; hlt"
                         :
                         :
                         : "memory"); /* the STI holds interrupts back until the halt (Intel SDM 2, STI) */
    } else {
        _enable();
    }
}

VOID KiEndSpinWait(const KI_SPIN_WAIT *wait) {
    if (wait->Spins >= KI_SPINS_BEFORE_HALT) {
        KiTakeAnnouncementAway();
    }
}

BOOLEAN KiWakeSpinnerOn(ULONG cpu, const volatile VOID *word, ULONG64 place) {
    PKPRCB prcb = &KiPcr[cpu].Prcb;
    /* A place that changes under this look is that of another wait: at worst an interrupt too many. */
    if (__atomic_load_n(&prcb->AwaitedWord, __ATOMIC_SEQ_CST) != word || prcb->AwaitedPlace != place) {
        return FALSE;
    }
    trace(TraceIpiSend, WAKE_VECTOR, cpu);
    lapic_send(prcb->ApicId, WAKE_VECTOR);
    return TRUE;
}

/* From the CPU after this one on, so that none is preferred. */
VOID KiWakeOneSpinner(const volatile VOID *word, ULONG64 place) {
    ULONG cpu = KiCurrentPrcb()->Number;
    for (ULONG tried = 1; tried < KiProcessorCount; tried++) {
        cpu = cpu + 1 < KiProcessorCount ? cpu + 1 : 0;
        if (KiWakeSpinnerOn(cpu, word, place)) {
            return;
        }
    }
}

VOID KiWakeSpinners(const volatile VOID *word) {
    if (__atomic_load_n(&KiAnnouncedSpinners, __ATOMIC_SEQ_CST) == 0) {
        return;
    }
    for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
        if (cpu != KiCurrentPrcb()->Number) {
            KiWakeSpinnerOn(cpu, word, 0);
        }
    }
}

static VOID KiWakeInterrupt(KI_TRAP_FRAME *frame, PVOID context) {
    UNREFERENCED_PARAMETER(frame);
    UNREFERENCED_PARAMETER(context);
    KiTakeAnnouncementAway();
}

VOID KiConnectSpinWait(VOID) {
    KiConnectVector(WAKE_VECTOR, KiWakeInterrupt, NULL, FALSE);
}
