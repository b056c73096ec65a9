/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices and IRPs for cases that make them themselves: DriverEntry keeps the driver object, a case fills in what its devices do.
 * Included in place of dirqltest.h, in one file of a driver; IRP_DRIVER is at its end.
 */
#pragma once

#include <dirqltest.h>

#define IRP_MAXIMUM 64

static PDRIVER_OBJECT Driver;

/* One for each IRP of a case, by its number. */
typedef struct _REQUEST {
    PIRP Irp;
    ULONG Id;
    ULONG Producer;
    volatile LONG Completed; /* how often its completion routine ran */
    volatile LONG Cancelled; /* with STATUS_CANCELLED */
    KIRQL Irql;              /* of the completion routine */
} REQUEST;

static inline REQUEST *RequestOf(PIRP Irp) {
    return Irp->UserBuffer; /* of no use in these IRPs otherwise */
}

static inline PDEVICE_OBJECT MakeDevice(PDRIVER_STARTIO StartIo, PDRIVER_DISPATCH Read) {
    PDEVICE_OBJECT device;
    Driver->DriverStartIo = StartIo;
    Driver->MajorFunction[IRP_MJ_READ] = Read;
    ASSERT_EQ(IoCreateDevice(Driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device), STATUS_SUCCESS);
    device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return device;
}

/* The IRP stays the case's: it frees it when nobody can touch it any more. */
static NTSTATUS NTAPI RequestCompleted(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    REQUEST *request = Context;
    UNREFERENCED_PARAMETER(DeviceObject);
    request->Irql = KeGetCurrentIrql();
    if (Irp->IoStatus.Status == STATUS_CANCELLED) {
        InterlockedIncrement(&request->Cancelled);
    }
    InterlockedIncrement(&request->Completed);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

/* As it is when its dispatch routine has it. */
static inline PIRP MakeIrp(PDEVICE_OBJECT Device, REQUEST *Request, ULONG Id, ULONG Producer) {
    PIRP irp = IoAllocateIrp(Device->StackSize, FALSE);
    ASSERT_NE(irp, NULL);
    RtlZeroMemory(Request, sizeof *Request);
    Request->Irp = irp;
    Request->Id = Id;
    Request->Producer = Producer;
    irp->UserBuffer = Request;
    IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_READ;
    IoSetCompletionRoutine(irp, RequestCompleted, Request, TRUE, TRUE, TRUE);
    return irp;
}

/* The same, with its stack location taken as IoCallDriver would. */
static inline PIRP MakeIrpAt(PDEVICE_OBJECT Device, REQUEST *Request, ULONG Id) {
    PIRP irp = MakeIrp(Device, Request, Id, 0);
    IoSetNextIrpStackLocation(irp);
    IoGetCurrentIrpStackLocation(irp)->DeviceObject = Device;
    IoMarkIrpPending(irp);
    return irp;
}

static inline VOID Complete(PIRP Irp, NTSTATUS Status) {
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = 0;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
}

static inline VOID FreeOnce(REQUEST *Request) {
    ASSERT_EQ(Request->Completed, 1);
    IoFreeIrp(Request->Irp);
}

static VOID NTAPI IrpUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

#define IRP_DRIVER                                                                          \
    DRIVER_INITIALIZE DriverEntry;                                                          \
    NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) { \
        UNREFERENCED_PARAMETER(RegistryPath);                                               \
        Driver = DriverObject;                                                              \
        DriverObject->DriverUnload = IrpUnload;                                             \
        return STATUS_SUCCESS;                                                              \
    }
