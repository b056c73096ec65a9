/* SPDX-License-Identifier: Apache-2.0 */
/* The export table: the linker gathers every NT_EXPORT of the kernel into one array. */
#include <string.h>

#include "ldr.h"

#include "../include/export.h"

extern const KI_EXPORT KiExportsStart[], KiExportsEnd[];

PVOID LdrFindExport(const char *name) {
    for (const KI_EXPORT *export = KiExportsStart; export < KiExportsEnd; export++) {
        if (strcmp(export->Name, name) == 0) {
            return export->Address;
        }
    }
    return NULL;
}

const char *LdrNameOf(PVOID address) {
    for (const KI_EXPORT *export = KiExportsStart; export < KiExportsEnd; export++) {
        if (export->Address == address) {
            return export->Name;
        }
    }
    return NULL;
}
