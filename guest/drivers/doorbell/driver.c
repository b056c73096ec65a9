/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doorbell.sys: a WDM function driver for the doorbell device. Plug and Play and names here, the interrupt path in interrupt.c,
 * reads in read.c.
 */
#include "doorbell.h"

/* Its registry parameter: not 0 gives each vector an interrupt spin lock of its own. */
static ULONG DoorbellLockPerVector;

/* A value that is not there leaves the default. */
static VOID DoorbellReadParameters(PUNICODE_STRING path) {
    ULONG none = 0;
    RTL_QUERY_REGISTRY_TABLE table[] = {{.Flags = RTL_QUERY_REGISTRY_SUBKEY, .Name = (PWSTR)L"Parameters"},
                                        {.Flags = RTL_QUERY_REGISTRY_DIRECT,
                                         .Name = (PWSTR)L"LockPerVector",
                                         .EntryContext = &DoorbellLockPerVector,
                                         .DefaultType = REG_DWORD,
                                         .DefaultData = &none,
                                         .DefaultLength = sizeof none},
                                        {0}};
    RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, path->Buffer, table, NULL, NULL);
}

/* The device's memory resources come in BAR order: registers, MSI-X table, shared memory. */
static VOID DoorbellFindMemory(const CM_PARTIAL_RESOURCE_LIST *list, const CM_PARTIAL_RESOURCE_DESCRIPTOR **registers,
                               const CM_PARTIAL_RESOURCE_DESCRIPTOR **shared) {
    *registers = NULL;
    *shared = NULL;
    for (ULONG i = 0; i < list->Count; i++) {
        if (list->PartialDescriptors[i].Type == CmResourceTypeMemory) {
            *registers = *registers == NULL ? &list->PartialDescriptors[i] : *registers;
            *shared = &list->PartialDescriptors[i];
        }
    }
}

/* After the interrupts nobody completes a read any more. */
static VOID DoorbellStop(PDEVICE_OBJECT device) {
    PDOORBELL_EXTENSION extension = device->DeviceExtension;
    DoorbellDisconnect(extension);
    DoorbellRefuseReads(device, TRUE);
    if (extension->Registers != NULL) {
        MmUnmapIoSpace(extension->Registers, extension->RegistersBytes);
        extension->Registers = NULL;
    }
    if (extension->Shared != NULL) {
        MmUnmapIoSpace(extension->Shared, extension->SharedBytes);
        extension->Shared = NULL;
    }
}

static NTSTATUS DoorbellStart(PDEVICE_OBJECT device, const CM_RESOURCE_LIST *resources) {
    PDOORBELL_EXTENSION extension = device->DeviceExtension;
    const CM_PARTIAL_RESOURCE_DESCRIPTOR *registers;
    const CM_PARTIAL_RESOURCE_DESCRIPTOR *shared;
    if (resources == NULL) {
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    }
    DoorbellFindMemory(&resources->List[0].PartialResourceList, &registers, &shared);
    if (registers == NULL || registers->u.Memory.Length < sizeof(DOORBELL_REGISTERS) ||
        shared->u.Memory.Length < sizeof(DOORBELL_SHARED)) {
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    }
    extension->RegistersBytes = registers->u.Memory.Length;
    extension->Registers = MmMapIoSpace(registers->u.Memory.Start, extension->RegistersBytes, MmNonCached);
    extension->SharedBytes = shared->u.Memory.Length;
    extension->Shared = MmMapIoSpace(shared->u.Memory.Start, extension->SharedBytes, MmCached);
    NTSTATUS status = STATUS_INSUFFICIENT_RESOURCES;
    if (extension->Registers != NULL && extension->Shared != NULL) {
        status = extension->Shared->Magic == DOORBELL_MAGIC ? DoorbellConnect(device) : STATUS_DEVICE_NOT_READY;
    }
    if (!NT_SUCCESS(status)) {
        DoorbellStop(device);
        return status;
    }
    DbgPrint("doorbell: %u messages at IRQL %u, peer %u\n", extension->Messages->MessageCount,
             extension->Messages->UnifiedIrql, READ_REGISTER_ULONG(&extension->Registers->IvPosition));
    return STATUS_SUCCESS;
}

/* The first device has names: the object's own, and a link to it for programs. */
static NTSTATUS DoorbellCreate(PDRIVER_OBJECT driver, PDEVICE_OBJECT *device) {
    UNICODE_STRING name = RTL_CONSTANT_STRING(DOORBELL_NAME);
    UNICODE_STRING link = RTL_CONSTANT_STRING(DOORBELL_LINK);
    NTSTATUS status = IoCreateDevice(driver, sizeof(DOORBELL_EXTENSION), &name, FILE_DEVICE_UNKNOWN, 0, TRUE, device);
    if (status == STATUS_OBJECT_NAME_COLLISION) {
        return IoCreateDevice(driver, sizeof(DOORBELL_EXTENSION), NULL, FILE_DEVICE_UNKNOWN, 0, TRUE, device);
    }
    if (NT_SUCCESS(status)) {
        PDOORBELL_EXTENSION extension = (*device)->DeviceExtension;
        status = IoCreateSymbolicLink(&link, &name);
        extension->Linked = NT_SUCCESS(status);
        if (!NT_SUCCESS(status)) {
            IoDeleteDevice(*device);
        }
    }
    return status;
}

static VOID DoorbellUnlink(PDOORBELL_EXTENSION extension) {
    UNICODE_STRING link = RTL_CONSTANT_STRING(DOORBELL_LINK);
    if (extension->Linked) {
        IoDeleteSymbolicLink(&link);
    }
}

static NTSTATUS DoorbellComplete(PIRP irp, NTSTATUS status) {
    irp->IoStatus.Status = status;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS NTAPI DoorbellPnp(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PDOORBELL_EXTENSION extension = DeviceObject->DeviceExtension;
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    PDEVICE_OBJECT lower = extension->LowerDevice;
    NTSTATUS status;
    switch (location->MinorFunction) {
    case IRP_MN_START_DEVICE: /* the devices below first */
        status = IoForwardIrpSynchronously(lower, Irp) ? Irp->IoStatus.Status : STATUS_UNSUCCESSFUL;
        if (NT_SUCCESS(status)) {
            status = DoorbellStart(DeviceObject, location->Parameters.StartDevice.AllocatedResourcesTranslated);
        }
        return DoorbellComplete(Irp, status);
    case IRP_MN_REMOVE_DEVICE: /* the devices below last */
        DoorbellStop(DeviceObject);
        DoorbellUnlink(extension);
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

static NTSTATUS NTAPI DoorbellAddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT PhysicalDeviceObject) {
    PDEVICE_OBJECT device;
    NTSTATUS status = DoorbellCreate(DriverObject, &device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    PDOORBELL_EXTENSION extension = device->DeviceExtension;
    KeInitializeSpinLock(&extension->InterruptLock);
    KeInitializeSpinLock(&extension->CountLock);
    extension->LockPerVector = DoorbellLockPerVector != 0;
    extension->PhysicalDevice = PhysicalDeviceObject;
    extension->LowerDevice = IoAttachDeviceToDeviceStack(device, PhysicalDeviceObject);
    if (extension->LowerDevice == NULL) {
        DoorbellUnlink(extension);
        IoDeleteDevice(device);
        return STATUS_NO_SUCH_DEVICE;
    }
    IoInitializeDpcRequest(device, DoorbellDpcForIsr);
    IoSetStartIoAttributes(device, TRUE, TRUE); /* deferred; not cancelable while StartIo has the IRP */
    device->Flags |= DO_BUFFERED_IO;
    device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static VOID NTAPI DoorbellUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject); /* each device took its own things away when it was removed */
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    DoorbellReadParameters(RegistryPath);
    DriverObject->DriverExtension->AddDevice = DoorbellAddDevice;
    DriverObject->DriverUnload = DoorbellUnload;
    DriverObject->DriverStartIo = DoorbellStartIo;
    DriverObject->MajorFunction[IRP_MJ_CREATE] = DoorbellOpen;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = DoorbellCleanup;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = DoorbellClose;
    DriverObject->MajorFunction[IRP_MJ_READ] = DoorbellRead;
    DriverObject->MajorFunction[IRP_MJ_PNP] = DoorbellPnp;
    return STATUS_SUCCESS;
}
