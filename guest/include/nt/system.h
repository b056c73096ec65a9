/* SPDX-License-Identifier: Apache-2.0 */
/* Processors, clock and the end: the contracts (see ../nt.h). */
#pragma once

#include "../ddk.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/* Processors, clock and the end (ke/processor.c, ke/clock.c, ke/bugcheck.c). Any IRQL. */

KAFFINITY NTAPI KeQueryActiveProcessors(VOID);
ULONG NTAPI KeQueryActiveProcessorCount(PKAFFINITY ActiveProcessors);
ULONG NTAPI KeQueryMaximumProcessorCount(VOID);
ULONG NTAPI KeQueryTimeIncrement(VOID); /* 100 ns units between two clock ticks */
VOID NTAPI KeBugCheckEx(ULONG BugCheckCode, ULONG_PTR P1, ULONG_PTR P2, ULONG_PTR P3, ULONG_PTR P4);

/* NOLINTEND(readability-redundant-declaration) */
