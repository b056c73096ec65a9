/* SPDX-License-Identifier: Apache-2.0 */
/* edu.sys: loading, parameters, and requests as they come in. */
#include "edu.h"

ULONG EduUseMessages = 1;
ULONG EduAddressBits = 24; /* the device has 28; 24 or 32 can be said to an adapter */
EDU_COUNTS EduCounts;

static NTSTATUS EduComplete(PIRP irp, NTSTATUS status) {
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = 0;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS NTAPI EduCreateClose(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    UNREFERENCED_PARAMETER(DeviceObject);
    return EduComplete(Irp, STATUS_SUCCESS);
}

static NTSTATUS EduCheck(PIRP irp) {
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(irp);
    if (location->MajorFunction == IRP_MJ_DEVICE_CONTROL) {
        if (location->Parameters.DeviceIoControl.IoControlCode != IOCTL_EDU_FACTORIAL) {
            return STATUS_INVALID_DEVICE_REQUEST;
        }
        if (location->Parameters.DeviceIoControl.InputBufferLength != sizeof(ULONG) ||
            location->Parameters.DeviceIoControl.OutputBufferLength < sizeof(ULONG)) {
            return STATUS_INFO_LENGTH_MISMATCH;
        }
        return *(PULONG)irp->AssociatedIrp.SystemBuffer <= EDU_LARGEST ? STATUS_SUCCESS : STATUS_INTEGER_OVERFLOW;
    }
    LONGLONG offset = location->Parameters.Read.ByteOffset.QuadPart;
    ULONG length = location->Parameters.Read.Length;
    return offset >= 0 && length != 0 && offset + length <= EDU_BYTES ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
}

static NTSTATUS NTAPI EduRequest(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PEDU_EXTENSION extension = DeviceObject->DeviceExtension;
    NTSTATUS status = EduCheck(Irp);
    if (NT_SUCCESS(status)) {
        status = IoAcquireRemoveLock(&extension->RemoveLock, Irp);
    }
    return NT_SUCCESS(status) ? EduQueue(extension, Irp) : EduComplete(Irp, status);
}

static VOID EduReadParameters(PUNICODE_STRING path) {
    RTL_QUERY_REGISTRY_TABLE table[] = {
        {NULL, RTL_QUERY_REGISTRY_SUBKEY, (PWSTR)L"Parameters", NULL, REG_NONE, NULL, 0},
        {NULL, RTL_QUERY_REGISTRY_DIRECT, (PWSTR)L"UseMessages", &EduUseMessages, REG_NONE, NULL, 0},
        {NULL, RTL_QUERY_REGISTRY_DIRECT, (PWSTR)L"AddressBits", &EduAddressBits, REG_NONE, NULL, 0},
        {NULL, 0, NULL, NULL, REG_NONE, NULL, 0},
    };
    PWSTR terminated = ExAllocatePoolWithTag(PagedPool, path->Length + sizeof(WCHAR), EDU_TAG);
    if (terminated == NULL) {
        return;
    }
    RtlCopyMemory(terminated, path->Buffer, path->Length);
    terminated[path->Length / sizeof(WCHAR)] = 0;
    RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, terminated, table, NULL, NULL); /* what is not there stays as it is */
    ExFreePoolWithTag(terminated, EDU_TAG);
}

static VOID NTAPI EduUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject); /* each device took its own things away when it was removed */
}

DRIVER_INITIALIZE DriverEntry;

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    EduReadParameters(RegistryPath);
    DriverObject->DriverExtension->AddDevice = EduAddDevice;
    DriverObject->DriverUnload = EduUnload;
    DriverObject->MajorFunction[IRP_MJ_CREATE] = EduCreateClose;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = EduCreateClose;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = EduCreateClose;
    DriverObject->MajorFunction[IRP_MJ_READ] = EduRequest;
    DriverObject->MajorFunction[IRP_MJ_WRITE] = EduRequest;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = EduRequest;
    DriverObject->MajorFunction[IRP_MJ_PNP] = EduPnp;
    DriverObject->MajorFunction[IRP_MJ_POWER] = EduPower;
    DriverObject->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = EduPassDown;
    return STATUS_SUCCESS;
}
