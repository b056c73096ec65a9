/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions that are raised on purpose: the contracts (see ../nt.h). */
#pragma once

#include "../ddk.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/*
 * Do not return: nobody handles exceptions here, so each is bugcheck 0x1E KMODE_EXCEPTION_NOT_HANDLED with the status, the caller's
 * return address, 0, 0 (ke/raise.c). ExRaiseStatus: IRQL <= APC_LEVEL, the others: PASSIVE_LEVEL.
 */
VOID NTAPI ExRaiseStatus(NTSTATUS Status) __attribute__((noreturn));
VOID NTAPI ExRaiseAccessViolation(VOID) __attribute__((noreturn));
VOID NTAPI ExRaiseDatatypeMisalignment(VOID) __attribute__((noreturn));

/* NOLINTEND(readability-redundant-declaration) */
