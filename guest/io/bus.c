/* SPDX-License-Identifier: Apache-2.0 */
/* Buses as legacy drivers ask for them: PCI configuration space by slot, bus addresses, what a slot has. */
#include "iop.h"

#include "../hal/hal.h"

/* A PCI_SLOT_NUMBER has the device in its low five bits. FALSE: not on the one bus that there is. */
static BOOLEAN IopLocationOf(BUS_DATA_TYPE type, ULONG bus, ULONG slot, ULONG *location) {
    *location = (slot & 0x1fu) << 3 | (slot >> 5 & 7u);
    return type == PCIConfiguration && bus == 0;
}

ULONG IopReadConfig(ULONG location, PUCHAR buffer, ULONG offset, ULONG length) {
    ULONG done = 0;
    for (; done < length && offset + done < sizeof(PCI_COMMON_CONFIG); done++) {
        ULONG at = offset + done;
        buffer[done] = (UCHAR)(HalpReadConfig(location, at & ~3u) >> (at & 3u) * 8);
    }
    return done;
}

ULONG IopWriteConfig(ULONG location, const UCHAR *buffer, ULONG offset, ULONG length) {
    ULONG done = 0;
    while (done < length && offset + done < sizeof(PCI_COMMON_CONFIG)) {
        ULONG at = offset + done;
        ULONG bytes = HalpWriteConfigPart(location, at, buffer + done, length - done);
        done += bytes;
    }
    return done;
}

ULONG NTAPI HalGetBusDataByOffset(BUS_DATA_TYPE BusDataType, ULONG BusNumber, ULONG SlotNumber, PVOID Buffer,
                                  ULONG Offset, ULONG Length) {
    ULONG location;
    if (!IopLocationOf(BusDataType, BusNumber, SlotNumber, &location)) {
        return 0;
    }
    if ((HalpReadConfig(location, 0) & 0xffffu) == PCI_INVALID_VENDORID) {
        if (Length < sizeof(USHORT)) {
            return 0;
        }
        *(USHORT *)Buffer = PCI_INVALID_VENDORID;
        return sizeof(USHORT);
    }
    return IopReadConfig(location, Buffer, Offset, Length);
}
NT_EXPORT(HalGetBusDataByOffset);

ULONG NTAPI HalGetBusData(BUS_DATA_TYPE BusDataType, ULONG BusNumber, ULONG SlotNumber, PVOID Buffer, ULONG Length) {
    return HalGetBusDataByOffset(BusDataType, BusNumber, SlotNumber, Buffer, 0, Length);
}
NT_EXPORT(HalGetBusData);

ULONG NTAPI HalSetBusDataByOffset(BUS_DATA_TYPE BusDataType, ULONG BusNumber, ULONG SlotNumber, PVOID Buffer,
                                  ULONG Offset, ULONG Length) {
    ULONG location;
    if (!IopLocationOf(BusDataType, BusNumber, SlotNumber, &location) ||
        (HalpReadConfig(location, 0) & 0xffffu) == PCI_INVALID_VENDORID) {
        return 0;
    }
    return IopWriteConfig(location, Buffer, Offset, Length);
}
NT_EXPORT(HalSetBusDataByOffset);

ULONG NTAPI HalSetBusData(BUS_DATA_TYPE BusDataType, ULONG BusNumber, ULONG SlotNumber, PVOID Buffer, ULONG Length) {
    return HalSetBusDataByOffset(BusDataType, BusNumber, SlotNumber, Buffer, 0, Length);
}
NT_EXPORT(HalSetBusData);

BOOLEAN NTAPI HalTranslateBusAddress(INTERFACE_TYPE InterfaceType, ULONG BusNumber, PHYSICAL_ADDRESS BusAddress,
                                     PULONG AddressSpace, PPHYSICAL_ADDRESS TranslatedAddress) {
    if ((InterfaceType != PCIBus && InterfaceType != Isa && InterfaceType != Internal) || BusNumber != 0 ||
        *AddressSpace > 1) {
        return FALSE;
    }
    *TranslatedAddress = BusAddress;
    return TRUE;
}
NT_EXPORT(HalTranslateBusAddress);

NTSTATUS NTAPI HalAssignSlotResources(PUNICODE_STRING RegistryPath, PUNICODE_STRING DriverClassName,
                                      PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT DeviceObject, INTERFACE_TYPE BusType,
                                      ULONG BusNumber, ULONG SlotNumber, PCM_RESOURCE_LIST *AllocatedResources) {
    UNREFERENCED_PARAMETER(RegistryPath);
    UNREFERENCED_PARAMETER(DriverClassName);
    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(DeviceObject);
    ULONG location;
    *AllocatedResources = NULL;
    if (BusType != PCIBus || !IopLocationOf(PCIConfiguration, BusNumber, SlotNumber, &location)) {
        return STATUS_INVALID_PARAMETER;
    }
    IOP_PDO slot = {.Location = location, .Function = HalpFindFunction(location)};
    if (slot.Function == NULL) {
        return STATUS_NO_SUCH_DEVICE;
    }
    slot.LineVector = slot.Function->IoApicPin != BOOT_NO_PIN ? IopLineVector(slot.Function->IoApicPin) : 0;
    *AllocatedResources = IopBuildResources(&slot, FALSE);
    return *AllocatedResources != NULL ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}
NT_EXPORT(HalAssignSlotResources);
