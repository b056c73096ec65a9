/* SPDX-License-Identifier: Apache-2.0 */
/* Text: the contracts (see ../nt.h). */
#pragma once

#include "../ddk.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/*
 * Text (ke/print.c). Any IRQL; takes the console's lock at HIGH_LEVEL; at most 512 bytes a message. The format is rtl/format.c's. All
 * messages are shown until DbgSetDebugFilterState says otherwise; DbgPrint's are those of DPFLTR_DEFAULT_ID and DPFLTR_INFO_LEVEL.
 */

ULONG __cdecl DbgPrint(PCSTR Format, ...);
ULONG __cdecl DbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, ...);
ULONG NTAPI vDbgPrintEx(ULONG ComponentId, ULONG Level, PCCH Format, va_list arglist);
ULONG NTAPI vDbgPrintExWithPrefix(PCCH Prefix, ULONG ComponentId, ULONG Level, PCCH Format, va_list arglist);
NTSTATUS NTAPI DbgQueryDebugFilterState(ULONG ComponentId, ULONG Level); /* TRUE: shown */
NTSTATUS NTAPI DbgSetDebugFilterState(ULONG ComponentId, ULONG Level, BOOLEAN State);

/* NOLINTEND(readability-redundant-declaration) */
