/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power IRPs as a function driver meets them: it may pass them down, ask for one of its own, say which state its device is in. Nobody
 * puts this machine to sleep, so all of them begin with a driver.
 */
#include "iop.h"

#include "../ex/worker.h"

#define POOL_TAG_POWER 'rwoP'

typedef struct _IOP_POWER_REQUEST {
    WORK_QUEUE_ITEM Item;
    PIRP Irp;
    PDEVICE_OBJECT Device; /* that it was asked for */
    PDEVICE_OBJECT Top;
    PREQUEST_POWER_COMPLETE Completed;
    PVOID Context;
} IOP_POWER_REQUEST;

NTSTATUS NTAPI PoCallDriver(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    return IofCallDriver(DeviceObject, Irp);
}
NT_EXPORT(PoCallDriver);

VOID NTAPI PoStartNextPowerIrp(PIRP Irp) {
    UNREFERENCED_PARAMETER(Irp); /* since Windows Vista: power IRPs of a device do not wait for each other */
}
NT_EXPORT(PoStartNextPowerIrp);

POWER_STATE NTAPI PoSetPowerState(PDEVICE_OBJECT DeviceObject, POWER_STATE_TYPE Type, POWER_STATE State) {
    if (Type != DevicePowerState) {
        return State;
    }
    IOP_DEVICE_EXTENSION *own = CONTAINING_RECORD(DeviceObject->DeviceObjectExtension, IOP_DEVICE_EXTENSION, Public);
    /* Both orders: who sees a state sees what was done before it was said, and what he does comes after. */
    LONG old = __atomic_exchange_n(&own->PowerState, State.DeviceState, __ATOMIC_ACQ_REL);
    POWER_STATE result = {.DeviceState = old != PowerDeviceUnspecified ? (DEVICE_POWER_STATE)old : PowerDeviceD0};
    return result;
}
NT_EXPORT(PoSetPowerState);

static NTSTATUS NTAPI IopPowerCompleted(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    IOP_POWER_REQUEST *request = Context;
    UNREFERENCED_PARAMETER(DeviceObject);
    const IO_STACK_LOCATION *own = IoGetCurrentIrpStackLocation(Irp);
    if (request->Completed != NULL) {
        request->Completed(request->Device, own->MinorFunction, own->Parameters.Power.State, request->Context,
                           &Irp->IoStatus);
    }
    ObfDereferenceObject(request->Top);
    IoFreeIrp(Irp);
    ExFreePoolWithTag(request, POOL_TAG_POWER);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static VOID NTAPI IopSendPower(PVOID parameter) {
    IOP_POWER_REQUEST *request = parameter;
    IoCopyCurrentIrpStackLocationToNext(request->Irp);
    IoSetCompletionRoutine(request->Irp, IopPowerCompleted, request, TRUE, TRUE, TRUE);
    IofCallDriver(request->Top, request->Irp);
}

NTSTATUS NTAPI PoRequestPowerIrp(PDEVICE_OBJECT DeviceObject, UCHAR MinorFunction, POWER_STATE PowerState,
                                 PREQUEST_POWER_COMPLETE CompletionFunction, PVOID Context, PIRP *Irp) {
    if (MinorFunction != IRP_MN_SET_POWER && MinorFunction != IRP_MN_QUERY_POWER && MinorFunction != IRP_MN_WAIT_WAKE) {
        return STATUS_INVALID_PARAMETER_2;
    }
    PDEVICE_OBJECT top = IoGetAttachedDevice(DeviceObject);
    IOP_POWER_REQUEST *request = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof *request, POOL_TAG_POWER);
    PIRP irp = IoAllocateIrp((CCHAR)(top->StackSize + 1), FALSE);
    if (request == NULL || irp == NULL) {
        if (request != NULL) {
            ExFreePoolWithTag(request, POOL_TAG_POWER);
        }
        if (irp != NULL) {
            IoFreeIrp(irp);
        }
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    IoSetNextIrpStackLocation(irp);
    PIO_STACK_LOCATION own = IoGetCurrentIrpStackLocation(irp);
    own->MajorFunction = IRP_MJ_POWER;
    own->MinorFunction = MinorFunction;
    if (MinorFunction == IRP_MN_WAIT_WAKE) {
        own->Parameters.WaitWake.PowerState = PowerState.SystemState;
    } else {
        own->Parameters.Power.Type = DevicePowerState;
        own->Parameters.Power.State = PowerState;
    }
    if (Irp != NULL) {
        *Irp = irp;
    }
    IOP_POWER_REQUEST made = {
        .Irp = irp, .Device = DeviceObject, .Top = top, .Completed = CompletionFunction, .Context = Context};
    *request = made;
    ObfReferenceObject(top);
    if (KeGetCurrentIrql() == PASSIVE_LEVEL) {
        IopSendPower(request);
    } else { /* a dispatch routine for power IRPs runs at PASSIVE_LEVEL */
        ExInitializeWorkItem(&request->Item, IopSendPower, request);
        ExQueueWorkItem(&request->Item, DelayedWorkQueue);
    }
    return STATUS_PENDING;
}
NT_EXPORT(PoRequestPowerIrp);
