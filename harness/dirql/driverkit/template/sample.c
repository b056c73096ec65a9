/*
 * sample.sys: a WDM function driver for the doorbell device (PCI 1af4:1110, QEMU's ivshmem-doorbell).
 *
 * The device interrupts when dirql rings it, and rings dirql when its Doorbell register is written. A read waits for interrupts:
 * StartIo asks the device for one, the ISR counts, DpcForIsr completes the read with the number of interrupts that came since
 * the last one. IOCTL_SAMPLE_QUERY returns the driver's counts at once.
 *
 * Who guards what, and at which IRQL:
 *   InterruptLock          the device's DIRQL   Pending, Total, Armed     the ISR holds it, others enter by KeSynchronizeExecution
 *   cancel spin lock       DISPATCH_LEVEL       Waiting, Draining         and every cancel routine
 *   StatisticsLock         DISPATCH_LEVEL       Completed, Cancelled
 * A lock further up may be taken while one further down is held, never the other way; no lock is held over IoCompleteRequest.
 */
#include <ntddk.h>

#include "sample.h"

/* BAR0 (QEMU's documentation, "Device Specification for Inter-VM shared memory device"). */
typedef struct _SAMPLE_REGISTERS {
    ULONG InterruptMask;
    ULONG InterruptStatus;
    ULONG IvPosition;
    ULONG Doorbell; /* write peer << 16 | vector: interrupts that peer */
} SAMPLE_REGISTERS;

#define DIRQL_PEER 1u /* the device's other end */

typedef struct _SAMPLE_EXTENSION {
    PDEVICE_OBJECT PhysicalDevice; /* the bus driver's device object, for IoConnectInterruptEx */
    PDEVICE_OBJECT LowerDevice;    /* the next one below in the stack, for IoCallDriver */
    IO_REMOVE_LOCK RemoveLock;     /* one for each request under way: a removal waits for them */
    BOOLEAN Started;               /* PnP requests come one at a time, at PASSIVE_LEVEL */
    SAMPLE_REGISTERS *Registers;
    SIZE_T RegistersBytes;
    PIO_INTERRUPT_MESSAGE_INFO Messages;
    KSPIN_LOCK InterruptLock;
    ULONG64 Pending; /* interrupts that no read was told of yet */
    ULONG64 Total;
    BOOLEAN Armed;    /* the next interrupt is to request a DPC */
    PIRP Waiting;     /* the current read, once it waits for the device */
    BOOLEAN Draining; /* every read is to be cancelled: nobody has the device open, or it goes away */
    KSPIN_LOCK StatisticsLock;
    ULONG64 Completed;
    ULONG64 Cancelled;
} SAMPLE_EXTENSION, *PSAMPLE_EXTENSION;

DRIVER_INITIALIZE DriverEntry;

static const UNICODE_STRING DeviceName = RTL_CONSTANT_STRING(L"\\Device\\sample");
static const UNICODE_STRING LinkName = RTL_CONSTANT_STRING(L"\\DosDevices\\sample");

/* ---- Completing requests ---- */

/* IRQL <= DISPATCH_LEVEL, no spin lock held: the completion routines of whoever sent it run now. */
static NTSTATUS SampleComplete(PDEVICE_OBJECT device, PIRP irp, NTSTATUS status, ULONG_PTR bytes) {
    PSAMPLE_EXTENSION extension = device->DeviceExtension;
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = bytes;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    IoReleaseRemoveLock(&extension->RemoveLock, irp); /* last: from here on the device may go away */
    return status;
}

/* A read is done. IRQL <= DISPATCH_LEVEL; the caller owns the IRP: it has no cancel routine, and is not Waiting. */
static VOID SampleFinishRead(PDEVICE_OBJECT device, PIRP irp, NTSTATUS status, ULONG64 interrupts) {
    PSAMPLE_EXTENSION extension = device->DeviceExtension;
    KIRQL irql;
    KeAcquireSpinLock(&extension->StatisticsLock, &irql);
    if (NT_SUCCESS(status)) {
        extension->Completed++;
    } else {
        extension->Cancelled++;
    }
    KeReleaseSpinLock(&extension->StatisticsLock, irql);
    if (NT_SUCCESS(status)) {
        *(ULONG64 *)irp->AssociatedIrp.SystemBuffer = interrupts; /* DO_BUFFERED_IO: a buffer of the system's */
    }
    KeRaiseIrql(DISPATCH_LEVEL, &irql); /* IoStartNextPacket is called there */
    IoStartNextPacket(device, TRUE);
    KeLowerIrql(irql);
    SampleComplete(device, irp, status, NT_SUCCESS(status) ? sizeof(ULONG64) : 0);
}

/* ---- The interrupt path ---- */

/* DIRQL, InterruptLock held. Short: it counts, and leaves the rest to the DPC. */
static BOOLEAN NTAPI SampleIsr(PKINTERRUPT Interrupt, PVOID ServiceContext, ULONG MessageId) {
    PDEVICE_OBJECT device = ServiceContext;
    PSAMPLE_EXTENSION extension = device->DeviceExtension;
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(MessageId);
    extension->Pending++;
    extension->Total++;
    if (extension->Armed) {
        extension->Armed = FALSE;
        IoRequestDpc(device, NULL, NULL);
    }
    return TRUE; /* a message is this device's alone */
}

typedef struct _SAMPLE_TAKE {
    PSAMPLE_EXTENSION Extension;
    ULONG64 Interrupts;
} SAMPLE_TAKE;

/* SynchCritSection. Take what is pending, or have the next interrupt request a DPC: in one step, or one could get lost between. */
static BOOLEAN NTAPI SampleTakeOrArm(PVOID SynchronizeContext) {
    SAMPLE_TAKE *take = SynchronizeContext;
    take->Interrupts = take->Extension->Pending;
    take->Extension->Pending = 0;
    take->Extension->Armed = take->Interrupts == 0;
    return take->Interrupts != 0;
}

static BOOLEAN SampleSynchronize(PSAMPLE_EXTENSION extension, PKSYNCHRONIZE_ROUTINE routine, PVOID context) {
    return KeSynchronizeExecution(extension->Messages->MessageInfo[0].InterruptObject, routine, context);
}

/* DISPATCH_LEVEL. The same DPC may run on two CPUs at once: who finds a read Waiting takes it, under the cancel spin lock. */
static VOID NTAPI SampleDpcForIsr(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    PSAMPLE_EXTENSION extension = DeviceObject->DeviceExtension;
    SAMPLE_TAKE take = {.Extension = extension};
    PIRP irp = NULL;
    KIRQL irql;
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    IoAcquireCancelSpinLock(&irql);
    if (extension->Waiting != NULL && SampleSynchronize(extension, SampleTakeOrArm, &take)) {
        irp = extension->Waiting;
        extension->Waiting = NULL;
        IoSetCancelRoutine(irp, NULL);
    }
    IoReleaseCancelSpinLock(irql);
    if (irp != NULL) {
        SampleFinishRead(DeviceObject, irp, STATUS_SUCCESS, take.Interrupts);
    }
}

/* ---- Reads: StartIo and cancellation ---- */

/* Cancel routines: DISPATCH_LEVEL, the cancel spin lock held, to be released to Irp->CancelIrql. This one: the read is still queued. */
static VOID NTAPI SampleCancelQueued(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    KeRemoveEntryDeviceQueue(&DeviceObject->DeviceQueue, &Irp->Tail.Overlay.DeviceQueueEntry);
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    SampleComplete(DeviceObject, Irp, STATUS_CANCELLED, 0);
}

/* And this one: it is the current read, and waits for the device. */
static VOID NTAPI SampleCancelWaiting(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PSAMPLE_EXTENSION extension = DeviceObject->DeviceExtension;
    extension->Waiting = NULL;
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    SampleFinishRead(DeviceObject, Irp, STATUS_CANCELLED, 0);
}

/* DISPATCH_LEVEL, one read at a time; it has no cancel routine (IoSetStartIoAttributes), so nobody else touches it. */
static VOID NTAPI SampleStartIo(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PSAMPLE_EXTENSION extension = DeviceObject->DeviceExtension;
    SAMPLE_TAKE take = {.Extension = extension};
    NTSTATUS status = STATUS_PENDING;
    KIRQL irql;
    /* Before it is looked for: what comes at once is counted, and found below. */
    WRITE_REGISTER_ULONG(&extension->Registers->Doorbell, DIRQL_PEER << 16);
    IoAcquireCancelSpinLock(&irql);
    if (Irp->Cancel || extension->Draining) {
        status = STATUS_CANCELLED;
    } else if (SampleSynchronize(extension, SampleTakeOrArm, &take)) {
        status = STATUS_SUCCESS;
    } else {
        extension->Waiting = Irp;
        IoSetCancelRoutine(Irp, SampleCancelWaiting);
    }
    IoReleaseCancelSpinLock(irql);
    if (status != STATUS_PENDING) { /* else it is the DPC's or the cancel routine's, and may be gone already */
        SampleFinishRead(DeviceObject, Irp, status, take.Interrupts);
    }
}

/* Cancel the current read; StartIo does the same to all that come after it. IRQL <= DISPATCH_LEVEL. */
static VOID SampleDrain(PDEVICE_OBJECT device) {
    PSAMPLE_EXTENSION extension = device->DeviceExtension;
    KIRQL irql;
    IoAcquireCancelSpinLock(&irql);
    PIRP irp = extension->Waiting;
    extension->Draining = TRUE;
    extension->Waiting = NULL;
    if (irp != NULL) {
        IoSetCancelRoutine(irp, NULL);
    }
    IoReleaseCancelSpinLock(irql);
    if (irp != NULL) {
        SampleFinishRead(device, irp, STATUS_CANCELLED, 0);
    }
}

/* ---- Dispatch routines: IRQL <= DISPATCH_LEVEL for read and ioctl, PASSIVE_LEVEL for the others ---- */

static NTSTATUS NTAPI SampleRead(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PSAMPLE_EXTENSION extension = DeviceObject->DeviceExtension;
    NTSTATUS status = IoAcquireRemoveLock(&extension->RemoveLock, Irp);
    if (!NT_SUCCESS(status)) {
        Irp->IoStatus.Status = status;
        IoCompleteRequest(Irp, IO_NO_INCREMENT);
        return status;
    }
    if (IoGetCurrentIrpStackLocation(Irp)->Parameters.Read.Length < sizeof(ULONG64)) {
        return SampleComplete(DeviceObject, Irp, STATUS_BUFFER_TOO_SMALL, 0);
    }
    IoMarkIrpPending(Irp);
    IoStartPacket(DeviceObject, Irp, NULL, SampleCancelQueued);
    return STATUS_PENDING; /* from IoStartPacket on the IRP is not ours any more */
}

/* SynchCritSection: what the ISR counts is read where the ISR cannot run. */
static BOOLEAN NTAPI SampleCopyTotal(PVOID SynchronizeContext) {
    SAMPLE_TAKE *take = SynchronizeContext;
    take->Interrupts = take->Extension->Total;
    return TRUE;
}

static NTSTATUS NTAPI SampleDeviceControl(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PSAMPLE_EXTENSION extension = DeviceObject->DeviceExtension;
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    SAMPLE_TAKE take = {.Extension = extension};
    KIRQL irql;
    NTSTATUS status = IoAcquireRemoveLock(&extension->RemoveLock, Irp);
    if (!NT_SUCCESS(status)) {
        Irp->IoStatus.Status = status;
        IoCompleteRequest(Irp, IO_NO_INCREMENT);
        return status;
    }
    if (location->Parameters.DeviceIoControl.IoControlCode != IOCTL_SAMPLE_QUERY) {
        return SampleComplete(DeviceObject, Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }
    if (location->Parameters.DeviceIoControl.OutputBufferLength < sizeof(SAMPLE_COUNTS)) {
        return SampleComplete(DeviceObject, Irp, STATUS_BUFFER_TOO_SMALL, 0);
    }
    SAMPLE_COUNTS *counts = Irp->AssociatedIrp.SystemBuffer; /* METHOD_BUFFERED */
    SampleSynchronize(extension, SampleCopyTotal, &take);
    counts->Interrupts = take.Interrupts;
    KeAcquireSpinLock(&extension->StatisticsLock, &irql);
    counts->Completed = extension->Completed;
    counts->Cancelled = extension->Cancelled;
    KeReleaseSpinLock(&extension->StatisticsLock, irql);
    return SampleComplete(DeviceObject, Irp, STATUS_SUCCESS, sizeof(SAMPLE_COUNTS));
}

/* Create, cleanup and close. The device is exclusive: there is one handle at a time, and cleanup is the last word of its owner. */
static NTSTATUS NTAPI SampleOpenClose(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PSAMPLE_EXTENSION extension = DeviceObject->DeviceExtension;
    NTSTATUS status = STATUS_SUCCESS;
    KIRQL irql;
    switch (IoGetCurrentIrpStackLocation(Irp)->MajorFunction) {
    case IRP_MJ_CREATE:
        status = extension->Started ? STATUS_SUCCESS : STATUS_DEVICE_NOT_READY;
        if (NT_SUCCESS(status)) {
            IoAcquireCancelSpinLock(&irql);
            extension->Draining = FALSE;
            IoReleaseCancelSpinLock(irql);
        }
        break;
    case IRP_MJ_CLEANUP:
        SampleDrain(DeviceObject);
        break;
    default:
        break;
    }
    Irp->IoStatus.Status = status;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return status;
}

/* ---- Plug and Play ---- */

static VOID SampleDisconnect(PSAMPLE_EXTENSION extension) {
    if (extension->Messages != NULL) {
        IO_DISCONNECT_INTERRUPT_PARAMETERS parameters = {.Version = CONNECT_MESSAGE_BASED};
        parameters.ConnectionContext.InterruptMessageTable = extension->Messages;
        IoDisconnectInterruptEx(&parameters); /* when it returns, the ISR runs nowhere and will not run again */
        KeFlushQueuedDpcs(); /* nor does a DPC that it requested; with nothing Waiting it did nothing */
        extension->Messages = NULL;
    }
    if (extension->Registers != NULL) {
        MmUnmapIoSpace(extension->Registers, extension->RegistersBytes);
        extension->Registers = NULL;
    }
}

/* PASSIVE_LEVEL. The device's memory resources come in BAR order: the first one is the registers. */
static NTSTATUS SampleStart(PDEVICE_OBJECT device, const CM_RESOURCE_LIST *resources) {
    PSAMPLE_EXTENSION extension = device->DeviceExtension;
    const CM_PARTIAL_RESOURCE_DESCRIPTOR *registers = NULL;
    for (ULONG i = 0; resources != NULL && i < resources->List[0].PartialResourceList.Count; i++) {
        const CM_PARTIAL_RESOURCE_DESCRIPTOR *each = &resources->List[0].PartialResourceList.PartialDescriptors[i];
        registers = registers == NULL && each->Type == CmResourceTypeMemory ? each : registers;
    }
    if (registers == NULL || registers->u.Memory.Length < sizeof(SAMPLE_REGISTERS)) {
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    }
    extension->RegistersBytes = registers->u.Memory.Length;
    extension->Registers = MmMapIoSpace(registers->u.Memory.Start, extension->RegistersBytes, MmNonCached);
    if (extension->Registers == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    IO_CONNECT_INTERRUPT_PARAMETERS parameters = {.Version = CONNECT_MESSAGE_BASED};
    parameters.MessageBased.PhysicalDeviceObject = extension->PhysicalDevice;
    parameters.MessageBased.ConnectionContext.InterruptMessageTable = &extension->Messages;
    parameters.MessageBased.MessageServiceRoutine = SampleIsr;
    parameters.MessageBased.ServiceContext = device;
    parameters.MessageBased.SpinLock = &extension->InterruptLock; /* one for all messages: one ISR runs at a time */
    NTSTATUS status = IoConnectInterruptEx(&parameters);
    if (!NT_SUCCESS(status)) {
        SampleDisconnect(extension);
        return status;
    }
    extension->Started = TRUE;
    DbgPrint("sample: %u messages at IRQL %u\n", extension->Messages->MessageCount, extension->Messages->UnifiedIrql);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI SamplePnp(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PSAMPLE_EXTENSION extension = DeviceObject->DeviceExtension;
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    PDEVICE_OBJECT lower = extension->LowerDevice;
    NTSTATUS status = IoAcquireRemoveLock(&extension->RemoveLock, Irp);
    if (!NT_SUCCESS(status)) {
        Irp->IoStatus.Status = status;
        IoCompleteRequest(Irp, IO_NO_INCREMENT);
        return status;
    }
    switch (location->MinorFunction) {
    case IRP_MN_START_DEVICE: /* the devices below first */
        status = IoForwardIrpSynchronously(lower, Irp) ? Irp->IoStatus.Status : STATUS_UNSUCCESSFUL;
        if (NT_SUCCESS(status)) {
            status = SampleStart(DeviceObject, location->Parameters.StartDevice.AllocatedResourcesTranslated);
        }
        return SampleComplete(DeviceObject, Irp, status, 0);
    case IRP_MN_QUERY_STOP_DEVICE: /* its resources stay where they are */
        return SampleComplete(DeviceObject, Irp, STATUS_UNSUCCESSFUL, 0);
    case IRP_MN_REMOVE_DEVICE: /* the devices below last */
        extension->Started = FALSE;
        SampleDrain(DeviceObject);
        IoReleaseRemoveLockAndWait(&extension->RemoveLock, Irp); /* no request is under way any more, none will come */
        SampleDisconnect(extension);
        Irp->IoStatus.Status = STATUS_SUCCESS;
        IoSkipCurrentIrpStackLocation(Irp);
        status = IoCallDriver(lower, Irp);
        IoDeleteSymbolicLink((PUNICODE_STRING)&LinkName);
        IoDetachDevice(lower);
        IoDeleteDevice(DeviceObject);
        return status;
    case IRP_MN_SURPRISE_REMOVAL: /* the removal itself comes when the handle is closed */
        extension->Started = FALSE;
        SampleDrain(DeviceObject);
        Irp->IoStatus.Status = STATUS_SUCCESS;
        break;
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
        Irp->IoStatus.Status = STATUS_SUCCESS;
        break;
    default: /* not ours to answer: the devices below may */
        break;
    }
    IoSkipCurrentIrpStackLocation(Irp);
    status = IoCallDriver(lower, Irp);
    IoReleaseRemoveLock(&extension->RemoveLock, Irp);
    return status;
}

/* Power and system control: nothing of ours, so the next device below answers. */
static NTSTATUS NTAPI SamplePassDown(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PSAMPLE_EXTENSION extension = DeviceObject->DeviceExtension;
    IoSkipCurrentIrpStackLocation(Irp);
    return IoCallDriver(extension->LowerDevice, Irp);
}

/* PASSIVE_LEVEL, once for each device of ours: make the device object that represents it here, and put it on top of its stack. */
static NTSTATUS NTAPI SampleAddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT PhysicalDeviceObject) {
    PDEVICE_OBJECT device;
    NTSTATUS status = IoCreateDevice(DriverObject, sizeof(SAMPLE_EXTENSION), (PUNICODE_STRING)&DeviceName,
                                     FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, TRUE, &device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    PSAMPLE_EXTENSION extension = device->DeviceExtension; /* zeroed */
    KeInitializeSpinLock(&extension->InterruptLock);
    KeInitializeSpinLock(&extension->StatisticsLock);
    IoInitializeRemoveLock(&extension->RemoveLock, 'lpmS', 0, 0);
    IoInitializeDpcRequest(device, SampleDpcForIsr);
    IoSetStartIoAttributes(device, TRUE, TRUE); /* StartIo does not recurse, and gets IRPs without a cancel routine */
    extension->PhysicalDevice = PhysicalDeviceObject;
    extension->Draining = TRUE;
    status = IoCreateSymbolicLink((PUNICODE_STRING)&LinkName, (PUNICODE_STRING)&DeviceName);
    if (NT_SUCCESS(status)) {
        extension->LowerDevice = IoAttachDeviceToDeviceStack(device, PhysicalDeviceObject);
        if (extension->LowerDevice != NULL) {
            device->Flags |= DO_BUFFERED_IO | DO_POWER_PAGABLE;
            device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
            return STATUS_SUCCESS;
        }
        status = STATUS_NO_SUCH_DEVICE;
        IoDeleteSymbolicLink((PUNICODE_STRING)&LinkName);
    }
    IoDeleteDevice(device);
    return status;
}

static VOID NTAPI SampleUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject); /* the devices were removed before, each took its own things away */
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverExtension->AddDevice = SampleAddDevice;
    DriverObject->DriverStartIo = SampleStartIo;
    DriverObject->DriverUnload = SampleUnload;
    DriverObject->MajorFunction[IRP_MJ_CREATE] = SampleOpenClose;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = SampleOpenClose;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = SampleOpenClose;
    DriverObject->MajorFunction[IRP_MJ_READ] = SampleRead;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = SampleDeviceControl;
    DriverObject->MajorFunction[IRP_MJ_PNP] = SamplePnp;
    DriverObject->MajorFunction[IRP_MJ_POWER] = SamplePassDown;
    DriverObject->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = SamplePassDown;
    return STATUS_SUCCESS;
}
