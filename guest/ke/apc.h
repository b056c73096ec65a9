/* SPDX-License-Identifier: Apache-2.0 */
/* APCs as the rest of the kernel layer sees them, beside what dispatcher.h says (ke/apc.c, ke/region.c). */
#pragma once

#include "dispatcher.h"

#define KI_APC_OBJECT 18 /* KAPC.Type */

VOID KiConnectApcInterrupt(VOID); /* boot CPU, once */

/*
 * The current thread has raised one of its counts, the dispatcher lock is free: what nothing holds back any more is
 * delivered, at once below APC_LEVEL, otherwise when the IRQL falls.
 */
VOID KiDeliverHeldApcs(PKTHREAD thread);

/* ke/alert.c, the dispatcher lock held: whether an alert ends an alertable wait of that mode; it is used up. */
BOOLEAN KiTakeAlert(PKTHREAD thread, KPROCESSOR_MODE mode);

/*
 * PASSIVE_LEVEL in, DISPATCH_LEVEL and the dispatcher lock held out: the current thread is about to end, its mutexes are
 * abandoned, and whatever could be delivered to it was. Bugcheck 0x20 where a region that it did not leave holds something
 * back, or would.
 */
VOID KiEndApcs(PKTHREAD thread);
