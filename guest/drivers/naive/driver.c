/* SPDX-License-Identifier: Apache-2.0 */
/* Plug and Play, names and the registry parameter of naive.sys: nothing here has to do with what it shows (naive.h). */
#include "naive.h"

ULONG NaiveCure;

static VOID NaiveReadParameters(PUNICODE_STRING path) {
    ULONG none = 0;
    RTL_QUERY_REGISTRY_TABLE table[] = {{.Flags = RTL_QUERY_REGISTRY_SUBKEY, .Name = (PWSTR)L"Parameters"},
                                        {.Flags = RTL_QUERY_REGISTRY_DIRECT,
                                         .Name = (PWSTR)L"Cure",
                                         .EntryContext = &NaiveCure,
                                         .DefaultType = REG_DWORD,
                                         .DefaultData = &none,
                                         .DefaultLength = sizeof none},
                                        {0}};
    RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, path->Buffer, table, NULL, NULL);
}

/* The last memory resource is the shared memory: they come in BAR order. */
static NTSTATUS NaiveMap(PNAIVE_EXTENSION extension, const CM_PARTIAL_RESOURCE_LIST *list) {
    const CM_PARTIAL_RESOURCE_DESCRIPTOR *shared = NULL;
    for (ULONG i = 0; i < list->Count; i++) {
        if (list->PartialDescriptors[i].Type == CmResourceTypeMemory) {
            shared = &list->PartialDescriptors[i];
        }
    }
    if (shared == NULL || shared->u.Memory.Length < sizeof(NAIVE_SHARED)) {
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    }
    extension->SharedBytes = shared->u.Memory.Length;
    extension->Shared = MmMapIoSpace(shared->u.Memory.Start, extension->SharedBytes, MmCached);
    if (extension->Shared == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    return extension->Shared->Magic == NAIVE_MAGIC ? STATUS_SUCCESS : STATUS_DEVICE_NOT_READY;
}

static VOID NaiveStop(PNAIVE_EXTENSION extension) {
    NaiveDisconnect(extension);
    if (extension->Shared != NULL) {
        MmUnmapIoSpace(extension->Shared, extension->SharedBytes);
        extension->Shared = NULL;
    }
}

static NTSTATUS NaiveStart(PDEVICE_OBJECT device, const CM_RESOURCE_LIST *resources) {
    PNAIVE_EXTENSION extension = device->DeviceExtension;
    if (resources == NULL) {
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    }
    NTSTATUS status = NaiveMap(extension, &resources->List[0].PartialResourceList);
    if (NT_SUCCESS(status)) {
        status = NaiveConnect(device);
    }
    if (NT_SUCCESS(status) && extension->Messages->MessageCount > NAIVE_MAXIMUM_CHANNELS) {
        status = STATUS_DEVICE_CONFIGURATION_ERROR;
    }
    if (!NT_SUCCESS(status)) {
        NaiveStop(extension);
    }
    return status;
}

static NTSTATUS NTAPI NaivePnp(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    UNICODE_STRING link = RTL_CONSTANT_STRING(NAIVE_LINK);
    PNAIVE_EXTENSION extension = DeviceObject->DeviceExtension;
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    PDEVICE_OBJECT lower = extension->LowerDevice;
    NTSTATUS status;
    switch (location->MinorFunction) {
    case IRP_MN_START_DEVICE: /* the devices below first */
        status = IoForwardIrpSynchronously(lower, Irp) ? Irp->IoStatus.Status : STATUS_UNSUCCESSFUL;
        if (NT_SUCCESS(status)) {
            status = NaiveStart(DeviceObject, location->Parameters.StartDevice.AllocatedResourcesTranslated);
        }
        Irp->IoStatus.Status = status;
        IoCompleteRequest(Irp, IO_NO_INCREMENT);
        return status;
    case IRP_MN_REMOVE_DEVICE: /* the devices below last */
        NaiveStop(extension);
        IoDeleteSymbolicLink(&link);
        Irp->IoStatus.Status = STATUS_SUCCESS;
        IoSkipCurrentIrpStackLocation(Irp);
        status = IoCallDriver(lower, Irp);
        IoDetachDevice(lower);
        IoDeleteDevice(DeviceObject);
        return status;
    default:
        IoSkipCurrentIrpStackLocation(Irp);
        return IoCallDriver(lower, Irp);
    }
}

static NTSTATUS NTAPI NaiveAddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT PhysicalDeviceObject) {
    UNICODE_STRING name = RTL_CONSTANT_STRING(NAIVE_NAME);
    UNICODE_STRING link = RTL_CONSTANT_STRING(NAIVE_LINK);
    PDEVICE_OBJECT device;
    NTSTATUS status =
        IoCreateDevice(DriverObject, sizeof(NAIVE_EXTENSION), &name, FILE_DEVICE_UNKNOWN, 0, TRUE, &device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    PNAIVE_EXTENSION extension = device->DeviceExtension;
    KeInitializeSpinLock(&extension->InterruptLock);
    extension->PhysicalDevice = PhysicalDeviceObject;
    extension->LowerDevice = IoAttachDeviceToDeviceStack(device, PhysicalDeviceObject);
    status = extension->LowerDevice != NULL ? IoCreateSymbolicLink(&link, &name) : STATUS_NO_SUCH_DEVICE;
    if (!NT_SUCCESS(status)) {
        if (extension->LowerDevice != NULL) {
            IoDetachDevice(extension->LowerDevice);
        }
        IoDeleteDevice(device);
        return status;
    }
    IoInitializeDpcRequest(device, NaiveDpcForIsr);
    device->Flags |= DO_BUFFERED_IO;
    device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static VOID NTAPI NaiveUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject); /* each device took its own things away when it was removed */
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    NaiveReadParameters(RegistryPath);
    if (NaiveCure >= RTL_NUMBER_OF(NaiveCures)) {
        return STATUS_INVALID_PARAMETER;
    }
    DriverObject->DriverExtension->AddDevice = NaiveAddDevice;
    DriverObject->DriverUnload = NaiveUnload;
    DriverObject->MajorFunction[IRP_MJ_CREATE] = NaiveOpenClose;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = NaiveCleanup;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = NaiveOpenClose;
    DriverObject->MajorFunction[IRP_MJ_READ] = NaiveRead;
    DriverObject->MajorFunction[IRP_MJ_PNP] = NaivePnp;
    return STATUS_SUCCESS;
}
