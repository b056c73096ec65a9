/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a routine or variable becomes one that drivers may import: the linker gathers these into one table (guest.ld). And how
 * it says what is missing of it: that is for the host only (`dirql exports`), lies in a part of the file that is never loaded.
 */
#pragma once

#include "ddk.h"

typedef struct _KI_EXPORT {
    const char *Name;
    PVOID Address;
} __attribute__((aligned(16))) KI_EXPORT; /* of its size: the table has no gaps */

#define NT_EXPORT_AS(symbol, name) \
    static const KI_EXPORT KiExport_##name __attribute__((used, section("exports"))) = {#name, (PVOID)(symbol)}
#define NT_EXPORT(name) NT_EXPORT_AS(name, name)

/*
 * What an exported routine does not do of what is documented, in one line for people: a string literal without quotes and
 * backslashes inside. Stands once beside the NT_EXPORT; the linker does not check the name, a test does.
 */
#define NT_PARTIAL(name, note) \
    __asm__(".pushsection .partial, \"\", @progbits\n.asciz \"" #name "\"\n.asciz \"" note "\"\n.popsection")
