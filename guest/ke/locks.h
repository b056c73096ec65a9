/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of spin lock beside the plain one (ki.h), as other parts of the executive take them. They touch the lock alone: the
 * caller's IRQL keeps the holder on its CPU. caller goes into the trace.
 */
#pragma once

#include "ki.h"

#include "../include/driver/rwlock.h"

#define KI_LOCK_TRIED (3ull << 32) /* TraceLockQueued: the routine that has just taken the lock would not have waited */

#define KI_SYNCH_LEVEL 12 /* D7 */

/* ke/queuedlock.c: first come, first served; the handle is the caller's until it is released. */
VOID KiAcquireQueuedLock(PKSPIN_LOCK lock, PKLOCK_QUEUE_HANDLE handle, ULONG64 caller);
VOID KiReleaseQueuedLock(PKLOCK_QUEUE_HANDLE handle, ULONG64 caller);
BOOLEAN KiTryToAcquireQueuedLock(PKSPIN_LOCK lock, PKLOCK_QUEUE_HANDLE handle, ULONG64 caller);
PKSPIN_LOCK KiQueuedLockOf(const KLOCK_QUEUE_HANDLE *handle); /* NULL: the handle holds none */

/* ke/numberedlock.c: a number that there is not is a bugcheck. The handle is this CPU's. */
PKSPIN_LOCK KiNumberedLock(KSPIN_LOCK_QUEUE_NUMBER number);
PKLOCK_QUEUE_HANDLE KiNumberedHandle(KSPIN_LOCK_QUEUE_NUMBER number);

/* ke/rwlock.c */
VOID KiAcquireSharedLock(PEX_SPIN_LOCK lock, ULONG64 caller);
BOOLEAN KiTryToAcquireSharedLock(PEX_SPIN_LOCK lock, ULONG64 caller);
VOID KiReleaseSharedLock(PEX_SPIN_LOCK lock, ULONG64 caller);
VOID KiAcquireExclusiveLock(PEX_SPIN_LOCK lock, ULONG64 caller);
BOOLEAN KiTryToAcquireExclusiveLock(PEX_SPIN_LOCK lock, ULONG64 caller);
VOID KiReleaseExclusiveLock(PEX_SPIN_LOCK lock, ULONG64 caller);
BOOLEAN KiTryToConvertSharedLock(PEX_SPIN_LOCK lock, ULONG64 caller);
