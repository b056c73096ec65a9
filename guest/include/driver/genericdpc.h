/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DPCs on all processors at once: routines that ntoskrnl.lib has and the DDK headers used here do not declare. A driver
 * that uses them includes this after its DDK header.
 */
#pragma once

#ifndef NTSYSAPI
#define NTSYSAPI
#endif

/*
 * Runs Routine as a DPC on every processor, the caller's included, and returns when all of them have called
 * KeSignalCallDpcDone. Below DISPATCH_LEVEL; spins. The routine gets Context, and in its two system arguments what the
 * two routines below want.
 */
NTSYSAPI VOID NTAPI KeGenericCallDpc(PKDEFERRED_ROUTINE Routine, PVOID Context);
/* DISPATCH_LEVEL, once in each run of such a routine, as the last thing. */
NTSYSAPI VOID NTAPI KeSignalCallDpcDone(PVOID SystemArgument1);
/* DISPATCH_LEVEL: spins until all processors have come here. Returns TRUE on exactly one of them. */
NTSYSAPI LOGICAL NTAPI KeSignalCallDpcSynchronize(PVOID SystemArgument2);
