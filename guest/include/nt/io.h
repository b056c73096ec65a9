/* SPDX-License-Identifier: Apache-2.0 */
/* Devices and IRPs: the contracts (see ../nt.h). */
#pragma once

#include "../ddk.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/* Devices and IRPs (io/device.c, io/irp.c). IRQL <= DISPATCH_LEVEL; creating and stacking devices: PASSIVE_LEVEL. */

NTSTATUS NTAPI IoCreateDevice(PDRIVER_OBJECT DriverObject, ULONG DeviceExtensionSize, PUNICODE_STRING DeviceName,
                              DEVICE_TYPE DeviceType, ULONG DeviceCharacteristics, BOOLEAN Exclusive,
                              PDEVICE_OBJECT *DeviceObject);
VOID NTAPI IoDeleteDevice(PDEVICE_OBJECT DeviceObject);
PDEVICE_OBJECT NTAPI IoAttachDeviceToDeviceStack(PDEVICE_OBJECT SourceDevice, PDEVICE_OBJECT TargetDevice);
VOID NTAPI IoDetachDevice(PDEVICE_OBJECT TargetDevice);
PDEVICE_OBJECT NTAPI IoGetAttachedDevice(PDEVICE_OBJECT DeviceObject);
NTSTATUS NTAPI IoAttachDeviceToDeviceStackSafe(PDEVICE_OBJECT SourceDevice, PDEVICE_OBJECT TargetDevice,
                                               PDEVICE_OBJECT *AttachedToDeviceObject);
/* The device comes referenced; the lower one may be NULL. */
PDEVICE_OBJECT NTAPI IoGetAttachedDeviceReference(PDEVICE_OBJECT DeviceObject);
PDEVICE_OBJECT NTAPI IoGetLowerDeviceObject(PDEVICE_OBJECT DeviceObject);
/*
 * Whether the sender of IRP_MJ_DEVICE_CONTROL or IRP_MJ_FILE_SYSTEM_CONTROL opened its file for FILE_READ_ACCESS, FILE_WRITE_ACCESS or both;
 * whoever is in kernel mode may do anything. Any IRQL. STATUS_INVALID_PARAMETER for other requests and accesses.
 */
NTSTATUS NTAPI IoValidateDeviceIoControlAccess(PIRP Irp, ULONG RequiredAccess);
/*
 * An IRP of one's own: Initialize, for storage that is not IoAllocateIrp's, and Reuse, for one that is over. Associated: when the last
 * of them (AssociatedIrp.IrpCount of the master, which its driver sets) is completed, so is the master.
 */
VOID NTAPI IoInitializeIrp(PIRP Irp, USHORT PacketSize, CCHAR StackSize);
VOID NTAPI IoReuseIrp(PIRP Irp, NTSTATUS Iostatus);
PIRP NTAPI IoMakeAssociatedIrp(PIRP Irp, CCHAR StackSize);
PIRP NTAPI IoAllocateIrp(CCHAR StackSize, BOOLEAN ChargeQuota);
VOID NTAPI IoFreeIrp(PIRP Irp);
NTSTATUS FASTCALL IofCallDriver(PDEVICE_OBJECT DeviceObject, PIRP Irp);
VOID FASTCALL IofCompleteRequest(PIRP Irp, CCHAR PriorityBoost); /* the caller holds no spin lock (SPIN-17) */
/* PASSIVE_LEVEL; waits until the drivers below have completed the IRP. FALSE: it has no stack location left. */
BOOLEAN NTAPI IoForwardIrpSynchronously(PDEVICE_OBJECT DeviceObject, PIRP Irp);

/* NOLINTEND(readability-redundant-declaration) */
