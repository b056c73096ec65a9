/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floppy.sys: a legacy NT driver for drive A of the PC's floppy controller, 1.44 MB media. Loading, unloading and the dispatch
 * routines are here; queue.c has the driver's thread, motor.c the motor and its timer, controller.c commands and interrupt,
 * media.c what is in the drive, transfer.c reads and writes.
 */
#include "floppy.h"

#define FLOPPY_MOTOR_OFF_MS 2000
#define FLOPPY_SPIN_UP_MS   500

FLOPPY_COUNTS FloppyCounts;

/* A request that says nothing that the medium has is refused here; the others wait for the thread. */
static NTSTATUS NTAPI FloppyReadWrite(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    ULONG length = location->Parameters.Read.Length;
    LONGLONG offset = location->Parameters.Read.ByteOffset.QuadPart;
    if (offset < 0 || offset % FLOPPY_SECTOR != 0 || length % FLOPPY_SECTOR != 0) {
        return FloppyComplete(Irp, STATUS_INVALID_PARAMETER, 0);
    }
    if (offset > FLOPPY_BYTES || length > FLOPPY_BYTES - offset) {
        return FloppyComplete(Irp, STATUS_NONEXISTENT_SECTOR, 0);
    }
    return length == 0 ? FloppyComplete(Irp, STATUS_SUCCESS, 0) : FloppyQueue(DeviceObject->DeviceExtension, Irp);
}

static NTSTATUS NTAPI FloppyDeviceControl(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    return FloppyQueue(DeviceObject->DeviceExtension, Irp);
}

static NTSTATUS NTAPI FloppyCreateClose(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    UNREFERENCED_PARAMETER(DeviceObject);
    if (location->MajorFunction == IRP_MJ_CREATE && location->FileObject->FileName.Length != 0) {
        return FloppyComplete(Irp, STATUS_OBJECT_NAME_NOT_FOUND, 0); /* files are a file system's business */
    }
    return FloppyComplete(Irp, STATUS_SUCCESS, 0);
}

/* Milliseconds from the Parameters subkey, as the negative number that a timer takes. */
static NTSTATUS FloppyReadParameters(PFLOPPY_EXTENSION extension, PUNICODE_STRING path) {
    ULONG usual[] = {FLOPPY_MOTOR_OFF_MS, FLOPPY_SPIN_UP_MS};
    ULONG found[] = {FLOPPY_MOTOR_OFF_MS, FLOPPY_SPIN_UP_MS};
    RTL_QUERY_REGISTRY_TABLE table[] = {
        {NULL, RTL_QUERY_REGISTRY_SUBKEY, (PWSTR)L"Parameters", NULL, REG_NONE, NULL, 0},
        {NULL, RTL_QUERY_REGISTRY_DIRECT, (PWSTR)L"MotorOffMs", &found[0], REG_DWORD, &usual[0], sizeof usual[0]},
        {NULL, RTL_QUERY_REGISTRY_DIRECT, (PWSTR)L"SpinUpMs", &found[1], REG_DWORD, &usual[1], sizeof usual[1]},
        {NULL, 0, NULL, NULL, REG_NONE, NULL, 0},
    };
    PWSTR terminated = ExAllocatePoolWithTag(PagedPool, path->Length + sizeof(WCHAR), FLOPPY_TAG);
    if (terminated == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    RtlCopyMemory(terminated, path->Buffer, path->Length);
    terminated[path->Length / sizeof(WCHAR)] = 0;
    NTSTATUS status = RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, terminated, table, NULL, NULL);
    ExFreePoolWithTag(terminated, FLOPPY_TAG);
    if (!NT_SUCCESS(status) && status != STATUS_OBJECT_NAME_NOT_FOUND) { /* no such subkey: as usual */
        return status;
    }
    extension->MotorOff.QuadPart = (LONGLONG)found[0] * -10000;
    extension->SpinUp.QuadPart = (LONGLONG)found[1] * -10000;
    return STATUS_SUCCESS;
}

static NTSTATUS FloppyFindAdapter(PFLOPPY_EXTENSION extension) {
    DEVICE_DESCRIPTION description = {
        .Version = DEVICE_DESCRIPTION_VERSION,
        .InterfaceType = Isa,
        .DmaChannel = FDC_DMA_CHANNEL,
        .DmaWidth = Width8Bits,
        .DmaSpeed = Compatible,
        .MaximumLength = FLOPPY_CYLINDER_SECTORS * FLOPPY_SECTOR,
    };
    extension->Adapter = HalGetAdapter(&description, &extension->MapRegisters);
    return extension->Adapter != NULL && extension->MapRegisters > 1 ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

static NTSTATUS FloppyConnect(PFLOPPY_EXTENSION extension) {
    KIRQL irql;
    KAFFINITY affinity;
    ULONG vector = HalGetInterruptVector(Isa, 0, FDC_IRQ, FDC_IRQ, &irql, &affinity);
    return vector == 0 ? STATUS_DEVICE_CONFIGURATION_ERROR
                       : IoConnectInterrupt(&extension->Interrupt, FloppyIsr, extension, NULL, vector, irql, irql,
                                            Latched, FALSE, affinity, FALSE);
}

/* Whatever of it there is. */
static VOID FloppyTakeDown(PFLOPPY_EXTENSION extension) {
    if (extension->Thread != NULL) {
        FloppyStopThread(extension);
        FloppyStopMotor(extension);
    }
    if (extension->Interrupt != NULL) {
        KeFlushQueuedDpcs(); /* nothing is expected any more, so the ISR queues none */
        IoDisconnectInterrupt(extension->Interrupt);
    }
    if (extension->Adapter != NULL) {
        extension->Adapter->DmaOperations->PutDmaAdapter(extension->Adapter);
    }
    IoDeleteDevice(extension->Device);
}

static NTSTATUS FloppySetUp(PFLOPPY_EXTENSION extension, PUNICODE_STRING path) {
    KeInitializeEvent(&extension->Interrupted, SynchronizationEvent, FALSE);
    KeInitializeEvent(&extension->ChannelGranted, SynchronizationEvent, FALSE);
    FloppyInitializeMotor(extension);
    IoInitializeDpcRequest(extension->Device, FloppyDpcForIsr);
    NTSTATUS status = FloppyReadParameters(extension, path);
    if (NT_SUCCESS(status)) {
        status = FloppyFindAdapter(extension);
    }
    if (NT_SUCCESS(status)) {
        status = FloppyConnect(extension);
    }
    return NT_SUCCESS(status) ? FloppyStartThread(extension) : status;
}

static UNICODE_STRING FloppyLink = RTL_CONSTANT_STRING(L"\\??\\A:");

static VOID NTAPI FloppyUnload(PDRIVER_OBJECT DriverObject) {
    IoDeleteSymbolicLink(&FloppyLink);
    FloppyTakeDown(DriverObject->DeviceObject->DeviceExtension);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\Floppy0");
    PDEVICE_OBJECT device;
    if (!FloppyIsThere()) {
        return STATUS_NO_SUCH_DEVICE;
    }
    NTSTATUS status = IoCreateDevice(DriverObject, sizeof(FLOPPY_EXTENSION), &name, FILE_DEVICE_DISK,
                                     FILE_REMOVABLE_MEDIA | FILE_FLOPPY_DISKETTE, FALSE, &device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    PFLOPPY_EXTENSION extension = device->DeviceExtension;
    extension->Device = device;
    device->Flags |= DO_DIRECT_IO;
    device->AlignmentRequirement = FILE_BYTE_ALIGNMENT;
    status = FloppySetUp(extension, RegistryPath);
    if (NT_SUCCESS(status)) {
        status = IoCreateSymbolicLink(&FloppyLink, &name);
    }
    if (!NT_SUCCESS(status)) {
        FloppyTakeDown(extension);
        return status;
    }
    DriverObject->MajorFunction[IRP_MJ_CREATE] = FloppyCreateClose;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = FloppyCreateClose;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = FloppyCreateClose;
    DriverObject->MajorFunction[IRP_MJ_READ] = FloppyReadWrite;
    DriverObject->MajorFunction[IRP_MJ_WRITE] = FloppyReadWrite;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = FloppyDeviceControl;
    DriverObject->DriverUnload = FloppyUnload;
    return STATUS_SUCCESS;
}
