/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds for every release: the CPU holds the lock, by a routine that goes with this one, at the IRQL that it was taken
 * at; and what is lowered to is what the acquisition said, unless other locks are still held.
 */
#include "vi.h"

#include "../include/mutant.h"

static VOID ViComplain(ULONG code, ULONG64 p1, ULONG64 p2, ULONG64 p3, ULONG64 lock, const char *text, ULONG64 frame)
    __attribute__((noreturn));

/* lock: the one that the report is about, which says where it was taken. */
static VOID ViComplain(ULONG code, ULONG64 p1, ULONG64 p2, ULONG64 p3, ULONG64 lock, const char *text, ULONG64 frame) {
    VI_REQUEST request = ViRequest(lock, ViSpin, ViRaise, frame);
    ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, code, p1, p2, p3, text, &request);
}

VI_REQUEST *ViCheckRelease(ULONG64 lock, VI_KIND kind, VI_FORM form, ULONG64 frame) {
    VI_REQUEST *held = ViFindHeld(lock);
    ULONG cpu;
    if (held == NULL) {
        if (MUTANT(VfLetsForeignRelease, "SPIN-8", "the verifier lets a CPU release what it does not hold")) {
            return NULL;
        }
        if (ViIsHeldElsewhere(lock, &cpu)) {
            VI_REQUEST request = ViRequest(lock, kind, form, frame);
            ViReport(SPIN_LOCK_NOT_OWNED, lock, request.Irql, cpu, 0,
                     "a spin lock is released by a CPU that does not hold it", &request);
        }
        ViComplain(VI_NOT_ACQUIRED, lock, 0, 0, lock, "a spin lock is released that nobody holds", frame);
    }
    if (held->Kind != kind) {
        ViComplain(VI_RELEASE_MISMATCH, lock, 0, 0, lock,
                   "a spin lock is released by a routine of another kind than the one that took it", frame);
    }
    BOOLEAN fits = held->Form == form || (held->Form == ViToSynch && form == ViRaise);
    if (!fits && !MUTANT(VfMixesForms, "SPIN-7", "the verifier lets a lock be released by a routine of another form")) {
        ViComplain(VI_RELEASE_MISMATCH, lock, 0, 0, lock,
                   "a spin lock is released by another form of routine than the one that took it", frame);
    }
    return held;
}

VOID ViCheckReleaseIrql(ULONG64 lock, ULONG code, KIRQL new_irql, ULONG64 frame) {
    const VI_REQUEST *held = ViFindHeld(lock);
    KIRQL irql = (KIRQL)__readcr8();
    KIRQL expected = held != NULL ? held->HeldIrql : DISPATCH_LEVEL;
    BOOLEAN wrong = code == VI_DPC_RELEASE_IRQL ? irql < DISPATCH_LEVEL : irql != expected;
    if (wrong && !MUTANT(VfAnyReleaseIrql, "SPIN-6", "the verifier lets a lock be released at any IRQL")) {
        /* 0x32 has no third value; the others have the IRQL that the release would go to. */
        ViComplain(code, irql, lock, code == VI_RELEASE_IRQL ? 0 : new_irql, lock,
                   "a spin lock is released at an IRQL that it is not held at", frame);
    }
}

/* Two locks may trade the IRQLs that their acquisitions returned, when the first is to go before the second. */
static BOOLEAN ViTrade(VI_REQUEST *released, KIRQL new_irql) {
    VI_REQUEST *held;
    for (ULONG i = 0; (held = ViHeld(i)) != NULL; i++) {
        if (held != released && held->Irql == new_irql) {
            held->Irql = released->Irql;
            released->Irql = new_irql;
            return TRUE;
        }
    }
    return FALSE;
}

VOID ViCheckLower(VI_REQUEST *released, KIRQL new_irql, ULONG64 frame) {
    KIRQL irql = (KIRQL)__readcr8();
    const VI_REQUEST *held;
    for (ULONG i = 0; (held = ViHeld(i)) != NULL && new_irql < DISPATCH_LEVEL; i++) {
        if (held != released && released != NULL) {
            ViComplain(VI_RELEASE_ORDER, released->Lock, held->Lock, 0, held->Lock,
                       "the release of a spin lock lowers IRQL below DISPATCH_LEVEL while another is held", frame);
        }
        if (held != released) {
            ViComplain(VI_LOWER_BAD, irql, new_irql, 0, held->Lock,
                       "IRQL is lowered below DISPATCH_LEVEL while a spin lock is held", frame);
        }
    }
    if (released != NULL && new_irql != released->Irql && !ViTrade(released, new_irql)) {
        ViComplain(VI_LOWER_BAD, irql, new_irql, 0, released->Lock,
                   "a spin lock is released to another IRQL than the one that it was acquired at", frame);
    }
}
