/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verifier as the floors below it see it: what they tell it where no import can, and what they ask of it. One look, and
 * nothing more, while it is off. Any IRQL.
 */
#pragma once

#include "../include/ddk.h"

typedef struct _KI_VERIFIER {
    /* Storage is given back. A lock in it that is held is a violation; what was known of the others is forgotten. */
    VOID (*ReleaseStorage)(ULONG64 address, ULONG64 bytes);
    /* A driver's interrupt object has its lock, and is about to be connected. PASSIVE_LEVEL. */
    VOID (*ConnectInterrupt)(PKINTERRUPT interrupt);
    /* Around a driver's ISR, at the IRQL that it runs at: it holds the interrupt spin lock, and returns at the same IRQL. */
    VOID (*EnterServiceRoutine)(PKINTERRUPT interrupt, ULONG64 routine);
    VOID (*LeaveServiceRoutine)(PKINTERRUPT interrupt, ULONG64 routine);
    /* After a driver's routine that is to return at the IRQL that it was called at, holding nothing: a DPC. */
    VOID (*LeaveRoutine)(ULONG64 routine, ULONG64 argument, KIRQL expected);
    /* An exception is about to become this bugcheck: it happened at address, in the routine whose frame pointer it is. Returns. */
    VOID (*Exception)(ULONG code, const ULONG64 *parameters, ULONG64 address, ULONG64 frame);
    /* The current thread is about to end. PASSIVE_LEVEL. */
    VOID (*ThreadEnds)(VOID);
    /* The checked form of an exported routine; NULL: it has none. */
    PVOID (*FindChecked)(const char *name);
} KI_VERIFIER;

extern const KI_VERIFIER *volatile KiVerifier; /* NULL while it is off */

static inline VOID KiVerifyRelease(ULONG64 address, ULONG64 bytes) {
    const KI_VERIFIER *verifier = KiVerifier;
    if (verifier != NULL) {
        verifier->ReleaseStorage(address, bytes);
    }
}

static inline VOID KiVerifyConnect(PKINTERRUPT interrupt) {
    const KI_VERIFIER *verifier = KiVerifier;
    if (verifier != NULL) {
        verifier->ConnectInterrupt(interrupt);
    }
}

static inline VOID KiVerifyEntry(PKINTERRUPT interrupt, ULONG64 routine) {
    const KI_VERIFIER *verifier = KiVerifier;
    if (verifier != NULL) {
        verifier->EnterServiceRoutine(interrupt, routine);
    }
}

static inline VOID KiVerifyExit(PKINTERRUPT interrupt, ULONG64 routine) {
    const KI_VERIFIER *verifier = KiVerifier;
    if (verifier != NULL) {
        verifier->LeaveServiceRoutine(interrupt, routine);
    }
}

static inline VOID KiVerifyReturn(ULONG64 routine, ULONG64 argument, KIRQL expected) {
    const KI_VERIFIER *verifier = KiVerifier;
    if (verifier != NULL) {
        verifier->LeaveRoutine(routine, argument, expected);
    }
}

static inline VOID KiVerifyException(ULONG code, const ULONG64 *parameters, ULONG64 address, ULONG64 frame) {
    const KI_VERIFIER *verifier = KiVerifier;
    if (verifier != NULL) {
        verifier->Exception(code, parameters, address, frame);
    }
}

static inline VOID KiVerifyThreadEnd(VOID) {
    const KI_VERIFIER *verifier = KiVerifier;
    if (verifier != NULL) {
        verifier->ThreadEnds();
    }
}
