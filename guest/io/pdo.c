/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus driver: a physical device object for each PCI function that a driver is started on, and for each device on ISA that the
 * host names. PDOs stay once made, as a bus driver's do while the hardware is there. What they answer is in io/pdoquery.c.
 */
#include "iop.h"

#include "../hal/hal.h"

static PDRIVER_OBJECT IopBusDriver;

static NTSTATUS IopFinish(PIRP irp, NTSTATUS status) {
    irp->IoStatus.Status = status;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS NTAPI IopBusPnp(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    switch (IoGetCurrentIrpStackLocation(Irp)->MinorFunction) {
    case IRP_MN_START_DEVICE:
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_STOP_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
    case IRP_MN_REMOVE_DEVICE:
    case IRP_MN_SURPRISE_REMOVAL:
        return IopFinish(Irp, STATUS_SUCCESS); /* the hardware does not mind */
    default:
        return IopFinish(Irp, IopQueryPdo(DeviceObject, Irp));
    }
}

/* A PDO has every power state: nothing on these buses can be turned off. Waking up it cannot. */
static NTSTATUS NTAPI IopBusPower(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    PoStartNextPowerIrp(Irp);
    switch (location->MinorFunction) {
    case IRP_MN_SET_POWER:
        if (location->Parameters.Power.Type == DevicePowerState) {
            PoSetPowerState(DeviceObject, DevicePowerState, location->Parameters.Power.State);
        }
        return IopFinish(Irp, STATUS_SUCCESS);
    case IRP_MN_QUERY_POWER:
        return IopFinish(Irp, STATUS_SUCCESS);
    default:
        return IopFinish(Irp, Irp->IoStatus.Status);
    }
}

/* As a bus driver leaves what it has no part in. */
static NTSTATUS NTAPI IopBusUnchanged(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    UNREFERENCED_PARAMETER(DeviceObject);
    return IopFinish(Irp, Irp->IoStatus.Status);
}

VOID IopInitializeBus(VOID) {
    NTSTATUS status = IopCreateDriverObject("pci", 0, 0, &IopBusDriver);
    if (!NT_SUCCESS(status)) {
        KeBugCheckEx(PHASE1_INITIALIZATION_FAILED, (ULONG)status, 0, 0, 0);
    }
    IopBusDriver->MajorFunction[IRP_MJ_PNP] = IopBusPnp;
    IopBusDriver->MajorFunction[IRP_MJ_POWER] = IopBusPower;
    IopBusDriver->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = IopBusUnchanged;
}

IOP_PDO *IopPdoOf(PDEVICE_OBJECT device) {
    return device != NULL && device->DriverObject == IopBusDriver ? device->DeviceExtension : NULL;
}

PDEVICE_OBJECT IopFirstPdo(VOID) {
    return IopBusDriver->DeviceObject;
}

PDEVICE_OBJECT IopFindPdo(ULONG location) {
    for (PDEVICE_OBJECT device = IopFirstPdo(); device != NULL; device = device->NextDevice) {
        if (IopPdoOf(device)->Location == location) {
            return device;
        }
    }
    return NULL;
}

static NTSTATUS IopCreatePdo(ULONG location, PDEVICE_OBJECT *device) {
    WCHAR text[] = L"\\Device\\PCI0000"; /* what device interfaces lead to */
    UNICODE_STRING name = {.Length = sizeof text - sizeof(WCHAR), .MaximumLength = sizeof text, .Buffer = text};
    IopPutLocation(text + RTL_NUMBER_OF(text) - 5, location);
    NTSTATUS status = IoCreateDevice(IopBusDriver, sizeof(IOP_PDO), &name, FILE_DEVICE_BUS_EXTENDER, 0, FALSE, device);
    if (NT_SUCCESS(status)) {
        IopPdoOf(*device)->Location = location;
        (*device)->Flags = ((*device)->Flags & ~(ULONG)DO_DEVICE_INITIALIZING) | DO_BUS_ENUMERATED_DEVICE;
    }
    return status;
}

NTSTATUS IopEnumerate(ULONG location, PDEVICE_OBJECT *device) {
    const BOOT_PCI_FUNCTION *function = HalpFindFunction(location);
    *device = IopFindPdo(location);
    if (*device != NULL) {
        return STATUS_SUCCESS;
    }
    if (function == NULL) {
        return STATUS_NO_SUCH_DEVICE;
    }
    NTSTATUS status = IopCreatePdo(location, device);
    if (NT_SUCCESS(status)) {
        IopPdoOf(*device)->Function = function;
        IopPdoOf(*device)->Pin = function->IoApicPin;
    }
    return status;
}

/* The same resources are the same device. */
NTSTATUS IopEnumerateIsa(const IOP_ISA *isa, PDEVICE_OBJECT *device) {
    ULONG location = IOP_ISA_LOCATION;
    for (; (*device = IopFindPdo(location)) != NULL; location += 8) {
        if (memcmp(&IopPdoOf(*device)->Isa, isa, sizeof *isa) == 0) {
            return STATUS_SUCCESS;
        }
    }
    NTSTATUS status = IopCreatePdo(location, device);
    if (NT_SUCCESS(status)) {
        IOP_PDO *pdo = IopPdoOf(*device);
        pdo->Isa = *isa;
        pdo->Pin = isa->Irq == IOP_NONE ? BOOT_NO_PIN : isa->Irq == 0 ? 2 : isa->Irq;
    }
    return status;
}
