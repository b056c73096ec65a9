/* SPDX-License-Identifier: Apache-2.0 */
/* doorbell.sys: a WDM function driver for the doorbell device. Plug and Play here, the interrupt path in interrupt.c. */
#include "doorbell.h"

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

/* SynchCritSection: DIRQL, InterruptLock held. */
static BOOLEAN NTAPI DoorbellSetStopping(PVOID SynchronizeContext) {
    ((PDOORBELL_EXTENSION)SynchronizeContext)->Stopping = TRUE;
    return TRUE;
}

/* No new DPC, then none left, then no interrupt: the DPC uses the interrupt object, so that goes last. */
static VOID DoorbellStop(PDOORBELL_EXTENSION extension) {
    if (extension->Messages != NULL) {
        KeSynchronizeExecution(extension->Messages->MessageInfo[0].InterruptObject, DoorbellSetStopping, extension);
        KeFlushQueuedDpcs();
        IO_DISCONNECT_INTERRUPT_PARAMETERS parameters = {.Version = CONNECT_MESSAGE_BASED};
        parameters.ConnectionContext.InterruptMessageTable = extension->Messages;
        IoDisconnectInterruptEx(&parameters);
        extension->Messages = NULL;
    }
    if (extension->Registers != NULL) {
        MmUnmapIoSpace(extension->Registers, extension->RegistersBytes);
        extension->Registers = NULL;
    }
    if (extension->Shared != NULL) {
        MmUnmapIoSpace(extension->Shared, extension->SharedBytes);
        extension->Shared = NULL;
    }
}

static NTSTATUS DoorbellConnect(PDEVICE_OBJECT device) {
    PDOORBELL_EXTENSION extension = device->DeviceExtension;
    IO_CONNECT_INTERRUPT_PARAMETERS parameters = {.Version = CONNECT_MESSAGE_BASED};
    extension->Stopping = FALSE;
    parameters.MessageBased.PhysicalDeviceObject = extension->PhysicalDevice;
    parameters.MessageBased.ConnectionContext.InterruptMessageTable = &extension->Messages;
    parameters.MessageBased.MessageServiceRoutine = DoorbellIsr;
    parameters.MessageBased.ServiceContext = device;
    parameters.MessageBased.SpinLock = &extension->InterruptLock;
    return IoConnectInterruptEx(&parameters);
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
        DoorbellStop(extension);
        return status;
    }
    DbgPrint("doorbell: %u messages at IRQL %u, peer %u\n", extension->Messages->MessageCount,
             extension->Messages->UnifiedIrql, READ_REGISTER_ULONG(&extension->Registers->IvPosition));
    return STATUS_SUCCESS;
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
        DoorbellStop(extension);
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
    NTSTATUS status =
        IoCreateDevice(DriverObject, sizeof(DOORBELL_EXTENSION), NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    PDOORBELL_EXTENSION extension = device->DeviceExtension;
    KeInitializeSpinLock(&extension->InterruptLock);
    KeInitializeSpinLock(&extension->TotalLock);
    extension->PhysicalDevice = PhysicalDeviceObject;
    extension->LowerDevice = IoAttachDeviceToDeviceStack(device, PhysicalDeviceObject);
    if (extension->LowerDevice == NULL) {
        IoDeleteDevice(device);
        return STATUS_NO_SUCH_DEVICE;
    }
    IoInitializeDpcRequest(device, DoorbellDpcForIsr);
    device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static VOID NTAPI DoorbellUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject); /* each device took its own things away when it was removed */
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverExtension->AddDevice = DoorbellAddDevice;
    DriverObject->DriverUnload = DoorbellUnload;
    DriverObject->MajorFunction[IRP_MJ_PNP] = DoorbellPnp;
    return STATUS_SUCCESS;
}
