/* SPDX-License-Identifier: Apache-2.0 */
/* bench_requests.sys: a device that ends every request at once, with its input for output. What a request costs without a driver. */
#include <ntddk.h>

DRIVER_INITIALIZE DriverEntry;

static UNICODE_STRING Link = RTL_CONSTANT_STRING(L"\\DosDevices\\BenchRequests");

static NTSTATUS NTAPI BenchEnd(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    UNREFERENCED_PARAMETER(DeviceObject);
    Irp->IoStatus.Status = STATUS_SUCCESS;
    Irp->IoStatus.Information =
        location->MajorFunction == IRP_MJ_DEVICE_CONTROL ? location->Parameters.DeviceIoControl.OutputBufferLength : 0;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

static VOID NTAPI BenchUnload(PDRIVER_OBJECT DriverObject) {
    IoDeleteSymbolicLink(&Link);
    IoDeleteDevice(DriverObject->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    static UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\BenchRequests");
    PDEVICE_OBJECT device;
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->MajorFunction[IRP_MJ_CREATE] = BenchEnd;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = BenchEnd;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = BenchEnd;
    DriverObject->DriverUnload = BenchUnload;
    NTSTATUS status = IoCreateDevice(DriverObject, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    status = IoCreateSymbolicLink(&Link, &name);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(device);
    }
    return status;
}
