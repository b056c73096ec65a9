/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plug and Play: what a device is given when it starts and gives back when it stops or goes. Stopped, its requests wait; removed, they
 * fail. Which kind of interrupt it gets is said when its requirements are filtered.
 */
#include "edu.h"

extern EDU_COUNTS EduCounts;

static VOID EduDisconnect(PEDU_EXTENSION extension) {
    IO_DISCONNECT_INTERRUPT_PARAMETERS parameters = {.Version = extension->ConnectVersion};
    if (extension->ConnectVersion == CONNECT_MESSAGE_BASED) {
        parameters.ConnectionContext.InterruptMessageTable = extension->Messages;
    } else {
        parameters.ConnectionContext.InterruptObject = extension->Interrupt;
    }
    if (extension->ConnectVersion != 0) {
        KeFlushQueuedDpcs(); /* nothing is under way: what is queued finds nothing to do, but uses the interrupt object */
        IoDisconnectInterruptEx(&parameters);
        extension->ConnectVersion = 0;
    }
}

/* The queue is closed. */
static VOID EduGiveBack(PEDU_EXTENSION extension) {
    EduDisconnect(extension);
    if (extension->Adapter != NULL) {
        extension->Adapter->DmaOperations->PutDmaAdapter(extension->Adapter);
        extension->Adapter = NULL;
    }
    if (extension->Registers != NULL) {
        MmUnmapIoSpace((PVOID)extension->Registers, extension->RegistersBytes);
        extension->Registers = NULL;
    }
}

static NTSTATUS EduConnect(PEDU_EXTENSION extension) {
    IO_CONNECT_INTERRUPT_PARAMETERS parameters = {.Version = CONNECT_MESSAGE_BASED};
    parameters.MessageBased.PhysicalDeviceObject = extension->PhysicalDevice;
    parameters.MessageBased.ConnectionContext.Generic = (PVOID *)&extension->Messages;
    parameters.MessageBased.MessageServiceRoutine = EduMessageIsr;
    parameters.MessageBased.ServiceContext = extension->Device;
    parameters.MessageBased.SpinLock = &extension->InterruptLock;
    parameters.MessageBased.FallBackServiceRoutine = EduIsr;
    NTSTATUS status = IoConnectInterruptEx(&parameters);
    if (NT_SUCCESS(status)) {
        extension->ConnectVersion = parameters.Version;
        BOOLEAN messages = parameters.Version == CONNECT_MESSAGE_BASED;
        extension->Interrupt =
            messages ? extension->Messages->MessageInfo[0].InterruptObject : (PKINTERRUPT)extension->Messages;
        EduCounts.Messages = messages;
    }
    return status;
}

static NTSTATUS EduFindAdapter(PEDU_EXTENSION extension) {
    DEVICE_DESCRIPTION description = {
        .Version = DEVICE_DESCRIPTION_VERSION2,
        .Master = TRUE,
        .ScatterGather = TRUE,
        .Dma32BitAddresses = EduAddressBits >= 32,
        .InterfaceType = PCIBus,
        .MaximumLength = EDU_BYTES,
    };
    extension->Adapter = IoGetDmaAdapter(extension->PhysicalDevice, &description, &extension->MapRegisters);
    return extension->Adapter != NULL ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

static NTSTATUS EduStart(PEDU_EXTENSION extension, const CM_RESOURCE_LIST *resources) {
    const CM_PARTIAL_RESOURCE_LIST *list = &resources->List[0].PartialResourceList;
    for (ULONG i = 0; i < list->Count && extension->Registers == NULL; i++) {
        const CM_PARTIAL_RESOURCE_DESCRIPTOR *each = &list->PartialDescriptors[i];
        if (each->Type == CmResourceTypeMemory && each->u.Memory.Length >= sizeof(EDU_REGISTERS)) {
            extension->RegistersBytes = each->u.Memory.Length;
            extension->Registers = MmMapIoSpace(each->u.Memory.Start, extension->RegistersBytes, MmNonCached);
        }
    }
    if (extension->Registers == NULL || (extension->Registers->Identity & 0xffu) != 0xed) {
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    }
    extension->Registers->Status = 0;
    extension->Registers->Acknowledge = extension->Registers->InterruptStatus; /* quiet until it is connected */
    NTSTATUS status = EduFindAdapter(extension);
    return NT_SUCCESS(status) ? EduConnect(extension) : status;
}

/* Takes the messages away where the line is wanted. */
static VOID EduFilter(PIO_RESOURCE_LIST list) {
    ULONG kept = 0;
    for (ULONG i = 0; i < list->Count; i++) {
        IO_RESOURCE_DESCRIPTOR each = list->Descriptors[i];
        if (each.Type == CmResourceTypeInterrupt) {
            if (!EduUseMessages && (each.Flags & CM_RESOURCE_INTERRUPT_MESSAGE) != 0) {
                continue;
            }
            each.Option = EduUseMessages ? each.Option : 0;
        }
        list->Descriptors[kept++] = each;
    }
    list->Count = kept;
}

static NTSTATUS EduFinishPnp(PIRP irp, NTSTATUS status) {
    irp->IoStatus.Status = status;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS EduForward(PEDU_EXTENSION extension, PIRP irp) {
    return IoForwardIrpSynchronously(extension->LowerDevice, irp) ? irp->IoStatus.Status : STATUS_UNSUCCESSFUL;
}

static NTSTATUS EduRemove(PEDU_EXTENSION extension, PIRP irp) {
    PDEVICE_OBJECT device = extension->Device;
    EduCloseQueue(extension);
    EduFailQueue(extension, STATUS_DELETE_PENDING, TRUE);
    IoReleaseRemoveLockAndWait(&extension->RemoveLock, irp);
    EduGiveBack(extension);
    IoDeleteSymbolicLink(&extension->Link);
    irp->IoStatus.Status = STATUS_SUCCESS;
    IoSkipCurrentIrpStackLocation(irp);
    NTSTATUS status = IoCallDriver(extension->LowerDevice, irp);
    IoDetachDevice(extension->LowerDevice);
    IoDeleteDevice(device);
    return status;
}

NTSTATUS NTAPI EduPnp(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PEDU_EXTENSION extension = DeviceObject->DeviceExtension;
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    NTSTATUS status = IoAcquireRemoveLock(&extension->RemoveLock, Irp);
    if (!NT_SUCCESS(status)) {
        return EduFinishPnp(Irp, status);
    }
    switch (location->MinorFunction) {
    case IRP_MN_REMOVE_DEVICE:
        return EduRemove(extension, Irp);
    case IRP_MN_FILTER_RESOURCE_REQUIREMENTS:
        EduForward(extension, Irp);
        EduFilter(Irp->IoStatus.Information != 0
                      ? ((PIO_RESOURCE_REQUIREMENTS_LIST)Irp->IoStatus.Information)->List
                      : location->Parameters.FilterResourceRequirements.IoResourceRequirementList->List);
        status = EduFinishPnp(Irp, STATUS_SUCCESS);
        break;
    case IRP_MN_START_DEVICE: /* the devices below first */
        status = EduForward(extension, Irp);
        if (NT_SUCCESS(status)) {
            status = EduStart(extension, location->Parameters.StartDevice.AllocatedResourcesTranslated);
        }
        if (NT_SUCCESS(status)) {
            EduOpenQueue(extension);
        } else {
            EduGiveBack(extension);
        }
        EduFinishPnp(Irp, status);
        break;
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_STOP_DEVICE:
    case IRP_MN_SURPRISE_REMOVAL: /* the devices below last */
        EduCloseQueue(extension);
        if (location->MinorFunction == IRP_MN_SURPRISE_REMOVAL) {
            EduFailQueue(extension, STATUS_NO_SUCH_DEVICE, TRUE);
        }
        if (location->MinorFunction != IRP_MN_QUERY_STOP_DEVICE) {
            EduGiveBack(extension);
        }
        Irp->IoStatus.Status = STATUS_SUCCESS;
        IoSkipCurrentIrpStackLocation(Irp);
        status = IoCallDriver(extension->LowerDevice, Irp);
        break;
    case IRP_MN_CANCEL_STOP_DEVICE:
        status = EduForward(extension, Irp);
        EduOpenQueue(extension);
        EduFinishPnp(Irp, STATUS_SUCCESS);
        break;
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
        Irp->IoStatus.Status = STATUS_SUCCESS;
        IoSkipCurrentIrpStackLocation(Irp);
        status = IoCallDriver(extension->LowerDevice, Irp);
        break;
    default:
        IoSkipCurrentIrpStackLocation(Irp);
        status = IoCallDriver(extension->LowerDevice, Irp);
        break;
    }
    IoReleaseRemoveLock(&extension->RemoveLock, Irp);
    return status;
}

NTSTATUS NTAPI EduPower(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PEDU_EXTENSION extension = DeviceObject->DeviceExtension;
    PoStartNextPowerIrp(Irp);
    IoSkipCurrentIrpStackLocation(Irp);
    return PoCallDriver(extension->LowerDevice, Irp);
}

NTSTATUS NTAPI EduPassDown(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PEDU_EXTENSION extension = DeviceObject->DeviceExtension;
    IoSkipCurrentIrpStackLocation(Irp);
    return IoCallDriver(extension->LowerDevice, Irp);
}

NTSTATUS NTAPI EduAddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT PhysicalDeviceObject) {
    WCHAR text[] = L"\\Device\\Edu0";
    UNICODE_STRING name = {.Length = sizeof text - sizeof(WCHAR), .MaximumLength = sizeof text, .Buffer = text};
    static const WCHAR link[] = L"\\??\\Edu0";
    WCHAR *number = &text[RTL_NUMBER_OF(text) - 2];
    PDEVICE_OBJECT device;
    NTSTATUS status = STATUS_OBJECT_NAME_COLLISION;
    for (ULONG i = 0; i < 10 && status == STATUS_OBJECT_NAME_COLLISION; i++) {
        *number = (WCHAR)(L'0' + i);
        status = IoCreateDevice(DriverObject, sizeof(EDU_EXTENSION), &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    }
    if (!NT_SUCCESS(status)) {
        return status;
    }
    PEDU_EXTENSION extension = device->DeviceExtension;
    extension->Device = device;
    extension->PhysicalDevice = PhysicalDeviceObject;
    KeInitializeSpinLock(&extension->InterruptLock);
    IoInitializeRemoveLock(&extension->RemoveLock, EDU_TAG, 0, 0);
    EduInitializeQueue(extension);
    IoInitializeDpcRequest(device, EduDpcForIsr);
    RtlCopyMemory(extension->LinkText, link, sizeof link);
    extension->LinkText[RTL_NUMBER_OF(link) - 2] = *number;
    RtlInitUnicodeString(&extension->Link, extension->LinkText);
    extension->LowerDevice = IoAttachDeviceToDeviceStack(device, PhysicalDeviceObject);
    if (extension->LowerDevice == NULL) {
        IoDeleteDevice(device);
        return STATUS_NO_SUCH_DEVICE;
    }
    status = IoCreateSymbolicLink(&extension->Link, &name);
    if (!NT_SUCCESS(status)) {
        IoDetachDevice(extension->LowerDevice);
        IoDeleteDevice(device);
        return status;
    }
    device->Flags |= DO_DIRECT_IO;
    device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}
