/* SPDX-License-Identifier: Apache-2.0 */
/* The verifier's switch, and the table of checked forms that the loader asks. */
#include <string.h>

#include "vi.h"

#include "../ldr/ldr.h"

extern const KI_EXPORT KiVerifiedStart[], KiVerifiedEnd[];

volatile BOOLEAN VfEnabled;

PVOID VfFindVerified(const char *name) {
    for (const KI_EXPORT *checked = KiVerifiedStart; checked < KiVerifiedEnd; checked++) {
        if (strcmp(checked->Name, name) == 0) {
            return checked->Address;
        }
    }
    return NULL;
}

const char *VfNameOf(PVOID address) {
    for (const KI_EXPORT *checked = KiVerifiedStart; checked < KiVerifiedEnd; checked++) {
        if (checked->Address == address) {
            return checked->Name;
        }
    }
    return NULL;
}

VOID VfInitialize(VOID) {
    ViFindContractTargets();
    ViForgetLocks();
    VfEnabled = HostBootOptions.Verifier != 0;
}

BOOLEAN VfEnable(BOOLEAN on) {
    BOOLEAN was = VfEnabled;
    if (was != on) {
        ViForgetLocks();
        ViForgetHeld();
        VfEnabled = on;
        LdrResolveAgain();
    }
    return was;
}
