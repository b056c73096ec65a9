/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What dirql's kernel offers to drivers beyond the DDK. A driver that uses it includes this after its DDK header and is
 * linked with libdirql.a, which every driver built here is; it then loads on dirql only.
 */
#pragma once

/* Write a TraceMark record with two values of the driver's choice into this CPU's trace. Any IRQL, never waits. */
NTSYSAPI VOID NTAPI DirqlTraceMark(ULONG64 Value0, ULONG64 Value1);
