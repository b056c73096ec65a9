/* SPDX-License-Identifier: Apache-2.0 */
/* How a routine or variable becomes one that drivers may import: the linker gathers these into one table (guest.ld). */
#pragma once

#include "ddk.h"

typedef struct _KI_EXPORT {
    const char *Name;
    PVOID Address;
} __attribute__((aligned(16))) KI_EXPORT; /* of its size: the table has no gaps */

#define NT_EXPORT_AS(symbol, name) \
    static const KI_EXPORT KiExport_##name __attribute__((used, section("exports"))) = {#name, (PVOID)(symbol)}
#define NT_EXPORT(name) NT_EXPORT_AS(name, name)
