/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What drivers ask a Plug and Play manager, and tell it: properties of a device, that its state or its children have changed. There
 * is no device tree below a driver here, no user to tell, and no WMI; what follows from a changed state does happen.
 */
#include "../ex/worker.h"
#include "pdoquery.h"

#define POOL_TAG_INVALIDATE 'vnIP'

typedef struct _IOP_INVALIDATED {
    WORK_QUEUE_ITEM Item;
    PDEVICE_OBJECT Device;
} IOP_INVALIDATED;

static NTSTATUS IopReturn(const VOID *from, ULONG bytes, ULONG room, PVOID buffer, PULONG result) {
    *result = bytes;
    if (bytes > room) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    RtlCopyMemory(buffer, from, bytes);
    return STATUS_SUCCESS;
}

static NTSTATUS IopReturnText(const IOP_PDO *pdo, IOP_PDO_TEXT which, ULONG room, PVOID buffer, PULONG result) {
    ULONG bytes;
    PWSTR text = IopPdoText(pdo, which, &bytes);
    if (text == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    NTSTATUS status = IopReturn(text, bytes, room, buffer, result);
    ExFreePoolWithTag(text, 0);
    return status;
}

static NTSTATUS IopReturnName(const IOP_PDO *pdo, ULONG room, PVOID buffer, PULONG result) {
    WCHAR text[] = L"\\Device\\PCI0000";
    IopPutLocation(text + RTL_NUMBER_OF(text) - 5, pdo->Location);
    return IopReturn(text, sizeof text, room, buffer, result);
}

static NTSTATUS IopReturnResources(const IOP_PDO *pdo, BOOLEAN translated, ULONG room, PVOID buffer, PULONG result) {
    PCM_RESOURCE_LIST list = IopBuildResources(pdo, translated);
    if (list == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    ULONG count = list->List[0].PartialResourceList.Count;
    ULONG bytes = (ULONG)FIELD_OFFSET(CM_RESOURCE_LIST, List[0].PartialResourceList.PartialDescriptors) +
        count * (ULONG)sizeof(CM_PARTIAL_RESOURCE_DESCRIPTOR);
    NTSTATUS status = IopReturn(list, bytes, room, buffer, result);
    ExFreePoolWithTag(list, POOL_TAG_RESOURCES);
    return status;
}

static NTSTATUS IopReturnNumber(ULONG number, ULONG room, PVOID buffer, PULONG result) {
    return IopReturn(&number, sizeof number, room, buffer, result);
}

NTSTATUS NTAPI IoGetDeviceProperty(PDEVICE_OBJECT DeviceObject, DEVICE_REGISTRY_PROPERTY DeviceProperty,
                                   ULONG BufferLength, PVOID PropertyBuffer, PULONG ResultLength) {
    const IOP_PDO *pdo = IopPdoOf(DeviceObject);
    PNP_BUS_INFORMATION bus;
    static const WCHAR pci[] = L"PCI", root[] = L"ROOT";
    *ResultLength = 0;
    if (pdo == NULL) {
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    IopPdoBus(pdo, &bus);
    switch (DeviceProperty) {
    case DevicePropertyDeviceDescription:
        return IopReturnText(pdo, IopDescription, BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyHardwareID:
        return IopReturnText(pdo, IopHardwareIds, BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyCompatibleIDs:
        return IopReturnText(pdo, IopCompatibleIds, BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyLocationInformation:
        return IopReturnText(pdo, IopLocationText, BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyPhysicalDeviceObjectName:
        return IopReturnName(pdo, BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyEnumeratorName:
        return pdo->Function != NULL ? IopReturn(pci, sizeof pci, BufferLength, PropertyBuffer, ResultLength)
                                     : IopReturn(root, sizeof root, BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyBootConfiguration:
        return IopReturnResources(pdo, FALSE, BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyBootConfigurationTranslated:
        return IopReturnResources(pdo, TRUE, BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyBusTypeGuid:
        return IopReturn(&bus.BusTypeGuid, sizeof(GUID), BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyLegacyBusType:
        return IopReturnNumber((ULONG)bus.LegacyBusType, BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyBusNumber:
        return IopReturnNumber(bus.BusNumber, BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyAddress:
        return IopReturnNumber(IopPdoAddress(pdo), BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyInstallState:
        return IopReturnNumber(InstallStateInstalled, BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyRemovalPolicy:
        return IopReturnNumber(RemovalPolicyExpectOrderlyRemoval, BufferLength, PropertyBuffer, ResultLength);
    default: /* what an installation would have written to the registry */
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
}
NT_EXPORT(IoGetDeviceProperty);
NT_PARTIAL(IoGetDeviceProperty,
           "what an installation writes to the registry is not found: class, driver key, maker, friendly name");

static VOID NTAPI IopAskForState(PVOID parameter) {
    IOP_INVALIDATED *work = parameter;
    IopReadDeviceState(work->Device);
    ObfDereferenceObject(work->Device);
    ExFreePoolWithTag(work, POOL_TAG_INVALIDATE);
}

VOID NTAPI IoInvalidateDeviceState(PDEVICE_OBJECT PhysicalDeviceObject) {
    if (IopPdoOf(PhysicalDeviceObject) == NULL) {
        KeBugCheckEx(PNP_DETECTED_FATAL_ERROR, 2, (ULONG64)PhysicalDeviceObject, 0, 0);
    }
    IOP_INVALIDATED *work = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof *work, POOL_TAG_INVALIDATE);
    if (work == NULL) {
        DbgPrint("io: no memory to look at a changed device state\n");
        return;
    }
    ObfReferenceObject(PhysicalDeviceObject);
    work->Device = PhysicalDeviceObject;
    ExInitializeWorkItem(&work->Item, IopAskForState, work);
    ExQueueWorkItem(&work->Item, DelayedWorkQueue);
}
NT_EXPORT(IoInvalidateDeviceState);

NTSTATUS NTAPI IoWMIRegistrationControl(PDEVICE_OBJECT DeviceObject, ULONG Action) {
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Action);
    return STATUS_SUCCESS;
}
NT_EXPORT(IoWMIRegistrationControl);
NT_PARTIAL(IoWMIRegistrationControl, "accepted; nobody asks for data by WMI, so no IRP_MJ_SYSTEM_CONTROL comes of it");
