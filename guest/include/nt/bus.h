/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buses: the contracts (see ../nt.h). READ_PORT_UCHAR and its kin, READ_REGISTER_UCHAR and its kin, the BUFFER forms too: any IRQL;
 * the DDK's headers for x64 have them inline, so no prototype stands here.
 */
#pragma once

#include "../ddk.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/*
 * IRQL <= DISPATCH_LEVEL. PCIConfiguration only, bus 0, SlotNumber a PCI_SLOT_NUMBER. Return the bytes transferred; 0: no such kind
 * of data, no such bus; 2 of a slot that is empty, with PCI_INVALID_VENDORID in the buffer.
 */
ULONG NTAPI HalGetBusData(BUS_DATA_TYPE BusDataType, ULONG BusNumber, ULONG SlotNumber, PVOID Buffer, ULONG Length);
ULONG NTAPI HalSetBusData(BUS_DATA_TYPE BusDataType, ULONG BusNumber, ULONG SlotNumber, PVOID Buffer, ULONG Length);
ULONG NTAPI HalGetBusDataByOffset(BUS_DATA_TYPE BusDataType, ULONG BusNumber, ULONG SlotNumber, PVOID Buffer,
                                  ULONG Offset, ULONG Length);
ULONG NTAPI HalSetBusDataByOffset(BUS_DATA_TYPE BusDataType, ULONG BusNumber, ULONG SlotNumber, PVOID Buffer,
                                  ULONG Offset, ULONG Length);
/* Any IRQL. Ports are ports, memory is memory, at the same address. FALSE: no such bus. */
BOOLEAN NTAPI HalTranslateBusAddress(INTERFACE_TYPE InterfaceType, ULONG BusNumber, PHYSICAL_ADDRESS BusAddress,
                                     PULONG AddressSpace, PPHYSICAL_ADDRESS TranslatedAddress);
/*
 * PASSIVE_LEVEL. The list of what a PCI function has, raw, for a legacy driver: BARs and line. The caller frees it. STATUS_NO_SUCH_DEVICE: an
 * empty slot; STATUS_INVALID_PARAMETER: another bus.
 */
NTSTATUS NTAPI HalAssignSlotResources(PUNICODE_STRING RegistryPath, PUNICODE_STRING DriverClassName,
                                      PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT DeviceObject, INTERFACE_TYPE BusType,
                                      ULONG BusNumber, ULONG SlotNumber, PCM_RESOURCE_LIST *AllocatedResources);

/*
 * PASSIVE_LEVEL. STATUS_INVALID_DEVICE_REQUEST: not the bottom of a device's stack. STATUS_BUFFER_TOO_SMALL: *ResultLength says
 * what it takes. STATUS_OBJECT_NAME_NOT_FOUND: a property that only an installation would have written.
 */
NTSTATUS NTAPI IoGetDeviceProperty(PDEVICE_OBJECT DeviceObject, DEVICE_REGISTRY_PROPERTY DeviceProperty,
                                   ULONG BufferLength, PVOID PropertyBuffer, PULONG ResultLength);
/*
 * IRQL <= DISPATCH_LEVEL. The device's stack is asked by IRP_MN_QUERY_PNP_DEVICE_STATE soon, in a worker thread; a started device that has
 * failed or is to be removed gets IRP_MN_SURPRISE_REMOVAL and IRP_MN_REMOVE_DEVICE.
 */
VOID NTAPI IoInvalidateDeviceState(PDEVICE_OBJECT PhysicalDeviceObject);
/* PASSIVE_LEVEL. Accepted: nobody asks by WMI. */
NTSTATUS NTAPI IoWMIRegistrationControl(PDEVICE_OBJECT DeviceObject, ULONG Action);

/* NOLINTEND(readability-redundant-declaration) */
