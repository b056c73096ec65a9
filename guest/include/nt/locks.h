/* SPDX-License-Identifier: Apache-2.0 */
/* Spin locks and what is done under one: the contracts (see ../nt.h). */
#pragma once

#include "../ddk.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/* Executive spin locks (ke/spinlock.c). A lock is resident and initialised; its holder's CPU stays at DISPATCH_LEVEL. */

/* IRQL <= DISPATCH_LEVEL in, DISPATCH_LEVEL out; spins until the lock is free; held at return. Returns the IRQL before. */
KIRQL NTAPI KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock);
/* DISPATCH_LEVEL in, NewIrql out; the caller holds the lock. A pending DPC interrupt is taken on the way out. */
VOID NTAPI KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql);
/* IRQL >= DISPATCH_LEVEL; spins until the lock is free; held at return. */
VOID NTAPI KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock);
/* IRQL >= DISPATCH_LEVEL; the caller holds the lock, taken by an AtDpcLevel routine. */
VOID NTAPI KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock);
/* IRQL >= DISPATCH_LEVEL; TRUE: held at return; FALSE: somebody else holds it. */
BOOLEAN FASTCALL KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock);
/* Any IRQL. TRUE: the lock was free when it was looked at. */
BOOLEAN FASTCALL KeTestSpinLock(PKSPIN_LOCK SpinLock);
/* For threaded DPCs. IRQL <= DISPATCH_LEVEL in, DISPATCH_LEVEL out; held at return. Returns the IRQL before. */
KIRQL FASTCALL KeAcquireSpinLockForDpc(PKSPIN_LOCK SpinLock);
/* DISPATCH_LEVEL in, OldIrql out; the caller holds the lock, taken by KeAcquireSpinLockForDpc. */
VOID FASTCALL KeReleaseSpinLockForDpc(PKSPIN_LOCK SpinLock, KIRQL OldIrql);

/*
 * In-stack queued spin locks (ke/queuedlock.c): first come, first served. The handle is resident, belongs to one acquisition
 * until its release, and goes to no other thread. A lock taken by these is never taken by the routines above (QSL-5).
 */

/* IRQL <= DISPATCH_LEVEL in, DISPATCH_LEVEL out; spins until its turn; held at return. */
VOID FASTCALL KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle);
/* DISPATCH_LEVEL in, the IRQL before the acquisition out. */
VOID FASTCALL KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE LockHandle);
/* IRQL >= DISPATCH_LEVEL. */
VOID FASTCALL KeAcquireInStackQueuedSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle);
VOID FASTCALL KeReleaseInStackQueuedSpinLockFromDpcLevel(PKLOCK_QUEUE_HANDLE LockHandle);
/* For threaded DPCs. IRQL <= DISPATCH_LEVEL in, DISPATCH_LEVEL out; the release restores. */
VOID FASTCALL KeAcquireInStackQueuedSpinLockForDpc(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle);
VOID FASTCALL KeReleaseInStackQueuedSpinLockForDpc(PKLOCK_QUEUE_HANDLE LockHandle);

/*
 * Lists and counters under a spin lock (ex/interlocked.c). Any IRQL, DIRQL included: they run at HIGH_LEVEL. The caller does
 * not hold the lock. A lock that they take at DIRQL is taken by nothing else at DISPATCH_LEVEL (SPIN-18).
 */
LARGE_INTEGER NTAPI ExInterlockedAddLargeInteger(PLARGE_INTEGER Addend, LARGE_INTEGER Increment, PKSPIN_LOCK Lock);
ULONG FASTCALL ExInterlockedAddUlong(PULONG Addend, ULONG Increment, PKSPIN_LOCK Lock); /* both: the value before */
/* The entry that was first (last) before; NULL: the list was empty. */
PLIST_ENTRY FASTCALL ExInterlockedInsertHeadList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry, PKSPIN_LOCK Lock);
PLIST_ENTRY FASTCALL ExInterlockedInsertTailList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry, PKSPIN_LOCK Lock);
PLIST_ENTRY FASTCALL ExInterlockedRemoveHeadList(PLIST_ENTRY ListHead, PKSPIN_LOCK Lock); /* NULL: it is empty */
PSINGLE_LIST_ENTRY FASTCALL ExInterlockedPushEntryList(PSINGLE_LIST_ENTRY ListHead, PSINGLE_LIST_ENTRY ListEntry,
                                                       PKSPIN_LOCK Lock); /* what was first; NULL: nothing */
PSINGLE_LIST_ENTRY FASTCALL ExInterlockedPopEntryList(PSINGLE_LIST_ENTRY ListHead, PKSPIN_LOCK Lock);

/* Sequenced lists (ex/slist.c). Any IRQL, no lock. Header and entries are resident and aligned to 16 bytes. */
VOID InitializeSListHead(PSLIST_HEADER SListHead); /* misaligned: STATUS_DATATYPE_MISALIGNMENT, which is fatal here */
USHORT ExQueryDepthSList(PSLIST_HEADER ListHead);
PSLIST_ENTRY ExpInterlockedPushEntrySList(PSLIST_HEADER ListHead, PSLIST_ENTRY ListEntry); /* what was first, or NULL */
PSLIST_ENTRY ExpInterlockedPopEntrySList(PSLIST_HEADER ListHead);                          /* NULL: it is empty */
PSLIST_ENTRY ExpInterlockedFlushSList(PSLIST_HEADER ListHead); /* all of it, first to last by Next */

/* NOLINTEND(readability-redundant-declaration) */
