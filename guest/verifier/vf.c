/* SPDX-License-Identifier: Apache-2.0 */
/* The verifier's switch, and the table of checked forms that the loader asks. */
#include <string.h>

#include "vi.h"

#include "../ldr/ldr.h"

extern const KI_EXPORT KiVerifiedStart[], KiVerifiedEnd[];

static PVOID ViFindChecked(const char *name) {
    for (const KI_EXPORT *checked = KiVerifiedStart; checked < KiVerifiedEnd; checked++) {
        if (strcmp(checked->Name, name) == 0) {
            return checked->Address;
        }
    }
    return NULL;
}

static const char *ViNameOf(PVOID address) {
    for (const KI_EXPORT *checked = KiVerifiedStart; checked < KiVerifiedEnd; checked++) {
        if (checked->Address == address) {
            return checked->Name;
        }
    }
    return NULL;
}

static const KI_VERIFIER ViHooks = {
    .ReleaseStorage = ViReleaseStorage,
    .ConnectInterrupt = ViConnectInterrupt,
    .EnterServiceRoutine = ViEnterServiceRoutine,
    .LeaveServiceRoutine = ViLeaveServiceRoutine,
    .LeaveRoutine = ViLeaveRoutine,
    .Exception = ViException,
    .ThreadEnds = ViThreadEnds,
    .FindChecked = ViFindChecked,
};

VOID VfInitialize(VOID) {
    ViFindContractTargets();
    ViForgetLocks();
    ViForgetRemoveLocks(0, ~0ull);
    KiVerifier = HostBootOptions.Verifier != 0 ? &ViHooks : NULL;
    ViWatchCancelling(KiVerifier != NULL);
}

BOOLEAN VfEnable(BOOLEAN on) {
    BOOLEAN was = KiVerifier != NULL;
    if (was != on) {
        ViForgetLocks();
        ViForgetRemoveLocks(0, ~0ull);
        ViForgetHeld();
        ViForgetOwned();
        ViForgetHolds();
        KiVerifier = on ? &ViHooks : NULL;
        ViWatchCancelling(on);
        LdrResolveAgain(ViNameOf);
    }
    return was;
}
