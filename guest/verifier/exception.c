/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exceptions under a spin lock (SYS-13): whoever holds one causes none and touches no memory that may be out. The bugcheck stays the
 * exception's own; what is added is which locks were held, and where they had been taken.
 */
#include "vi.h"

#include "../include/mutant.h"

static BOOLEAN ViIsAccess(ULONG code) {
    return code == IRQL_NOT_LESS_OR_EQUAL || code == DRIVER_IRQL_NOT_LESS_OR_EQUAL ||
        code == PAGE_FAULT_IN_NONPAGED_AREA;
}

VOID ViException(ULONG code, const ULONG64 *parameters, ULONG64 address, ULONG64 frame) {
    const VI_REQUEST *held = ViHeld(0);
    if (held == NULL || MUTANT(VfLetsHolderFault, "SYS-13", "the verifier does not look at exceptions under a lock")) {
        return;
    }
    VF_VIOLATION violation = {
        .Code = code,
        .Text = ViIsAccess(code) ? "memory that is not there is touched while a spin lock is held"
                                 : "an exception is raised while a spin lock is held",
    };
    RtlCopyMemory(violation.Parameter, parameters, sizeof violation.Parameter);
    for (ULONG i = 0; i < VF_MAXIMUM_SITES && (held = ViHeld(i)) != NULL; i++) {
        VF_SITE *site = &violation.Site[violation.SiteCount++];
        site->Held = held->Lock;
        site->Cpu = KiCurrentPrcb()->Number;
        site->Irql = __readcr8();
        RtlCopyMemory(site->HeldStack, held->Stack, sizeof site->HeldStack);
        ViCaptureInterrupted(site->Stack, address, frame);
    }
    ViKeepViolation(&violation);
}
