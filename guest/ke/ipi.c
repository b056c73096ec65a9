/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a routine on every other CPU. One call is under way at a time; a CPU that waits for its turn, or for the others
 * to finish, stays below IPI_LEVEL with interrupts on and so still answers the call that is ahead of it: two callers
 * cannot wait for each other.
 */
#include "ki.h"

#include "../hal/hal.h"
#include "../trace/trace.h"

static KSPIN_LOCK KiIpiLock;
static KI_IPI_ROUTINE *volatile KiIpiRoutine;
static PVOID volatile KiIpiContext;
static volatile LONG KiIpiPending; /* CPUs that have not finished yet */

static VOID KiIpiInterrupt(KI_TRAP_FRAME *frame, PVOID context) {
    UNREFERENCED_PARAMETER(frame);
    UNREFERENCED_PARAMETER(context);
    KiCurrentPrcb()->IpiCount++;
    /* The interrupt itself orders: routine and context were stored before the ICR was written. */
    KiIpiRoutine(KiIpiContext);
    /* Release: what the routine did is visible to the caller that sees the count fall. */
    __atomic_sub_fetch(&KiIpiPending, 1, __ATOMIC_RELEASE);
}

VOID KiConnectIpi(VOID) {
    KiConnectVector(IPI_VECTOR, KiIpiInterrupt, NULL, FALSE);
}

VOID KiCallOthers(KI_IPI_ROUTINE *routine, PVOID context) {
    LONG others = 0;
    KIRQL irql = (KIRQL)__readcr8();
    if (irql < CLOCK_LEVEL) {
        __writecr8(CLOCK_LEVEL); /* the lock holder stays on its CPU; IPIs still arrive */
    }
    KiAcquireSpinLock(&KiIpiLock, KI_CALLER);
    for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
        others += &KiPcr[cpu].Prcb != KiCurrentPrcb() && KiPcr[cpu].Prcb.Running;
    }
    if (others != 0) {
        KiIpiRoutine = routine;
        KiIpiContext = context;
        __atomic_store_n(&KiIpiPending, others, __ATOMIC_RELEASE);
        trace(TraceIpiSend, IPI_VECTOR, DPC_ANY_CPU);
        lapic_send_others(IPI_VECTOR);
        while (__atomic_load_n(&KiIpiPending, __ATOMIC_ACQUIRE) != 0) {
            _mm_pause();
        }
    }
    KiReleaseSpinLock(&KiIpiLock, KI_CALLER);
    __writecr8(irql);
}
