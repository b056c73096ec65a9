/* SPDX-License-Identifier: Apache-2.0 */
/* Text: the contracts (see ../nt.h). */
#pragma once

#include "../ddk.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/* Text (monitor/print.c). Any IRQL; takes the console's lock at HIGH_LEVEL; at most 512 bytes a message. */

ULONG __cdecl DbgPrint(PCSTR Format, ...);
ULONG __cdecl DbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, ...);

/* NOLINTEND(readability-redundant-declaration) */
