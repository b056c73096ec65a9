/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pnpasks.sys: a function driver that, when it is started, asks all that a bottom of a device's stack answers, and notes it in
 * PnpAsked. While PnpAsked.Refuse is set it refuses to be stopped or removed.
 */
#include <ntddk.h>

#include <wdmguid.h>

#define TEXT_BYTES 512

typedef struct _PNP_ASKED {
    ULONG Refuse;
    ULONG Cancelled; /* queries that were taken back */
    ULONG Gone;      /* surprise removals */
    ULONG Failed;    /* bit n: question n was not answered as it should */
    ULONG Ports, PortStart, Irq, IrqLatched, Channel, Vector, Level;
    ULONG IdBytes, HardwareBytes, LocationBytes;
    ULONG Address, Identity, Written, BusType;
    ULONG PowerDone, PowerBefore;
    WCHAR Id[TEXT_BYTES / 2], Hardware[TEXT_BYTES / 2], Location[TEXT_BYTES / 2];
} PNP_ASKED;

PNP_ASKED PnpAsked;

typedef struct _EXTENSION {
    PDEVICE_OBJECT Physical, Lower;
} EXTENSION;

static const GUID BusInterface = {0x496b8280, 0x6f25, 0x11d0, {0xbe, 0xaf, 0x08, 0x00, 0x2b, 0xe2, 0x09, 0x2f}};

static VOID Check(ULONG question, BOOLEAN good) {
    PnpAsked.Failed |= good ? 0 : 1u << question;
}

/* Sends a PnP IRP down and waits for it, as the documents show it. */
static NTSTATUS NTAPI Answered(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    KeSetEvent(Context, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static NTSTATUS Ask(PDEVICE_OBJECT physical, const IO_STACK_LOCATION *what, ULONG_PTR *information) {
    KEVENT done;
    PIRP irp = IoAllocateIrp(physical->StackSize, FALSE);
    KeInitializeEvent(&done, NotificationEvent, FALSE);
    irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    PIO_STACK_LOCATION next = IoGetNextIrpStackLocation(irp);
    *next = *what;
    next->MajorFunction = IRP_MJ_PNP;
    IoSetCompletionRoutine(irp, Answered, &done, TRUE, TRUE, TRUE);
    IoCallDriver(physical, irp);
    KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
    NTSTATUS status = irp->IoStatus.Status;
    if (information != NULL) {
        *information = irp->IoStatus.Information;
    }
    IoFreeIrp(irp);
    return status;
}

static VOID AskConfiguration(PDEVICE_OBJECT physical) {
    IO_STACK_LOCATION what = {.MinorFunction = IRP_MN_QUERY_INTERFACE};
    BUS_INTERFACE_STANDARD bus = {.Size = 0};
    ULONG again = 0;
    UCHAR line = 0, changed = 0x5a;
    what.Parameters.QueryInterface.InterfaceType = &BusInterface;
    what.Parameters.QueryInterface.Size = sizeof bus;
    what.Parameters.QueryInterface.Version = 1;
    what.Parameters.QueryInterface.Interface = (PINTERFACE)&bus;
    Check(0, NT_SUCCESS(Ask(physical, &what, NULL)) && bus.GetBusData != NULL);
    if (bus.GetBusData == NULL) {
        return;
    }
    Check(1, bus.GetBusData(bus.Context, PCI_WHICHSPACE_CONFIG, &PnpAsked.Identity, 0, 4) == 4);
    bus.GetBusData(bus.Context, PCI_WHICHSPACE_CONFIG, &line, 0x3c, 1);
    Check(2, bus.SetBusData(bus.Context, PCI_WHICHSPACE_CONFIG, &changed, 0x3c, 1) == 1);
    bus.GetBusData(bus.Context, PCI_WHICHSPACE_CONFIG, &PnpAsked.Written, 0x3c, 1);
    bus.SetBusData(bus.Context, PCI_WHICHSPACE_CONFIG, &line, 0x3c, 1);
    bus.InterfaceDereference(bus.Context);
    IO_STACK_LOCATION read = {.MinorFunction = IRP_MN_READ_CONFIG};
    read.Parameters.ReadWriteConfig.Buffer = &again;
    read.Parameters.ReadWriteConfig.Length = 4;
    Check(3, NT_SUCCESS(Ask(physical, &read, NULL)) && again == PnpAsked.Identity);
}

static VOID AskQueries(PDEVICE_OBJECT physical) {
    IO_STACK_LOCATION what = {.MinorFunction = IRP_MN_QUERY_DEVICE_RELATIONS};
    ULONG_PTR answer = 0;
    what.Parameters.QueryDeviceRelations.Type = TargetDeviceRelation;
    BOOLEAN good = NT_SUCCESS(Ask(physical, &what, &answer)) && answer != 0;
    Check(4, good && ((PDEVICE_RELATIONS)answer)->Objects[0] == physical);
    if (good) {
        ObDereferenceObject(((PDEVICE_RELATIONS)answer)->Objects[0]);
        ExFreePool((PVOID)answer);
    }
    DEVICE_CAPABILITIES capabilities = {.Size = sizeof capabilities, .Version = 1};
    IO_STACK_LOCATION can = {.MinorFunction = IRP_MN_QUERY_CAPABILITIES};
    can.Parameters.DeviceCapabilities.Capabilities = &capabilities;
    Check(5, NT_SUCCESS(Ask(physical, &can, NULL)) && capabilities.DeviceState[PowerSystemWorking] == PowerDeviceD0);
    static const UCHAR lists[] = {IRP_MN_QUERY_RESOURCES, IRP_MN_QUERY_RESOURCE_REQUIREMENTS,
                                  IRP_MN_QUERY_BUS_INFORMATION};
    for (ULONG i = 0; i < RTL_NUMBER_OF(lists); i++) {
        IO_STACK_LOCATION list = {.MinorFunction = lists[i]};
        answer = 0;
        Check(6 + i, NT_SUCCESS(Ask(physical, &list, &answer)) && answer != 0);
        if (answer != 0) {
            ExFreePool((PVOID)answer);
        }
    }
    IO_STACK_LOCATION unknown = {.MinorFunction = IRP_MN_QUERY_PNP_DEVICE_STATE};
    Check(9, Ask(physical, &unknown, NULL) == STATUS_NOT_SUPPORTED);
}

static VOID AskProperties(PDEVICE_OBJECT physical) {
    ULONG bytes;
    IO_STACK_LOCATION id = {.MinorFunction = IRP_MN_QUERY_ID};
    ULONG_PTR answer = 0;
    id.Parameters.QueryId.IdType = BusQueryDeviceID;
    Check(10, NT_SUCCESS(Ask(physical, &id, &answer)) && answer != 0);
    for (const WCHAR *from = (PWSTR)answer; from != NULL && from[PnpAsked.IdBytes] != 0; PnpAsked.IdBytes++) {
        PnpAsked.Id[PnpAsked.IdBytes] = from[PnpAsked.IdBytes];
    }
    if (answer != 0) {
        ExFreePool((PVOID)answer);
    }
    Check(11,
          NT_SUCCESS(IoGetDeviceProperty(physical, DevicePropertyHardwareID, TEXT_BYTES, PnpAsked.Hardware,
                                         &PnpAsked.HardwareBytes)));
    Check(12,
          NT_SUCCESS(IoGetDeviceProperty(physical, DevicePropertyLocationInformation, TEXT_BYTES, PnpAsked.Location,
                                         &PnpAsked.LocationBytes)));
    Check(13,
          IoGetDeviceProperty(physical, DevicePropertyLocationInformation, 2, PnpAsked.Location, &bytes) ==
                  STATUS_BUFFER_TOO_SMALL &&
              bytes == PnpAsked.LocationBytes);
    Check(14, NT_SUCCESS(IoGetDeviceProperty(physical, DevicePropertyAddress, 4, &PnpAsked.Address, &bytes)));
    Check(15, NT_SUCCESS(IoGetDeviceProperty(physical, DevicePropertyLegacyBusType, 4, &PnpAsked.BusType, &bytes)));
    Check(16,
          IoGetDeviceProperty(physical, DevicePropertyManufacturer, 4, &bytes, &bytes) == STATUS_OBJECT_NAME_NOT_FOUND);
}

static VOID NTAPI PowerDone(PDEVICE_OBJECT DeviceObject, UCHAR MinorFunction, POWER_STATE PowerState, PVOID Context,
                            PIO_STATUS_BLOCK IoStatus) {
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(MinorFunction);
    PnpAsked.PowerDone = NT_SUCCESS(IoStatus->Status) ? (ULONG)PowerState.DeviceState : 0;
    KeSetEvent(Context, IO_NO_INCREMENT, FALSE);
}

static VOID AskPower(PDEVICE_OBJECT device, KIRQL at) {
    KEVENT done;
    KIRQL irql;
    POWER_STATE state = {.DeviceState = PowerDeviceD3};
    KeInitializeEvent(&done, NotificationEvent, FALSE);
    KeRaiseIrql(at, &irql);
    NTSTATUS status = PoRequestPowerIrp(device, IRP_MN_SET_POWER, state, PowerDone, &done, NULL);
    KeLowerIrql(irql);
    Check(17, status == STATUS_PENDING);
    KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
    PnpAsked.PowerBefore = (ULONG)PoSetPowerState(device, DevicePowerState, state).DeviceState;
    state.DeviceState = PowerDeviceD0;
    Check(18, PoSetPowerState(device, DevicePowerState, state).DeviceState == PowerDeviceD3);
}

static VOID ReadResources(PCM_RESOURCE_LIST raw, PCM_RESOURCE_LIST translated) {
    PCM_PARTIAL_RESOURCE_LIST given = &raw->List[0].PartialResourceList;
    PCM_PARTIAL_RESOURCE_LIST used = &translated->List[0].PartialResourceList;
    PnpAsked.Channel = 0xff;
    for (ULONG i = 0; i < given->Count; i++) {
        PCM_PARTIAL_RESOURCE_DESCRIPTOR each = &given->PartialDescriptors[i];
        if (each->Type == CmResourceTypePort && PnpAsked.Ports++ == 0) {
            PnpAsked.PortStart = each->u.Port.Start.LowPart;
        } else if (each->Type == CmResourceTypeDma) {
            PnpAsked.Channel = each->u.Dma.Channel;
        } else if (each->Type == CmResourceTypeInterrupt) {
            PnpAsked.Irq = each->u.Interrupt.Level;
            PnpAsked.IrqLatched = each->Flags & CM_RESOURCE_INTERRUPT_LATCHED;
            PnpAsked.Vector = used->PartialDescriptors[i].u.Interrupt.Vector;
            PnpAsked.Level = used->PartialDescriptors[i].u.Interrupt.Level;
        }
    }
}

static NTSTATUS Complete(PIRP irp, NTSTATUS status) {
    irp->IoStatus.Status = status;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS NTAPI Pnp(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    EXTENSION *extension = DeviceObject->DeviceExtension;
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    NTSTATUS status;
    switch (location->MinorFunction) {
    case IRP_MN_START_DEVICE:
        status = IoForwardIrpSynchronously(extension->Lower, Irp) ? Irp->IoStatus.Status : STATUS_UNSUCCESSFUL;
        ReadResources(location->Parameters.StartDevice.AllocatedResources,
                      location->Parameters.StartDevice.AllocatedResourcesTranslated);
        AskConfiguration(extension->Physical);
        AskQueries(extension->Physical);
        AskProperties(extension->Physical);
        AskPower(DeviceObject, PASSIVE_LEVEL);
        AskPower(DeviceObject, DISPATCH_LEVEL);
        return Complete(Irp, status);
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
        if (PnpAsked.Refuse) {
            return Complete(Irp, STATUS_DEVICE_BUSY);
        }
        break;
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
        PnpAsked.Cancelled++;
        break;
    case IRP_MN_SURPRISE_REMOVAL:
        PnpAsked.Gone++;
        break;
    case IRP_MN_REMOVE_DEVICE:
        Irp->IoStatus.Status = STATUS_SUCCESS;
        IoSkipCurrentIrpStackLocation(Irp);
        status = IoCallDriver(extension->Lower, Irp);
        IoDetachDevice(extension->Lower);
        IoDeleteDevice(DeviceObject);
        return status;
    case IRP_MN_QUERY_PNP_DEVICE_STATE:
        Irp->IoStatus.Information = PNP_DEVICE_FAILED;
        return Complete(Irp, STATUS_SUCCESS);
    default:
        IoSkipCurrentIrpStackLocation(Irp);
        return IoCallDriver(extension->Lower, Irp);
    }
    Irp->IoStatus.Status = STATUS_SUCCESS;
    IoSkipCurrentIrpStackLocation(Irp);
    return IoCallDriver(extension->Lower, Irp);
}

static NTSTATUS NTAPI Power(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    EXTENSION *extension = DeviceObject->DeviceExtension;
    PoStartNextPowerIrp(Irp);
    IoSkipCurrentIrpStackLocation(Irp);
    return PoCallDriver(extension->Lower, Irp);
}

static PDEVICE_OBJECT Physical;

static NTSTATUS NTAPI AddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT PhysicalDeviceObject) {
    PDEVICE_OBJECT device;
    NTSTATUS status = IoCreateDevice(DriverObject, sizeof(EXTENSION), NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    EXTENSION *extension = device->DeviceExtension;
    Physical = extension->Physical = PhysicalDeviceObject;
    extension->Lower = IoAttachDeviceToDeviceStack(device, PhysicalDeviceObject);
    device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

/* The host calls it: the device says that it has failed. */
VOID NTAPI SayItFailed(PVOID Context);

VOID NTAPI SayItFailed(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    IoInvalidateDeviceState(Physical);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

DRIVER_INITIALIZE DriverEntry;

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverExtension->AddDevice = AddDevice;
    DriverObject->DriverUnload = Unload;
    DriverObject->MajorFunction[IRP_MJ_PNP] = Pnp;
    DriverObject->MajorFunction[IRP_MJ_POWER] = Power;
    return STATUS_SUCCESS;
}
