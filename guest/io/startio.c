/* SPDX-License-Identifier: Apache-2.0 */
/*
 * StartIo (nt/startio.h): one IRP at a time is a device's current one, the others wait in its device queue. What a device's owner may
 * choose lies in the extension of its device object (iop.h).
 *
 * With DeferredStartIo a word says whether anybody is in StartIo. Whoever wants the next IRP started meanwhile leaves a note in
 * it, which who comes back from StartIo finds; there is at most one note, as only who has the current IRP may ask for the next.
 */
#include "startio.h"

#include "../include/mutant.h"
#include "../ke/verify.h"

enum { OutsideStartIo = 0, InsideStartIo = 1, NextWanted = 2 };

static IOP_START_IO *IopStartIoOf(PDEVICE_OBJECT device) {
    return &CONTAINING_RECORD(device->DeviceObjectExtension, IOP_DEVICE_EXTENSION, Public)->StartIo;
}

/* DISPATCH_LEVEL. The next IRP becomes the current one. NULL: there is none, and the device is not busy any more. */
static PIRP IopTakeNextPacket(PDEVICE_OBJECT device, const IOP_NEXT_PACKET *next, ULONG64 caller) {
    PIRP irp = NULL;
    if (next->Cancelable) {
        KiAcquireSpinLock(&IopCancelLock, caller);
    }
    device->CurrentIrp = NULL;
    PKDEVICE_QUEUE_ENTRY entry = next->ByKey ? KeRemoveByKeyDeviceQueue(&device->DeviceQueue, next->Key)
                                             : KeRemoveDeviceQueue(&device->DeviceQueue);
    if (entry != NULL) {
        irp = CONTAINING_RECORD(entry, IRP, Tail.Overlay.DeviceQueueEntry);
        device->CurrentIrp = irp;
        if (IopStartIoOf(device)->NonCancelable) {
            IopExchangeCancelRoutine(irp, NULL);
        }
    }
    if (next->Cancelable) {
        KiReleaseSpinLock(&IopCancelLock, caller);
    }
    return irp;
}

/* DISPATCH_LEVEL. irp: the current one, nobody has been told of it yet. */
static VOID IopCallStartIo(PDEVICE_OBJECT device, PIRP irp, ULONG64 caller) {
    IOP_START_IO *state = IopStartIoOf(device);
    PDRIVER_STARTIO routine = device->DriverObject->DriverStartIo;
    while (irp != NULL) {
        LONG inside = InsideStartIo;
        BOOLEAN deferred = __atomic_load_n(&state->Deferred, __ATOMIC_RELAXED);
        if (deferred) {
            __atomic_store_n(&state->Inside, InsideStartIo,
                             __ATOMIC_RELAXED); /* the IRP's owner alone may ask for the next */
        }
        trace(TraceStartIoEnter, (ULONG64)device, (ULONG64)irp);
        routine(device, irp);
        trace(TraceStartIoExit, (ULONG64)device, (ULONG64)routine);
        KiVerifyReturn((ULONG64)routine, (ULONG64)device, DISPATCH_LEVEL);
        if (MUTANT(StartIoNoteLost, "IRP-3", "a note that comes while StartIo returns is not found") &&
            __atomic_load_n(&state->Inside, __ATOMIC_ACQUIRE) == InsideStartIo) {
            YieldProcessor(); /* time for somebody to come in between */
            __atomic_store_n(&state->Inside, OutsideStartIo, __ATOMIC_RELEASE);
            return;
        }
        /* Acquire: the note, if there is one. Release: what this call did is visible to who calls next. */
        if (!deferred ||
            __atomic_compare_exchange_n(&state->Inside, &inside, OutsideStartIo, FALSE, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE)) {
            return;
        }
        IOP_NEXT_PACKET next = state->Next;
        __atomic_store_n(&state->Inside, OutsideStartIo, __ATOMIC_RELEASE);
        irp = IopTakeNextPacket(device, &next, caller);
    }
}

static VOID IopStartNextPacket(PDEVICE_OBJECT device, const IOP_NEXT_PACKET *next, ULONG64 caller) {
    IOP_START_IO *state = IopStartIoOf(device);
    LONG inside = InsideStartIo;
    KIRQL irql = KiRaiseIrql(DISPATCH_LEVEL, caller);
    if (__atomic_load_n(&state->Deferred, __ATOMIC_RELAXED) &&
        !MUTANT(StartIoReentered, "IRP-3", "DeferredStartIo makes no difference")) {
        if (__atomic_load_n(&state->Inside, __ATOMIC_ACQUIRE) == InsideStartIo) {
            state->Next = *next; /* the current IRP's owner alone writes it, and StartIo has not come back */
        }
        /* Release: the note's contents. Acquire: what StartIo did, if it has come back meanwhile. */
        if (__atomic_compare_exchange_n(&state->Inside, &inside, NextWanted, FALSE, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE) ||
            inside == NextWanted) {
            KiLowerIrql(irql, caller);
            return;
        }
    }
    IopCallStartIo(device, IopTakeNextPacket(device, next, caller), caller);
    KiLowerIrql(irql, caller);
}

VOID NTAPI IoStartPacket(PDEVICE_OBJECT DeviceObject, PIRP Irp, PULONG Key, PDRIVER_CANCEL CancelFunction) {
    PKDEVICE_QUEUE queue = &DeviceObject->DeviceQueue;
    PKDEVICE_QUEUE_ENTRY entry = &Irp->Tail.Overlay.DeviceQueueEntry;
    KIRQL irql = KiRaiseIrql(DISPATCH_LEVEL, KI_CALLER);
    if (CancelFunction != NULL) {
        KiAcquireSpinLock(&IopCancelLock, KI_CALLER);
        IopExchangeCancelRoutine(Irp, CancelFunction);
    }
    BOOLEAN by_key = Key != NULL && !MUTANT(StartPacketForgetsKey, "IRP-1", "IoStartPacket queues without the key");
    BOOLEAN queued = by_key ? KeInsertByKeyDeviceQueue(queue, entry, *Key) : KeInsertDeviceQueue(queue, entry);
    if (!queued) {
        DeviceObject->CurrentIrp = Irp;
        if (IopStartIoOf(DeviceObject)->NonCancelable) {
            IopExchangeCancelRoutine(Irp, NULL);
        }
    } else if (CancelFunction != NULL && Irp->Cancel) { /* its canceller found no routine, so it is still this CPU's */
        PDRIVER_CANCEL routine = IopExchangeCancelRoutine(Irp, NULL);
        if (routine != NULL) {
            IopCallCancelRoutine(Irp, routine, irql);
            return;
        }
    }
    if (CancelFunction != NULL) {
        KiReleaseSpinLock(&IopCancelLock, KI_CALLER);
    }
    if (!queued) {
        IopCallStartIo(DeviceObject, Irp, KI_CALLER);
    }
    KiLowerIrql(irql, KI_CALLER);
}
NT_EXPORT(IoStartPacket);

VOID NTAPI IoStartNextPacket(PDEVICE_OBJECT DeviceObject, BOOLEAN Cancelable) {
    IOP_NEXT_PACKET next = {.Cancelable = Cancelable};
    IopStartNextPacket(DeviceObject, &next, KI_CALLER);
}
NT_EXPORT(IoStartNextPacket);

VOID NTAPI IoStartNextPacketByKey(PDEVICE_OBJECT DeviceObject, BOOLEAN Cancelable, ULONG Key) {
    IOP_NEXT_PACKET next = {.Cancelable = Cancelable, .ByKey = TRUE, .Key = Key};
    IopStartNextPacket(DeviceObject, &next, KI_CALLER);
}
NT_EXPORT(IoStartNextPacketByKey);

VOID NTAPI IoSetStartIoAttributes(PDEVICE_OBJECT DeviceObject, BOOLEAN DeferredStartIo, BOOLEAN NonCancelable) {
    IOP_START_IO *state = IopStartIoOf(DeviceObject);
    __atomic_store_n(&state->Deferred, DeferredStartIo, __ATOMIC_RELAXED); /* nothing else hangs on it */
    __atomic_store_n(&state->NonCancelable, NonCancelable, __ATOMIC_RELAXED);
}
NT_EXPORT(IoSetStartIoAttributes);
