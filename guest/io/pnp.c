/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a Plug and Play manager that a function driver meets: AddDevice, then the PnP IRPs that start, stop and remove a device,
 * each sent to the top of its stack and waited for. PASSIVE_LEVEL; one device at a time changes its state.
 */
#include "iop.h"

static KEVENT IopPnpLock; /* synchronization: APCs go on, whoever completes one of the IRPs may need them */

VOID IopInitialize(VOID) {
    KeInitializeEvent(&IopPnpLock, SynchronizationEvent, TRUE);
    IopInitializeBus();
    IopInitializeWork();
    IopInitializeThreadIrps();
    IopInitializeDma();
}

static VOID IopLockPnp(VOID) {
    KeWaitForSingleObject(&IopPnpLock, Executive, KernelMode, FALSE, NULL);
}

static VOID IopUnlockPnp(VOID) {
    KeSetEvent(&IopPnpLock, IO_NO_INCREMENT, FALSE);
}

NTSTATUS IopSendPnp(PDEVICE_OBJECT pdo, const IO_STACK_LOCATION *what, ULONG_PTR *information) {
    PDEVICE_OBJECT top = IoGetAttachedDevice(pdo);
    PIRP irp = IoAllocateIrp((CCHAR)(top->StackSize + 1), FALSE);
    if (irp == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    irp->IoStatus.Information = information != NULL ? *information : 0;
    IoSetNextIrpStackLocation(irp); /* a location of our own, so that the forwarding below has one to copy from */
    PIO_STACK_LOCATION own = IoGetCurrentIrpStackLocation(irp);
    *own = *what;
    own->MajorFunction = IRP_MJ_PNP;
    IoForwardIrpSynchronously(top, irp);
    NTSTATUS status = irp->IoStatus.Status;
    if (information != NULL) {
        *information = irp->IoStatus.Information;
    }
    IoFreeIrp(irp);
    return status;
}

static NTSTATUS IopSendMinor(PDEVICE_OBJECT pdo, UCHAR minor) {
    IO_STACK_LOCATION what = {.MinorFunction = minor};
    return IopSendPnp(pdo, &what, NULL);
}

/* What interrupts the drivers of the stack leave the device: they see what it could have, and may take some of that away. */
static NTSTATUS IopFilterRequirements(PDEVICE_OBJECT device, ULONG *messages, BOOLEAN *line) {
    PIO_RESOURCE_REQUIREMENTS_LIST list = IopBuildRequirements(IopPdoOf(device));
    if (list == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    IO_STACK_LOCATION what = {.MinorFunction = IRP_MN_FILTER_RESOURCE_REQUIREMENTS};
    what.Parameters.FilterResourceRequirements.IoResourceRequirementList = list;
    ULONG_PTR answer = (ULONG_PTR)list;
    NTSTATUS status = IopSendPnp(device, &what, &answer);
    if (NT_SUCCESS(status) && answer != 0) {
        list = (PIO_RESOURCE_REQUIREMENTS_LIST)answer; /* whoever makes another frees the old one */
    }
    IopReadRequirements(list, messages, line);
    ExFreePoolWithTag(list, 0);
    return NT_SUCCESS(status) || status == STATUS_NOT_SUPPORTED ? STATUS_SUCCESS : status;
}

static NTSTATUS IopSendStart(PDEVICE_OBJECT device) {
    IOP_PDO *pdo = IopPdoOf(device);
    ULONG messages;
    BOOLEAN line;
    NTSTATUS status = IopFilterRequirements(device, &messages, &line);
    if (NT_SUCCESS(status)) {
        status = IopAssignInterrupts(pdo, messages, line);
    }
    if (!NT_SUCCESS(status)) {
        return status;
    }
    IO_STACK_LOCATION what = {.MinorFunction = IRP_MN_START_DEVICE};
    PCM_RESOURCE_LIST raw = IopBuildResources(pdo, FALSE);
    PCM_RESOURCE_LIST translated = IopBuildResources(pdo, TRUE);
    status = STATUS_INSUFFICIENT_RESOURCES;
    if (raw != NULL && translated != NULL) {
        what.Parameters.StartDevice.AllocatedResources = raw;
        what.Parameters.StartDevice.AllocatedResourcesTranslated = translated;
        status = IopSendPnp(device, &what, NULL);
    }
    if (raw != NULL) {
        ExFreePoolWithTag(raw, POOL_TAG_RESOURCES);
    }
    if (translated != NULL) {
        ExFreePoolWithTag(translated, POOL_TAG_RESOURCES);
    }
    if (NT_SUCCESS(status)) {
        pdo->State = IopStarted;
    }
    return status;
}

/* What the driver has left connected is disconnected, and its vectors are free again. */
static VOID IopTakeInterruptsBack(IOP_PDO *pdo, const char *when) {
    if (pdo->MessageInterrupt[0] != NULL) {
        DbgPrint("io: %wZ left its interrupts connected when its device was %s\n", &pdo->Driver->DriverName, when);
        IopDisconnectMessages(pdo, NULL);
    }
    IopForceOff(pdo, 0, 0, &pdo->Driver->DriverName);
    IopReleaseInterrupts(pdo);
}

static VOID IopSendRemove(PDEVICE_OBJECT device) {
    IOP_PDO *pdo = IopPdoOf(device);
    IopSendMinor(device, IRP_MN_REMOVE_DEVICE);
    IopTakeInterruptsBack(pdo, "removed");
    pdo->Driver = NULL;
    pdo->State = IopNotStarted;
}

static NTSTATUS IopStart(PDRIVER_OBJECT driver, PDEVICE_OBJECT device, ULONG64 *added, ULONG64 *started) {
    IOP_PDO *pdo = IopPdoOf(device);
    BOOLEAN again = pdo->Driver == driver && pdo->State == IopStopped;
    if (pdo->Driver != NULL && !again) {
        return STATUS_DEVICE_BUSY;
    }
    if (!again) {
        pdo->Driver = driver; /* whose AddDevice may open the device's registry key */
        NTSTATUS status = driver->DriverExtension->AddDevice(driver, device);
        *added = (ULONG)status;
        if (!NT_SUCCESS(status)) {
            pdo->Driver = NULL;
            return STATUS_SUCCESS;
        }
    }
    *started = (ULONG)IopSendStart(device);
    if (!NT_SUCCESS((NTSTATUS)*started)) {
        IopSendRemove(device);
    }
    return STATUS_SUCCESS;
}

static NTSTATUS IopFindPnpDriver(ULONG64 image_base, PDRIVER_OBJECT *driver) {
    *driver = IopFindDriver(image_base);
    if (*driver == NULL) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    return (*driver)->DriverExtension->AddDevice != NULL ? STATUS_SUCCESS : STATUS_INVALID_DEVICE_REQUEST;
}

NTSTATUS IopStartDevice(ULONG64 image_base, ULONG location, ULONG64 *added, ULONG64 *started) {
    PDRIVER_OBJECT driver;
    PDEVICE_OBJECT device;
    *added = 0;
    *started = 0;
    IopLockPnp();
    NTSTATUS status = IopFindPnpDriver(image_base, &driver);
    if (NT_SUCCESS(status)) {
        status = IopEnumerate(location, &device);
    }
    if (NT_SUCCESS(status)) {
        status = IopStart(driver, device, added, started);
    }
    IopUnlockPnp();
    return status;
}

NTSTATUS IopStartIsaDevice(ULONG64 image_base, const IOP_ISA *isa, ULONG64 *location, ULONG64 *added,
                           ULONG64 *started) {
    PDRIVER_OBJECT driver;
    PDEVICE_OBJECT device;
    *added = 0;
    *started = 0;
    IopLockPnp();
    NTSTATUS status = IopFindPnpDriver(image_base, &driver);
    if (NT_SUCCESS(status)) {
        status = IopEnumerateIsa(isa, &device);
    }
    if (NT_SUCCESS(status)) {
        *location = IopPdoOf(device)->Location;
        status = IopStart(driver, device, added, started);
    }
    IopUnlockPnp();
    return status;
}

/* The lock is taken where it succeeds. */
static NTSTATUS IopFindStarted(ULONG location, PDEVICE_OBJECT *device) {
    IopLockPnp();
    *device = IopFindPdo(location);
    if (*device != NULL && IopPdoOf(*device)->Driver != NULL) {
        return STATUS_SUCCESS;
    }
    IopUnlockPnp();
    return STATUS_NO_SUCH_DEVICE;
}

/* A query, and what takes it back where somebody says no. */
static NTSTATUS IopAsk(PDEVICE_OBJECT device, UCHAR query, UCHAR cancel) {
    NTSTATUS status = IopSendMinor(device, query);
    if (!NT_SUCCESS(status)) {
        IopSendMinor(device, cancel);
    }
    return status;
}

NTSTATUS IopStopDevice(ULONG location, ULONG64 *answer) {
    PDEVICE_OBJECT device;
    NTSTATUS status = IopFindStarted(location, &device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    IOP_PDO *pdo = IopPdoOf(device);
    if (pdo->State != IopStarted) {
        status = STATUS_INVALID_DEVICE_STATE;
    } else {
        *answer = (ULONG)IopAsk(device, IRP_MN_QUERY_STOP_DEVICE, IRP_MN_CANCEL_STOP_DEVICE);
    }
    if (NT_SUCCESS(status) && NT_SUCCESS((NTSTATUS)*answer)) {
        IopSendMinor(device, IRP_MN_STOP_DEVICE);
        IopTakeInterruptsBack(pdo, "stopped");
        pdo->State = IopStopped;
    }
    IopUnlockPnp();
    return status;
}

NTSTATUS IopRemoveDevice(ULONG location, ULONG64 *answer) {
    PDEVICE_OBJECT device;
    NTSTATUS status = IopFindStarted(location, &device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    *answer = STATUS_SUCCESS;
    if (IopPdoOf(device)->State != IopGone) { /* what is gone is not asked whether it may go */
        *answer = (ULONG)IopAsk(device, IRP_MN_QUERY_REMOVE_DEVICE, IRP_MN_CANCEL_REMOVE_DEVICE);
    }
    if (NT_SUCCESS((NTSTATUS)*answer)) {
        IopSendRemove(device);
    }
    IopUnlockPnp();
    return STATUS_SUCCESS;
}

NTSTATUS IopSurpriseRemoveDevice(ULONG location) {
    PDEVICE_OBJECT device;
    NTSTATUS status = IopFindStarted(location, &device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (IopPdoOf(device)->State == IopGone) {
        status = STATUS_INVALID_DEVICE_STATE;
    } else {
        IopSendMinor(device, IRP_MN_SURPRISE_REMOVAL);
        IopTakeInterruptsBack(IopPdoOf(device), "gone");
        IopPdoOf(device)->State = IopGone;
    }
    IopUnlockPnp();
    return status;
}

/* A device that its drivers say has failed, or is to be gone, goes as one that was pulled out does, and then is removed. */
VOID IopReadDeviceState(PDEVICE_OBJECT device) {
    IO_STACK_LOCATION what = {.MinorFunction = IRP_MN_QUERY_PNP_DEVICE_STATE};
    ULONG_PTR state = 0;
    IopLockPnp();
    IOP_PDO *pdo = IopPdoOf(device);
    if (pdo->Driver != NULL && pdo->State == IopStarted && NT_SUCCESS(IopSendPnp(device, &what, &state)) &&
        (state & (PNP_DEVICE_FAILED | PNP_DEVICE_REMOVED)) != 0) {
        IopSendMinor(device, IRP_MN_SURPRISE_REMOVAL);
        IopTakeInterruptsBack(pdo, "gone");
        IopSendRemove(device);
    }
    IopUnlockPnp();
}

VOID IopRemoveDevices(PDRIVER_OBJECT driver) {
    IopLockPnp();
    for (PDEVICE_OBJECT device = IopFirstPdo(); device != NULL; device = device->NextDevice) {
        if (IopPdoOf(device)->Driver == driver) {
            IopSendRemove(device);
        }
    }
    IopUnlockPnp();
}
