/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a physical device object, for its answers to IRPs and for IoGetDeviceProperty. PASSIVE_LEVEL. */
#pragma once

#include "iop.h"

typedef enum _IOP_PDO_TEXT {
    IopDeviceId,
    IopHardwareIds,   /* several */
    IopCompatibleIds, /* several */
    IopInstanceId,
    IopDescription,
    IopLocationText,
} IOP_PDO_TEXT;

PWSTR IopPdoText(const IOP_PDO *pdo, IOP_PDO_TEXT which,
                 ULONG *bytes); /* paged pool; *bytes with the last NUL. NULL: no memory */
ULONG IopPdoAddress(const IOP_PDO *pdo);
VOID IopPdoBus(const IOP_PDO *pdo, PPNP_BUS_INFORMATION bus);
