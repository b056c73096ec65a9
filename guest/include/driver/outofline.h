/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IRQL routines as imports instead of the DDK's inline functions, so that the trace and the verifier see each raise and
 * lower of a driver that is built from source. Include it first, or give it to the compiler: -include outofline.h.
 * It includes <ntddk.h>. The driver's code stays as it is.
 */
#pragma once

#ifdef _NTDDK_
#error "outofline.h comes before the header of the DDK"
#endif

#define KeGetCurrentIrql        DirqlInlineGetCurrentIrql
#define KeLowerIrql             DirqlInlineLowerIrql
#define KfRaiseIrql             DirqlInlineRaiseIrql
#define KeRaiseIrqlToDpcLevel   DirqlInlineRaiseIrqlToDpcLevel
#define KeRaiseIrqlToSynchLevel DirqlInlineRaiseIrqlToSynchLevel
#define KeInitializeSpinLock    DirqlInlineInitializeSpinLock

#include <ntddk.h>

#undef KeGetCurrentIrql
#undef KeLowerIrql
#undef KfRaiseIrql
#undef KeRaiseIrqlToDpcLevel
#undef KeRaiseIrqlToSynchLevel
#undef KeInitializeSpinLock

/* Any IRQL. */
NTSYSAPI KIRQL NTAPI KeGetCurrentIrql(VOID);
/* IRQL <= NewIrql in, NewIrql out. Returns the IRQL before. KeRaiseIrql(NewIrql, OldIrql) is this too. */
NTSYSAPI KIRQL NTAPI KfRaiseIrql(KIRQL NewIrql);
/* IRQL <= DISPATCH_LEVEL (SYNCH_LEVEL, 12) in, that level out. Returns the IRQL before. */
NTSYSAPI KIRQL NTAPI KeRaiseIrqlToDpcLevel(VOID);
NTSYSAPI KIRQL NTAPI KeRaiseIrqlToSynchLevel(VOID);
/* NewIrql is what the matching raise returned. */
NTSYSAPI VOID NTAPI KeLowerIrql(KIRQL NewIrql);
/* Any IRQL; once in the life of the lock's storage. */
NTSYSAPI VOID NTAPI KeInitializeSpinLock(PKSPIN_LOCK SpinLock);
