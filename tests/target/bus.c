/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buses as legacy drivers ask for them, and ports and registers by the routines that other toolchains import: these headers have
 * them inline, so the case asks the kernel for their addresses. The ports are those of the 8237 controllers, which nobody uses here.
 */
#include <ntddk.h>

#include <dirqltest.h>

NTHALAPI ULONG NTAPI HalGetBusData(BUS_DATA_TYPE BusDataType, ULONG BusNumber, ULONG SlotNumber, PVOID Buffer,
                                   ULONG Length);
NTHALAPI ULONG NTAPI HalSetBusData(BUS_DATA_TYPE BusDataType, ULONG BusNumber, ULONG SlotNumber, PVOID Buffer,
                                   ULONG Length);
NTHALAPI NTSTATUS NTAPI HalAssignSlotResources(PUNICODE_STRING RegistryPath, PUNICODE_STRING DriverClassName,
                                               PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT DeviceObject,
                                               INTERFACE_TYPE BusType, ULONG BusNumber, ULONG SlotNumber,
                                               PCM_RESOURCE_LIST *AllocatedResources);

#define EDU_IDENTITY 0x11e81234u
#define EMPTY_SLOT   0x1eu
#define PAGE_OF_0    0x87 /* channel 0's page register: it keeps what is written */

static PVOID Routine(PCWSTR name) {
    UNICODE_STRING string;
    RtlInitUnicodeString(&string, name);
    PVOID address = MmGetSystemRoutineAddress(&string);
    ASSERT_NE(address, NULL);
    return address;
}

static ULONG EduSlot(VOID) {
    ULONG identity = 0, slot = 0;
    for (; identity != EDU_IDENTITY; slot++) {
        ASSERT_LT(slot, 32);
        HalGetBusData(PCIConfiguration, 0, slot, &identity, sizeof identity);
    }
    return slot - 1;
}

TARGET_CASE("DMA-6", configuration_space_by_slot, "cpus=1 device=edu") {
    PCI_COMMON_CONFIG config;
    ULONG slot = EduSlot();
    UCHAR line, other = 0x77;
    ASSERT_EQ(HalGetBusData(PCIConfiguration, 0, slot, &config, sizeof config), sizeof config);
    ASSERT_EQ(config.VendorID | (ULONG)config.DeviceID << 16, EDU_IDENTITY);
    line = config.u.type0.InterruptLine;
    ULONG at = FIELD_OFFSET(PCI_COMMON_CONFIG, u.type0.InterruptLine);
    ASSERT_EQ(HalSetBusDataByOffset(PCIConfiguration, 0, slot, &other, at, 1), 1);
    UCHAR around[3] = {0};
    ASSERT_EQ(HalGetBusDataByOffset(PCIConfiguration, 0, slot, around, at - 1, 3), 3);
    ASSERT_EQ(around[1], 0x77);
    ASSERT_EQ(around[2], config.u.type0.InterruptPin); /* nothing beside it was written */
    ASSERT_EQ(HalSetBusDataByOffset(PCIConfiguration, 0, slot, &line, at, 1), 1);
    USHORT none = 0;
    ASSERT_EQ(HalGetBusData(PCIConfiguration, 0, EMPTY_SLOT, &none, sizeof none), 2);
    ASSERT_EQ(none, PCI_INVALID_VENDORID);
    ASSERT_EQ(HalSetBusData(PCIConfiguration, 0, EMPTY_SLOT, &none, sizeof none), 0);
    ASSERT_EQ(HalGetBusData(PCIConfiguration, 1, slot, &config, 4), 0);
    ASSERT_EQ(HalGetBusData(EisaConfiguration, 0, slot, &config, 4), 0);
}

TARGET_CASE("DMA-6", what_a_slot_has, "cpus=1 device=edu") {
    PCM_RESOURCE_LIST list;
    PHYSICAL_ADDRESS address = {.QuadPart = 0x3f0}, translated = {.QuadPart = 0};
    ULONG space = 1;
    ASSERT_EQ(HalAssignSlotResources(NULL, NULL, NULL, NULL, PCIBus, 0, EduSlot(), &list), STATUS_SUCCESS);
    PCM_PARTIAL_RESOURCE_LIST partial = &list->List[0].PartialResourceList;
    ASSERT_EQ(partial->Count, 2);
    ASSERT_EQ(partial->PartialDescriptors[0].Type, CmResourceTypeMemory);
    ASSERT_EQ(partial->PartialDescriptors[0].u.Memory.Length, 1 << 20);
    ASSERT_EQ(partial->PartialDescriptors[1].Type, CmResourceTypeInterrupt);
    ExFreePool(list);
    ASSERT_EQ(HalAssignSlotResources(NULL, NULL, NULL, NULL, PCIBus, 0, EMPTY_SLOT, &list), STATUS_NO_SUCH_DEVICE);
    ASSERT_EQ(HalTranslateBusAddress(Isa, 0, address, &space, &translated), TRUE);
    ASSERT_EQ(translated.QuadPart, 0x3f0);
    ASSERT_EQ(space, 1);
    ASSERT_EQ(HalTranslateBusAddress(MicroChannel, 0, address, &space, &translated), FALSE);
}

TARGET_CASE("DMA-6", ports_and_registers_by_import, "cpus=1") {
    UCHAR(NTAPI * in8)(PUCHAR) = Routine(L"READ_PORT_UCHAR");
    VOID(NTAPI * out8)(PUCHAR, UCHAR) = Routine(L"WRITE_PORT_UCHAR");
    VOID(NTAPI * ins8)(PUCHAR, PUCHAR, ULONG) = Routine(L"READ_PORT_BUFFER_UCHAR");
    VOID(NTAPI * outs8)(PUCHAR, PUCHAR, ULONG) = Routine(L"WRITE_PORT_BUFFER_UCHAR");
    ULONG(NTAPI * in32)(PULONG) = Routine(L"READ_PORT_ULONG");
    VOID(NTAPI * out32)(PULONG, ULONG) = Routine(L"WRITE_PORT_ULONG");
    PUCHAR port = (PUCHAR)(ULONG_PTR)PAGE_OF_0;
    UCHAR bytes[4] = {1, 2, 3, 4};
    out8(port, 0xa5);
    ASSERT_EQ(in8(port), 0xa5);
    outs8(port, bytes, 4);
    ins8(port, bytes, 3);
    ASSERT_EQ(bytes[0] | bytes[1] << 8 | bytes[2] << 16 | bytes[3] << 24, 0x04040404);
    out32((PULONG)0xcf8, 0x80000000u);
    ASSERT_EQ(in32((PULONG)0xcf8), 0x80000000u);
    ULONG64(NTAPI * read64)(volatile ULONG64 *) = Routine(L"READ_REGISTER_ULONG64");
    VOID(NTAPI * write16)(volatile USHORT *, USHORT) = Routine(L"WRITE_REGISTER_USHORT");
    VOID(NTAPI * writes32)(volatile ULONG *, PULONG, ULONG) = Routine(L"WRITE_REGISTER_BUFFER_ULONG");
    VOID(NTAPI * reads8)(volatile UCHAR *, PUCHAR, ULONG) = Routine(L"READ_REGISTER_BUFFER_UCHAR");
    ULONG64 memory[2] = {0, 0};
    ULONG words[2] = {0x44332211, 0x88776655};
    UCHAR copy[8];
    writes32((volatile ULONG *)memory, words, 2);
    ASSERT_EQ(read64(memory), 0x8877665544332211);
    write16((volatile USHORT *)memory + 1, 0xffee);
    reads8((volatile UCHAR *)memory, copy, 8);
    ASSERT_EQ(copy[2] | copy[3] << 8, 0xffee);
    ASSERT_EQ(memory[1], 0);
}

TARGET_CASE("DMA-6", routines_by_name, "cpus=1") {
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"KeBugCheckEx"), none = RTL_CONSTANT_STRING(L"KeBugCheckEy");
    ASSERT_EQ(MmGetSystemRoutineAddress(&name), KeBugCheckEx);
    ASSERT_EQ(MmGetSystemRoutineAddress(&none), NULL);
}

TARGET_DRIVER
