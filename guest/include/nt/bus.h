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

/* NOLINTEND(readability-redundant-declaration) */
