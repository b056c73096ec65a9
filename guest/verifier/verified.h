/* SPDX-License-Identifier: Apache-2.0 */
/* How an exported routine gets its checked form: the linker gathers these into a table beside that of the exports. */
#pragma once

#include "../include/export.h"

#define NT_VERIFIED(name, checked) \
    static const KI_EXPORT ViVerified_##name __attribute__((used, section("verified"))) = {#name, (PVOID)(checked)}
