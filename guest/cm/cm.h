/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry: a tree of keys in memory, made anew at each boot. What drivers call stands in include/nt/registry.h; this is what the
 * executive calls. PASSIVE_LEVEL, may wait, unless a line says otherwise.
 */
#pragma once

#include "../include/ddk.h"
#include "../include/nt.h"

VOID CmInitialize(VOID); /* boot CPU, once: the keys that are always there. Bugchecks without memory */

/*
 * The key \Registry\Machine\System\CurrentControlSet\Services\NAME of a driver, NAME being its file's without the extension, with what
 * the host gave it: blob is a row of CM_RECORDs. STATUS_INVALID_PARAMETER: it is not. A name that is there already keeps what it has and
 * is one use more; it goes, with all that is in it, at the last CmDeleteService, and handles to it lead nowhere then.
 */
NTSTATUS CmCreateService(const char *name, const VOID *blob, ULONG64 bytes);
VOID CmDeleteService(const char *name);

/* Opens a key below a driver's service key, making what of it is not there. path: names with \ between. */
NTSTATUS CmOpenServiceSubkey(PCUNICODE_STRING service_path, PCWSTR path, PHANDLE handle);

/* How the host writes a blob (harness/dirql/guest/registry.py): a record, its name (UTF-16, no NUL), its data, each padded to 8 bytes. */
#define CM_RECORD_ENTER 0xfffffffeu /* what follows is in the subkey of this name */
#define CM_RECORD_LEAVE 0xfffffffdu /* and this far */

typedef struct _CM_RECORD {
    ULONG Kind; /* REG_...: a value; or one of the above */
    ULONG NameBytes;
    ULONG DataBytes;
    ULONG Spare;
} CM_RECORD;
C_ASSERT(sizeof(CM_RECORD) == 16);
