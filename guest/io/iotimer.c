/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's timer (nt/startio.h): a timer object whose DPC calls the driver's routine. Each device has its own, so that one
 * routine that takes its time delays no other's.
 */
#include "startio.h"

#include "../include/mutant.h"
#include "../ke/verify.h"

#define POOL_TAG_IO_TIMER  'iToI'
#define IO_TIMER_PERIOD_MS 1000
#define IO_TIMER_FIRST_DUE (-10000000LL) /* a second, in 100 ns */

typedef struct _IO_TIMER {
    KTIMER Timer;
    KDPC Dpc;
    PDEVICE_OBJECT Device;
    PIO_TIMER_ROUTINE Routine;
    PVOID Context;
    volatile LONG Started;
} IO_TIMER;

static VOID NTAPI IopTimerDpc(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    PIO_TIMER timer = DeferredContext;
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    /* Acquire: what was done before the timer was started. A DPC that was on its way when it was stopped ends here. */
    if (__atomic_load_n(&timer->Started, __ATOMIC_ACQUIRE)) {
        timer->Routine(timer->Device, timer->Context);
        KiVerifyReturn((ULONG64)timer->Routine, (ULONG64)timer->Device, DISPATCH_LEVEL);
    }
}

NTSTATUS NTAPI IoInitializeTimer(PDEVICE_OBJECT DeviceObject, PIO_TIMER_ROUTINE TimerRoutine, PVOID Context) {
    PIO_TIMER timer = DeviceObject->Timer;
    if (timer == NULL) {
        timer = ExAllocatePoolWithTag(NonPagedPool, sizeof *timer, POOL_TAG_IO_TIMER);
        if (timer == NULL) {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        RtlZeroMemory(timer, sizeof *timer);
        timer->Device = DeviceObject;
        KeInitializeTimer(&timer->Timer);
        KeInitializeDpc(&timer->Dpc, IopTimerDpc, timer);
    }
    timer->Routine = TimerRoutine;
    timer->Context = Context;
    DeviceObject->Timer = timer;
    return STATUS_SUCCESS;
}
NT_EXPORT(IoInitializeTimer);

VOID NTAPI IoStartTimer(PDEVICE_OBJECT DeviceObject) {
    PIO_TIMER timer = DeviceObject->Timer;
    LARGE_INTEGER due = {.QuadPart = IO_TIMER_FIRST_DUE};
    if (timer != NULL) {
        __atomic_store_n(&timer->Started, TRUE, __ATOMIC_RELEASE);
        KeSetTimerEx(&timer->Timer, due, IO_TIMER_PERIOD_MS, &timer->Dpc);
    }
}
NT_EXPORT(IoStartTimer);

VOID NTAPI IoStopTimer(PDEVICE_OBJECT DeviceObject) {
    PIO_TIMER timer = DeviceObject->Timer;
    if (timer == NULL || MUTANT(IoTimerRunsOn, "IRQL-8", "IoStopTimer does not stop a device's timer")) {
        return;
    }
    __atomic_store_n(&timer->Started, FALSE, __ATOMIC_RELEASE);
    KeCancelTimer(&timer->Timer);
    KeRemoveQueueDpc(&timer->Dpc);
}
NT_EXPORT(IoStopTimer);

VOID IopDeleteTimer(PDEVICE_OBJECT device) {
    PIO_TIMER timer = device->Timer;
    if (timer == NULL) {
        return;
    }
    __atomic_store_n(&timer->Started, FALSE, __ATOMIC_RELEASE);
    KeCancelTimer(&timer->Timer);
    KeFlushQueuedDpcs(); /* its DPC may have been queued, or be about to begin on another CPU */
    device->Timer = NULL;
    ExFreePoolWithTag(timer, POOL_TAG_IO_TIMER);
}
