/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reader/writer spin locks and the raise-to-synch spin locks: documented in wdm.h or exported by ntoskrnl, but not declared by
 * the mingw-w64 DDK. A driver that uses them includes this after its DDK header. On a DDK that declares them itself the
 * driver defines DIRQL_HAVE_EX_SPIN_LOCK, and nothing here remains.
 *
 * An EX_SPIN_LOCK is resident and initialised to 0. Many readers hold it together, a writer alone; a writer that waits keeps
 * new readers out.
 */
#pragma once

#ifndef DIRQL_HAVE_EX_SPIN_LOCK

typedef volatile LONG EX_SPIN_LOCK, *PEX_SPIN_LOCK;

/* IRQL <= DISPATCH_LEVEL in, DISPATCH_LEVEL out; spins; held at return. Returns the IRQL before. No recursion. */
NTSYSAPI KIRQL NTAPI ExAcquireSpinLockShared(PEX_SPIN_LOCK SpinLock);
NTSYSAPI KIRQL NTAPI ExAcquireSpinLockExclusive(PEX_SPIN_LOCK SpinLock);
/* DISPATCH_LEVEL in, OldIrql out; the caller holds it in that way. */
NTSYSAPI VOID NTAPI ExReleaseSpinLockShared(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql);
NTSYSAPI VOID NTAPI ExReleaseSpinLockExclusive(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql);

/* IRQL >= DISPATCH_LEVEL, which stays. */
NTSYSAPI VOID NTAPI ExAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock);
NTSYSAPI VOID NTAPI ExAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock);
NTSYSAPI VOID NTAPI ExReleaseSpinLockSharedFromDpcLevel(PEX_SPIN_LOCK SpinLock);
NTSYSAPI VOID NTAPI ExReleaseSpinLockExclusiveFromDpcLevel(PEX_SPIN_LOCK SpinLock);

/* IRQL >= DISPATCH_LEVEL; TRUE: held at return; FALSE at once where it would have to wait. */
NTSYSAPI LOGICAL NTAPI ExTryAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock);
NTSYSAPI LOGICAL NTAPI ExTryAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock);
/* DISPATCH_LEVEL, held as a reader. TRUE: held as the writer from now on; FALSE: others read, or a writer waits. */
NTSYSAPI LOGICAL NTAPI ExTryConvertSharedSpinLockExclusive(PEX_SPIN_LOCK SpinLock);

/* IRQL <= SYNCH_LEVEL in, SYNCH_LEVEL (12) out; otherwise as their namesakes, whose releases are theirs too. */
NTSYSAPI KIRQL NTAPI KeAcquireSpinLockRaiseToSynch(PKSPIN_LOCK SpinLock);
NTSYSAPI VOID FASTCALL KeAcquireInStackQueuedSpinLockRaiseToSynch(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle);

#endif
