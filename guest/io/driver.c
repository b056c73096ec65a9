/* SPDX-License-Identifier: Apache-2.0 */
/* Driver objects: made before DriverEntry, gone after DriverUnload. */
#include "iop.h"

#include "../ex/worker.h"
#include "../include/mutant.h"
#include "../ldr/ldr.h"

#define IOP_REGISTRY_PATH   L"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\"
#define IOP_NAME_CHARACTERS 40

typedef struct _IOP_DRIVER {
    DRIVER_OBJECT Object; /* first: the object is what drivers know */
    struct _IOP_DRIVER *Next;
    DRIVER_EXTENSION Extension;
    volatile LONG Work; /* work items in its name, and one more until it is unloaded */
    KEVENT WorkDone;    /* the last of them, after that */
    SINGLE_LIST_ENTRY Extensions;
    volatile LONG Opens;                 /* of its devices, and of stacks that it has the top of */
    WCHAR Name[8 + IOP_NAME_CHARACTERS]; /* \Driver\name */
    WCHAR RegistryPath[RTL_NUMBER_OF(IOP_REGISTRY_PATH) + IOP_NAME_CHARACTERS];
    UNICODE_STRING RegistryString;
} IOP_DRIVER;

OBJECT_TYPE IopDriverType = {.Self = &IopDriverType, .Name = "Driver", .Tag = 'virD'};
NT_EXPORT_AS(&IopDriverType, IoDriverObjectType);

static IOP_DRIVER *IopDrivers; /* changed by the boot CPU's loop alone */

/* A request that no driver answers (the default of every MajorFunction slot). */
static NTSTATUS NTAPI IopInvalidRequest(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    UNREFERENCED_PARAMETER(DeviceObject);
    Irp->IoStatus.Status = STATUS_INVALID_DEVICE_REQUEST;
    Irp->IoStatus.Information = 0;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_INVALID_DEVICE_REQUEST;
}

static VOID IopAppend(WCHAR *text, UNICODE_STRING *string, const WCHAR *prefix, const char *name) {
    ULONG length = 0;
    for (; prefix[length] != 0; length++) {
        text[length] = prefix[length];
    }
    for (ULONG i = 0; i < IOP_NAME_CHARACTERS - 1 && name[i] != 0 && name[i] != '.'; i++) {
        text[length++] = (UCHAR)name[i];
    }
    text[length] = 0;
    string->Buffer = text;
    string->Length = (USHORT)(length * sizeof(WCHAR));
    string->MaximumLength = (USHORT)((length + 1) * sizeof(WCHAR));
}

NTSTATUS IopCreateDriverObject(const char *name, ULONG64 base, ULONG64 size, PDRIVER_OBJECT *driver) {
    IOP_DRIVER *entry = ObCreateObject(&IopDriverType, sizeof *entry);
    if (entry == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    entry->Object.Type = IO_TYPE_DRIVER;
    entry->Object.Size = sizeof(DRIVER_OBJECT);
    entry->Object.DriverStart = (PVOID)base;
    entry->Object.DriverSize = (ULONG)size;
    entry->Object.DriverExtension = &entry->Extension;
    entry->Extension.DriverObject = &entry->Object;
    IopAppend(entry->Name, &entry->Object.DriverName, L"\\Driver\\", name);
    IopAppend(entry->RegistryPath, &entry->RegistryString, IOP_REGISTRY_PATH, name);
    for (ULONG i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++) {
        entry->Object.MajorFunction[i] = IopInvalidRequest;
    }
    entry->Work = 1;
    KeInitializeEvent(&entry->WorkDone, SynchronizationEvent, FALSE);
    entry->Next = IopDrivers;
    IopDrivers = entry;
    *driver = &entry->Object;
    return STATUS_SUCCESS;
}

static VOID IopDeleteDriverObject(PDRIVER_OBJECT driver) {
    IOP_DRIVER *entry = CONTAINING_RECORD(driver, IOP_DRIVER, Object);
    IOP_DRIVER **link = &IopDrivers;
    while (*link != entry) {
        link = &(*link)->Next;
    }
    *link = entry->Next;
    IopFreeExtensions(driver);
    ObfDereferenceObject(driver);
}

PDRIVER_OBJECT IopFindDriver(ULONG64 image_base) {
    for (IOP_DRIVER *entry = IopDrivers; entry != NULL; entry = entry->Next) {
        if ((ULONG64)entry->Object.DriverStart == image_base) {
            return &entry->Object;
        }
    }
    return NULL;
}

static BOOLEAN IopKeepsDevice(PVOID object) {
    return ((PDEVICE_OBJECT)object)->Type == IO_TYPE_DEVICE &&
        !MUTANT(WorkForgetsDevice, "WORK-3", "a work item does not keep its device object");
}

/* Of both kinds of objects: the driver. */
static IOP_DRIVER *IopDriverOf(PVOID object) {
    PDEVICE_OBJECT device = object;
    PDRIVER_OBJECT driver = device->Type == IO_TYPE_DEVICE ? device->DriverObject : object;
    return CONTAINING_RECORD(driver, IOP_DRIVER, Object);
}

VOID IopBeginWork(PVOID object) {
    /* Relaxed: whoever begins work knows that the object is there. */
    __atomic_add_fetch(&IopDriverOf(object)->Work, 1, __ATOMIC_RELAXED);
    if (IopKeepsDevice(object)) {
        ObfReferenceObject(object);
    }
}

static VOID IopDropWork(IOP_DRIVER *driver) {
    /* Both: what the work did comes before the end of the driver. */
    if (__atomic_sub_fetch(&driver->Work, 1, __ATOMIC_ACQ_REL) == 0) {
        KeSetEvent(&driver->WorkDone, IO_NO_INCREMENT, FALSE);
    }
}

VOID IopEndWork(PVOID object) {
    IOP_DRIVER *driver = IopDriverOf(object);
    if (IopKeepsDevice(object)) {
        ObfDereferenceObject(object);
    }
    IopDropWork(driver);
}

/* No routine of the image runs, or is to run, in a worker thread. */
static VOID IopWaitForWork(IOP_DRIVER *driver) {
    IopDropWork(driver);
    KeWaitForSingleObject(&driver->WorkDone, Executive, KernelMode, FALSE, NULL);
    ExWaitForWork((ULONG64)driver->Object.DriverStart, driver->Object.DriverSize);
}

NTSTATUS IopStartDriver(const LDR_IMAGE *image) {
    PDRIVER_OBJECT driver;
    NTSTATUS status = IopCreateDriverObject(image->Name, image->Base, image->Size, &driver);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    driver->DriverInit = (PDRIVER_INITIALIZE)image->EntryPoint;
    status = driver->DriverInit(driver, &CONTAINING_RECORD(driver, IOP_DRIVER, Object)->RegistryString);
    for (PDEVICE_OBJECT device = driver->DeviceObject; NT_SUCCESS(status) && device != NULL;
         device = device->NextDevice) {
        device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING; /* of devices made elsewhere the driver clears it */
    }
    if (!NT_SUCCESS(status)) {
        IopForceOff(NULL, image->Base, image->Size, &driver->DriverName);
        IopWaitForWork(CONTAINING_RECORD(driver, IOP_DRIVER, Object));
        while (driver->DeviceObject != NULL) { /* what a failing DriverEntry forgot must not point into the image */
            IoDeleteDevice(driver->DeviceObject);
        }
        IopDeleteDriverObject(driver);
    }
    return status;
}

static IOP_DRIVER *IopEntryOf(PDRIVER_OBJECT driver) {
    return CONTAINING_RECORD(driver, IOP_DRIVER, Object);
}

PSINGLE_LIST_ENTRY IopExtensionsOf(PDRIVER_OBJECT driver) {
    return &IopEntryOf(driver)->Extensions;
}

VOID IopBeginOpen(PDRIVER_OBJECT driver) {
    __atomic_add_fetch(&IopEntryOf(driver)->Opens, 1, __ATOMIC_RELAXED); /* whoever opens knows that it is there */
}

VOID IopEndOpen(PDRIVER_OBJECT driver) {
    __atomic_sub_fetch(&IopEntryOf(driver)->Opens, 1, __ATOMIC_RELEASE); /* what was done with the file comes before */
}

NTSTATUS IopStopDriver(const LDR_IMAGE *image) {
    PDRIVER_OBJECT driver = IopFindDriver(image->Base);
    if (driver == NULL) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    if (driver->DriverUnload == NULL) {
        return STATUS_INVALID_DEVICE_REQUEST; /* a driver without DriverUnload stays */
    }
    ObDeleteDeferred(); /* a file whose last request ended at DISPATCH_LEVEL is closed, only not told yet */
    LONG opens = __atomic_load_n(&IopEntryOf(driver)->Opens, __ATOMIC_ACQUIRE);
    if (opens != 0) {
        DbgPrint("io: %wZ is not unloaded: files of its devices are open\n", &driver->DriverName);
        return STATUS_DEVICE_BUSY; /* and may be asked to unload again */
    }
    PDRIVER_UNLOAD unload = driver->DriverUnload;
    driver->DriverUnload = NULL; /* once only, whatever comes of it */
    IopRemoveDevices(driver);
    unload(driver);
    IopForceOff(NULL, image->Base, image->Size, &driver->DriverName);
    KeFlushQueuedDpcs(); /* a DPC that the driver left behind does not outlive its image, nor does work */
    IopWaitForWork(CONTAINING_RECORD(driver, IOP_DRIVER, Object));
    if (driver->DeviceObject != NULL) {
        DbgPrint("io: %wZ left a device object behind after DriverUnload\n", &driver->DriverName);
        return STATUS_DEVICE_BUSY;
    }
    IopDeleteDriverObject(driver);
    return STATUS_SUCCESS;
}
