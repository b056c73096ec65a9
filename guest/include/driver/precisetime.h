/* SPDX-License-Identifier: Apache-2.0 */
/* Documented routines of time that the DDK headers lack. What they promise stands in nt/time.h. */
#pragma once

NTSYSAPI VOID NTAPI KeQuerySystemTimePrecise(PLARGE_INTEGER CurrentTime);
NTSYSAPI ULONG64 NTAPI KeQueryInterruptTimePrecise(PULONG64 QpcTimeStamp);
