/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus driver: a physical device object for each PCI function that a driver is started on, AddDevice, and the PnP IRPs
 * that start and remove a device. PDOs stay once made, as a bus driver's do while the hardware is there.
 */
#include "iop.h"

#include "../hal/hal.h"

static PDRIVER_OBJECT IopBusDriver;

static NTSTATUS NTAPI IopBusPnp(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    IOP_PDO *pdo = DeviceObject->DeviceExtension;
    NTSTATUS status = Irp->IoStatus.Status;
    switch (IoGetCurrentIrpStackLocation(Irp)->MinorFunction) {
    case IRP_MN_START_DEVICE:
        pdo->Started = TRUE;
        status = STATUS_SUCCESS;
        break;
    case IRP_MN_REMOVE_DEVICE:
    case IRP_MN_STOP_DEVICE:
        pdo->Started = FALSE;
        status = STATUS_SUCCESS;
        break;
    default: /* unchanged, as a bus driver leaves what it does not know */
        break;
    }
    Irp->IoStatus.Status = status;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return status;
}

VOID IopInitialize(VOID) {
    NTSTATUS status = IopCreateDriverObject("pci", 0, 0, &IopBusDriver);
    if (!NT_SUCCESS(status)) {
        KeBugCheckEx(PHASE1_INITIALIZATION_FAILED, (ULONG)status, 0, 0, 0);
    }
    IopBusDriver->MajorFunction[IRP_MJ_PNP] = IopBusPnp;
    IopInitializeWork();
    IopInitializeThreadIrps();
}

IOP_PDO *IopPdoOf(PDEVICE_OBJECT device) {
    return device != NULL && device->DriverObject == IopBusDriver ? device->DeviceExtension : NULL;
}

PDEVICE_OBJECT IopFindPdo(ULONG location) {
    for (PDEVICE_OBJECT device = IopBusDriver->DeviceObject; device != NULL; device = device->NextDevice) {
        if (IopPdoOf(device)->Location == location) {
            return device;
        }
    }
    return NULL;
}

static NTSTATUS IopEnumerate(ULONG location, PDEVICE_OBJECT *device) {
    const BOOT_PCI_FUNCTION *function = HalpFindFunction(location);
    if (function == NULL) {
        return STATUS_NO_SUCH_DEVICE;
    }
    *device = IopFindPdo(location);
    if (*device != NULL) {
        return STATUS_SUCCESS;
    }
    WCHAR text[] = L"\\Device\\PCI0000"; /* what device interfaces lead to */
    UNICODE_STRING name = {.Length = sizeof text - sizeof(WCHAR), .MaximumLength = sizeof text, .Buffer = text};
    IopPutLocation(text + RTL_NUMBER_OF(text) - 5, location);
    NTSTATUS status = IoCreateDevice(IopBusDriver, sizeof(IOP_PDO), &name, FILE_DEVICE_BUS_EXTENDER, 0, FALSE, device);
    if (NT_SUCCESS(status)) {
        IopPdoOf(*device)->Location = location;
        IopPdoOf(*device)->Function = function;
        (*device)->Flags = ((*device)->Flags & ~(ULONG)DO_DEVICE_INITIALIZING) | DO_BUS_ENUMERATED_DEVICE;
    }
    return status;
}

/* Sends a PnP IRP to the top of the device's stack and waits for it. */
static NTSTATUS IopSendPnp(PDEVICE_OBJECT pdo, UCHAR minor, PCM_RESOURCE_LIST raw, PCM_RESOURCE_LIST translated) {
    IO_STATUS_BLOCK result = {.Status = STATUS_NOT_SUPPORTED};
    PDEVICE_OBJECT top = IoGetAttachedDevice(pdo);
    PIRP irp = IoAllocateIrp((CCHAR)(top->StackSize + 1), FALSE);
    if (irp == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    IoSetNextIrpStackLocation(irp); /* a location of our own, so that the forwarding below has one to copy from */
    PIO_STACK_LOCATION own = IoGetCurrentIrpStackLocation(irp);
    own->MajorFunction = IRP_MJ_PNP;
    own->MinorFunction = minor;
    own->Parameters.StartDevice.AllocatedResources = raw;
    own->Parameters.StartDevice.AllocatedResourcesTranslated = translated;
    IoForwardIrpSynchronously(top, irp);
    result = irp->IoStatus;
    IoFreeIrp(irp);
    return result.Status;
}

static NTSTATUS IopSendStart(PDEVICE_OBJECT device) {
    IOP_PDO *pdo = IopPdoOf(device);
    NTSTATUS status = IopAssignInterrupts(pdo);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    PCM_RESOURCE_LIST raw = IopBuildResources(pdo, FALSE);
    PCM_RESOURCE_LIST translated = IopBuildResources(pdo, TRUE);
    status = STATUS_INSUFFICIENT_RESOURCES;
    if (raw != NULL && translated != NULL) {
        status = IopSendPnp(device, IRP_MN_START_DEVICE, raw, translated);
    }
    if (raw != NULL) {
        ExFreePoolWithTag(raw, POOL_TAG_RESOURCES);
    }
    if (translated != NULL) {
        ExFreePoolWithTag(translated, POOL_TAG_RESOURCES);
    }
    return status;
}

static VOID IopRemoveDevice(PDEVICE_OBJECT device) {
    IOP_PDO *pdo = IopPdoOf(device);
    IopSendPnp(device, IRP_MN_REMOVE_DEVICE, NULL, NULL);
    if (pdo->MessageInterrupt[0] != NULL) {
        DbgPrint("io: %wZ left its interrupts connected when its device was removed\n", &pdo->Driver->DriverName);
        IopDisconnectMessages(pdo, NULL);
    }
    IopForceOff(pdo, 0, 0, &pdo->Driver->DriverName);
    IopReleaseInterrupts(pdo);
    pdo->Driver = NULL;
}

NTSTATUS IopStartDevice(ULONG64 image_base, ULONG location, ULONG64 *added, ULONG64 *started) {
    PDRIVER_OBJECT driver = IopFindDriver(image_base);
    PDEVICE_OBJECT device;
    *added = 0;
    *started = 0;
    if (driver == NULL) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    if (driver->DriverExtension->AddDevice == NULL) {
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    NTSTATUS status = IopEnumerate(location, &device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (IopPdoOf(device)->Driver != NULL) {
        return STATUS_DEVICE_BUSY;
    }
    status = driver->DriverExtension->AddDevice(driver, device);
    *added = (ULONG)status;
    if (!NT_SUCCESS(status)) {
        return STATUS_SUCCESS;
    }
    IopPdoOf(device)->Driver = driver;
    status = IopSendStart(device);
    *started = (ULONG)status;
    if (!NT_SUCCESS(status)) {
        IopRemoveDevice(device);
    }
    return STATUS_SUCCESS;
}

VOID IopRemoveDevices(PDRIVER_OBJECT driver) {
    for (PDEVICE_OBJECT device = IopBusDriver->DeviceObject; device != NULL; device = device->NextDevice) {
        if (IopPdoOf(device)->Driver == driver) {
            IopRemoveDevice(device);
        }
    }
}
