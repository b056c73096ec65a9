/* SPDX-License-Identifier: Apache-2.0 */
/* Device objects and how they are stacked. */
#include "startio.h"

#define POOL_TAG_DEVICE 'iveD'

typedef struct _IOP_DEVICE {
    DEVICE_OBJECT Object;
    IOP_DEVICE_EXTENSION Extension;
    PDEVICE_OBJECT Below; /* what this one is attached to */
    ULONG References;     /* IopDeviceLock's: it is there until IoDeleteDevice, and for each work item in its name */
    __attribute__((aligned(16))) UCHAR DriverExtension[];
} IOP_DEVICE;

static KSPIN_LOCK IopDeviceLock; /* the drivers' device lists and the stacks */

NTSTATUS NTAPI IoCreateDevice(PDRIVER_OBJECT DriverObject, ULONG DeviceExtensionSize, PUNICODE_STRING DeviceName,
                              DEVICE_TYPE DeviceType, ULONG DeviceCharacteristics, BOOLEAN Exclusive,
                              PDEVICE_OBJECT *DeviceObject) {
    UNREFERENCED_PARAMETER(DeviceName); /* devices are reached through their stack; nothing opens them by name */
    IOP_DEVICE *device = ExAllocatePoolWithTag(NonPagedPool, sizeof *device + DeviceExtensionSize, POOL_TAG_DEVICE);
    *DeviceObject = NULL;
    if (device == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    RtlZeroMemory(device, sizeof *device + DeviceExtensionSize);
    device->Object.Type = IO_TYPE_DEVICE;
    device->Object.Size = (USHORT)(sizeof(DEVICE_OBJECT) + DeviceExtensionSize);
    device->Object.DriverObject = DriverObject;
    device->Object.DeviceExtension = DeviceExtensionSize != 0 ? device->DriverExtension : NULL;
    device->Object.DeviceType = DeviceType;
    device->Object.Characteristics = DeviceCharacteristics;
    device->Object.Flags = DO_DEVICE_INITIALIZING | (Exclusive ? DO_EXCLUSIVE : 0);
    device->Object.StackSize = 1;
    device->Object.DeviceObjectExtension = &device->Extension.Public;
    device->Extension.Public.Type = IO_TYPE_DEVICE_OBJECT_EXTENSION;
    device->Extension.Public.Size = sizeof device->Extension;
    device->Extension.Public.DeviceObject = &device->Object;
    KeInitializeDeviceQueue(&device->Object.DeviceQueue);
    device->References = 1;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&IopDeviceLock);
    device->Object.NextDevice = DriverObject->DeviceObject;
    DriverObject->DeviceObject = &device->Object;
    KeReleaseSpinLock(&IopDeviceLock, irql);
    *DeviceObject = &device->Object;
    return STATUS_SUCCESS;
}
NT_EXPORT(IoCreateDevice);

VOID IopReferenceDevice(PDEVICE_OBJECT device) {
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&IopDeviceLock);
    CONTAINING_RECORD(device, IOP_DEVICE, Object)->References++;
    KeReleaseSpinLock(&IopDeviceLock, irql);
}

VOID IopDereferenceDevice(PDEVICE_OBJECT device) {
    IOP_DEVICE *entry = CONTAINING_RECORD(device, IOP_DEVICE, Object);
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&IopDeviceLock);
    BOOLEAN last = --entry->References == 0;
    KeReleaseSpinLock(&IopDeviceLock, irql);
    if (last) {
        ExFreePoolWithTag(entry, POOL_TAG_DEVICE);
    }
}

VOID NTAPI IoDeleteDevice(PDEVICE_OBJECT DeviceObject) {
    IopDeleteTimer(DeviceObject);
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&IopDeviceLock);
    PDEVICE_OBJECT *link = &DeviceObject->DriverObject->DeviceObject;
    while (*link != DeviceObject) {
        link = &(*link)->NextDevice;
    }
    *link = DeviceObject->NextDevice;
    KeReleaseSpinLock(&IopDeviceLock, irql);
    KeRemoveQueueDpc(&DeviceObject->Dpc);
    IopDereferenceDevice(DeviceObject);
}
NT_EXPORT(IoDeleteDevice);

PDEVICE_OBJECT NTAPI IoAttachDeviceToDeviceStack(PDEVICE_OBJECT SourceDevice, PDEVICE_OBJECT TargetDevice) {
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&IopDeviceLock);
    PDEVICE_OBJECT top = TargetDevice;
    while (top->AttachedDevice != NULL) {
        top = top->AttachedDevice;
    }
    top->AttachedDevice = SourceDevice;
    CONTAINING_RECORD(SourceDevice, IOP_DEVICE, Object)->Below = top;
    SourceDevice->StackSize = (CCHAR)(top->StackSize + 1);
    SourceDevice->AlignmentRequirement = top->AlignmentRequirement;
    KeReleaseSpinLock(&IopDeviceLock, irql);
    return top;
}
NT_EXPORT(IoAttachDeviceToDeviceStack);

VOID NTAPI IoDetachDevice(PDEVICE_OBJECT TargetDevice) {
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&IopDeviceLock);
    if (TargetDevice->AttachedDevice != NULL) {
        CONTAINING_RECORD(TargetDevice->AttachedDevice, IOP_DEVICE, Object)->Below = NULL;
        TargetDevice->AttachedDevice = NULL;
    }
    KeReleaseSpinLock(&IopDeviceLock, irql);
}
NT_EXPORT(IoDetachDevice);

PDEVICE_OBJECT NTAPI IoGetAttachedDevice(PDEVICE_OBJECT DeviceObject) {
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&IopDeviceLock);
    while (DeviceObject->AttachedDevice != NULL) {
        DeviceObject = DeviceObject->AttachedDevice;
    }
    KeReleaseSpinLock(&IopDeviceLock, irql);
    return DeviceObject;
}
NT_EXPORT(IoGetAttachedDevice);
