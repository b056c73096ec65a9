/* SPDX-License-Identifier: Apache-2.0 */
/* APCs, critical and guarded regions: the contracts (see ../nt.h). */
#pragma once

#include "../ddk.h"
#include "../driver/apc.h" /* APCs and alerts, which the DDK headers lack */

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/*
 * Regions nest, and belong to the current thread. IRQL <= APC_LEVEL. What a region held back is delivered before the routine
 * that leaves the last one returns, at an IRQL below APC_LEVEL; otherwise as soon as the IRQL falls.
 */
VOID NTAPI KeEnterCriticalRegion(VOID);
VOID NTAPI KeLeaveCriticalRegion(VOID);
VOID NTAPI KeEnterGuardedRegion(VOID);
VOID NTAPI KeLeaveGuardedRegion(VOID);

/* IRQL <= DISPATCH_LEVEL. TRUE in a critical or guarded region; the IRQL does not count. */
BOOLEAN NTAPI KeAreApcsDisabled(VOID);
/* IRQL <= DISPATCH_LEVEL. TRUE in a guarded region and at APC_LEVEL or above. */
BOOLEAN NTAPI KeAreAllApcsDisabled(VOID);

/* NOLINTEND(readability-redundant-declaration) */
