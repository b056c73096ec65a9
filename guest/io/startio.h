/* SPDX-License-Identifier: Apache-2.0 */
/* What io/startio.c, cancel.c and iotimer.c share with the rest of the I/O manager and with the verifier. */
#pragma once

#include "iop.h"

/* The cancel spin lock: a driver has it from IoAcquireCancelSpinLock, or given with a call of its Cancel routine. */
extern KSPIN_LOCK IopCancelLock;

/* What the verifier wants to know while it is on: around a Cancel routine, which gives back the lock that this CPU holds. */
typedef struct _IOP_CANCEL_HOOKS {
    VOID (*Given)(KIRQL irql);
    VOID (*Returned)(ULONG64 routine, ULONG64 irp, KIRQL irql);
} IOP_CANCEL_HOOKS;
extern const IOP_CANCEL_HOOKS *volatile IopCancelHooks; /* NULL: it is off */

#define DRIVER_RETURNED_HOLDING_CANCEL_LOCK 0x11b /* IRP, routine. The DDK headers lack its name */

/*
 * As IoSetCancelRoutine, which is inline in drivers. Sequentially consistent: what an IRP's owner and its canceller do before and after it
 * is seen in that order by the other.
 */
static inline PDRIVER_CANCEL IopExchangeCancelRoutine(PIRP irp, PDRIVER_CANCEL routine) {
    return __atomic_exchange_n(&irp->CancelRoutine, routine, __ATOMIC_SEQ_CST);
}

/*
 * DISPATCH_LEVEL, the cancel spin lock held, which the routine gives back. The IRP, whose Cancel routine it was until now, may be
 * gone at return. IRQL out: irql.
 */
VOID IopCallCancelRoutine(PIRP irp, PDRIVER_CANCEL routine, KIRQL irql);

/* io/csq.c: the Cancel routine of queued IRPs. */
DRIVER_CANCEL IopCsqCancel;

/* io/iotimer.c: IRQL <= APC_LEVEL; stops it, waits for a call that has begun, and gives it back. A device without one: nothing. */
VOID IopDeleteTimer(PDEVICE_OBJECT device);
