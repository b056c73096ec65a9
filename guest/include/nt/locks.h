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
BOOLEAN NTAPI KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock);
/* Any IRQL. TRUE: the lock was free when it was looked at. */
BOOLEAN NTAPI KeTestSpinLock(PKSPIN_LOCK SpinLock);

/* NOLINTEND(readability-redundant-declaration) */
