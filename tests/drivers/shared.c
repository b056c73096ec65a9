/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shared.sys: a function driver that uses its device's line, for two devices whose lines end at one pin. The device is QEMU's
 * e1000, which has no messages: a store sets its interrupt, reading the cause dismisses it. Starting a second device has
 * both interrupt in turn; removing one has it interrupt once more. What happened is in SharedTest.
 */
#include <ntddk.h>

#define E1000_CAUSE     0xc0 /* reading it clears it */
#define E1000_SET_CAUSE 0xc8
#define E1000_MASK_SET  0xd0
#define E1000_LINK      0x04 /* the cause used here: link status change */

#define SHARED_DEVICES 2
#define SHARED_ROUNDS  10

typedef struct _SHARED_DEVICE {
    volatile LONG Claimed;
    volatile LONG Refused;
    ULONG Vector;
    ULONG Irql;
    volatile ULONG Cpu; /* that took the last one */
} SHARED_DEVICE;

typedef struct _SHARED_TEST {
    ULONG Devices; /* started */
    ULONG Leave;   /* host: a removed device leaves its interrupt connected */
    SHARED_DEVICE Device[SHARED_DEVICES];
} SHARED_TEST;

typedef struct _SHARED_EXTENSION {
    PDEVICE_OBJECT PhysicalDevice;
    PDEVICE_OBJECT LowerDevice;
    PKINTERRUPT Interrupt;
    volatile UCHAR *Registers;
    ULONG RegistersBytes;
    SHARED_DEVICE *Record;
} SHARED_EXTENSION;

DRIVER_INITIALIZE DriverEntry;

SHARED_TEST SharedTest;
static SHARED_EXTENSION *SharedExtensions[SHARED_DEVICES];

static BOOLEAN NTAPI SharedIsr(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    SHARED_EXTENSION *extension = ServiceContext;
    UNREFERENCED_PARAMETER(Interrupt);
    if (*(volatile ULONG *)(extension->Registers + E1000_CAUSE) == 0) {
        InterlockedIncrement(&extension->Record->Refused);
        return FALSE;
    }
    extension->Record->Cpu = KeGetCurrentProcessorNumber();
    InterlockedIncrement(&extension->Record->Claimed);
    return TRUE;
}

static VOID SharedInterruptOnce(SHARED_EXTENSION *extension) {
    LONG claimed = extension->Record->Claimed;
    *(volatile ULONG *)(extension->Registers + E1000_SET_CAUSE) = E1000_LINK;
    while (extension->Record->Claimed == claimed) {
        YieldProcessor();
    }
}

static NTSTATUS SharedConnect(SHARED_EXTENSION *extension) {
    IO_CONNECT_INTERRUPT_PARAMETERS parameters = {.Version = CONNECT_LINE_BASED};
    parameters.LineBased.PhysicalDeviceObject = extension->PhysicalDevice;
    parameters.LineBased.InterruptObject = &extension->Interrupt;
    parameters.LineBased.ServiceRoutine = SharedIsr;
    parameters.LineBased.ServiceContext = extension;
    return IoConnectInterruptEx(&parameters);
}

static NTSTATUS SharedStart(SHARED_EXTENSION *extension, PCM_RESOURCE_LIST resources) {
    PCM_PARTIAL_RESOURCE_LIST list = &resources->List[0].PartialResourceList;
    if (SharedTest.Devices == SHARED_DEVICES) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    extension->Record = &SharedTest.Device[SharedTest.Devices];
    for (ULONG i = 0; i < list->Count; i++) {
        PCM_PARTIAL_RESOURCE_DESCRIPTOR each = &list->PartialDescriptors[i];
        if (each->Type == CmResourceTypeMemory && extension->Registers == NULL) {
            extension->RegistersBytes = each->u.Memory.Length;
            extension->Registers = MmMapIoSpace(each->u.Memory.Start, each->u.Memory.Length, MmNonCached);
        } else if (each->Type == CmResourceTypeInterrupt && (each->Flags & CM_RESOURCE_INTERRUPT_MESSAGE) == 0) {
            extension->Record->Vector = each->u.Interrupt.Vector;
            extension->Record->Irql = each->u.Interrupt.Level;
        }
    }
    if (extension->Registers == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    NTSTATUS status = SharedConnect(extension);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    SharedExtensions[SharedTest.Devices++] = extension;
    *(volatile ULONG *)(extension->Registers + E1000_MASK_SET) = E1000_LINK;
    for (ULONG round = 0; round < SHARED_ROUNDS && SharedTest.Devices == SHARED_DEVICES; round++) {
        SharedInterruptOnce(SharedExtensions[round % SHARED_DEVICES]);
    }
    return STATUS_SUCCESS;
}

static VOID SharedStop(SHARED_EXTENSION *extension) {
    if (extension->Interrupt == NULL) {
        return;
    }
    SharedInterruptOnce(extension);
    if (!SharedTest.Leave) {
        IO_DISCONNECT_INTERRUPT_PARAMETERS parameters = {.Version = CONNECT_LINE_BASED};
        parameters.ConnectionContext.InterruptObject = extension->Interrupt;
        IoDisconnectInterruptEx(&parameters);
    }
}

static NTSTATUS SharedComplete(PIRP irp, NTSTATUS status) {
    irp->IoStatus.Status = status;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS NTAPI SharedPnp(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    SHARED_EXTENSION *extension = DeviceObject->DeviceExtension;
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    PDEVICE_OBJECT lower = extension->LowerDevice;
    NTSTATUS status;
    switch (location->MinorFunction) {
    case IRP_MN_START_DEVICE:
        status = IoForwardIrpSynchronously(lower, Irp) ? Irp->IoStatus.Status : STATUS_UNSUCCESSFUL;
        if (NT_SUCCESS(status)) {
            status = SharedStart(extension, location->Parameters.StartDevice.AllocatedResourcesTranslated);
        }
        return SharedComplete(Irp, status);
    case IRP_MN_REMOVE_DEVICE:
        SharedStop(extension);
        if (extension->Registers != NULL && !SharedTest.Leave) {
            MmUnmapIoSpace((PVOID)extension->Registers, extension->RegistersBytes);
        }
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

static NTSTATUS NTAPI SharedAddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT PhysicalDeviceObject) {
    PDEVICE_OBJECT device;
    NTSTATUS status =
        IoCreateDevice(DriverObject, sizeof(SHARED_EXTENSION), NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    SHARED_EXTENSION *extension = device->DeviceExtension;
    extension->PhysicalDevice = PhysicalDeviceObject;
    extension->LowerDevice = IoAttachDeviceToDeviceStack(device, PhysicalDeviceObject);
    if (extension->LowerDevice == NULL) {
        IoDeleteDevice(device);
        return STATUS_NO_SUCH_DEVICE;
    }
    device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static VOID NTAPI SharedUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject); /* each device took its own things away when it was removed, or did not */
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverExtension->AddDevice = SharedAddDevice;
    DriverObject->DriverUnload = SharedUnload;
    DriverObject->MajorFunction[IRP_MJ_PNP] = SharedPnp;
    return STATUS_SUCCESS;
}
