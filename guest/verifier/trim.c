/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Force IRQL Checking, as the documented verifier calls it: whenever a driver raises to DISPATCH_LEVEL or takes a spin lock, all that
 * is pageable is put out, so that a holder's touch of it is found although the page had been there (SYS-13). Another CPU may bring
 * a page back in between. It costs a flush of every CPU's TB, so it is asked for by a boot option.
 */
#include "vi.h"

#include "../include/mutant.h"
#include "../mm/mi.h"

VOID ViTrimMemory(VOID) {
    if (HostBootOptions.ForceIrql != 0 && __readcr8() == DISPATCH_LEVEL && ViInnermost() == NULL &&
        !MUTANT(VfNeverTrims, "SYS-13", "the verifier leaves pageable memory where it is")) {
        (VOID) MiPageOut(0, 0);
    }
}
