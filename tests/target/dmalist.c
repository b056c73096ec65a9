/* SPDX-License-Identifier: Apache-2.0 */
/* Scatter/gather lists, and what the verifier says of adapters that are used wrongly (0xE6). The case plays the device. */
#include <ntddk.h>

#include <dirqltest.h>

#define PAGES       4
#define SIXTEEN_MIB 0x1000000ull

static PDRIVER_OBJECT Driver;
static PDEVICE_OBJECT Device;
static PSCATTER_GATHER_LIST List;
static KIRQL ListIrql;

static PDMA_ADAPTER Adapter(BOOLEAN wide, ULONG bytes) {
    DEVICE_DESCRIPTION description = {
        .Version = DEVICE_DESCRIPTION_VERSION2,
        .Master = TRUE,
        .ScatterGather = TRUE,
        .Dma32BitAddresses = wide,
        .Dma64BitAddresses = wide,
        .InterfaceType = PCIBus,
        .MaximumLength = bytes,
    };
    ULONG registers;
    PDMA_ADAPTER adapter = IoGetDmaAdapter(NULL, &description, &registers);
    ASSERT_NE(adapter, NULL);
    return adapter;
}

static PUCHAR MakeBuffer(ULONG64 lowest, ULONG bytes, PMDL *mdl) {
    PHYSICAL_ADDRESS low = {.QuadPart = (LONGLONG)lowest}, high = {.QuadPart = -1}, none = {.QuadPart = 0};
    PUCHAR buffer = MmAllocateContiguousMemorySpecifyCache(bytes, low, high, none, MmCached);
    ASSERT_NE(buffer, NULL);
    *mdl = IoAllocateMdl(buffer, bytes, FALSE, FALSE, NULL);
    ASSERT_NE(*mdl, NULL);
    MmBuildMdlForNonPagedPool(*mdl);
    for (ULONG i = 0; i < bytes; i++) {
        buffer[i] = (UCHAR)(i * 11 + 3);
    }
    return buffer;
}

static VOID DropBuffer(PUCHAR buffer, PMDL mdl) {
    IoFreeMdl(mdl);
    MmFreeContiguousMemory(buffer);
}

static VOID NTAPI Receive(PDEVICE_OBJECT DeviceObject, PIRP Irp, PSCATTER_GATHER_LIST ScatterGather, PVOID Context) {
    UNREFERENCED_PARAMETER(Irp);
    ASSERT_EQ(DeviceObject, Device);
    ASSERT_EQ(Context, &List);
    List = ScatterGather;
    ListIrql = KeGetCurrentIrql();
}

/* What the device sees of the list, byte by byte, and what it writes there. */
static VOID Walk(const UCHAR *expected, ULONG bytes, BOOLEAN write) {
    ULONG done = 0;
    for (ULONG i = 0; i < List->NumberOfElements; i++) {
        PUCHAR seen = MmGetVirtualForPhysical(List->Elements[i].Address);
        for (ULONG at = 0; at < List->Elements[i].Length; at++, done++) {
            if (write) {
                seen[at] = (UCHAR)(done * 5 + 1);
            } else {
                ASSERT_EQ(seen[at], expected[done]);
            }
        }
    }
    ASSERT_EQ(done, bytes);
}

static VOID Transfer(PDMA_ADAPTER adapter, PMDL mdl, PUCHAR from, ULONG bytes, PVOID own, ULONG size) {
    PMDL target = NULL;
    KIRQL irql;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    for (ULONG to_device = 0; to_device < 2; to_device++) {
        List = NULL;
        NTSTATUS status = own != NULL
            ? adapter->DmaOperations->BuildScatterGatherList(adapter, Device, mdl, from, bytes, Receive, (PVOID)&List,
                                                             (BOOLEAN)to_device, own, size)
            : adapter->DmaOperations->GetScatterGatherList(adapter, Device, mdl, from, bytes, Receive, (PVOID)&List,
                                                           (BOOLEAN)to_device);
        ASSERT_EQ(status, STATUS_SUCCESS);
        ASSERT_NE(List, NULL);
        ASSERT_EQ(ListIrql, DISPATCH_LEVEL);
        Walk(from, bytes, to_device == 0);
        if (mdl->Next == NULL) {
            ASSERT_EQ(adapter->DmaOperations->BuildMdlFromScatterGatherList(adapter, List, mdl, &target),
                      STATUS_SUCCESS);
            ASSERT_EQ(target == mdl || MmGetMdlByteCount(target) == bytes, TRUE);
        }
        adapter->DmaOperations->PutScatterGatherList(adapter, List, (BOOLEAN)to_device);
        for (ULONG i = 0; i < bytes && to_device == 0; i++) {
            ASSERT_EQ(from[i], (UCHAR)(i * 5 + 1));
        }
    }
    KeLowerIrql(irql);
}

TARGET_CASE("DMA-5", a_list_has_the_whole_buffer, "cpus=1,2") {
    PMDL mdl;
    ASSERT_EQ(IoCreateDevice(Driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &Device), STATUS_SUCCESS);
    PUCHAR buffer = MakeBuffer(SIXTEEN_MIB, PAGES * PAGE_SIZE, &mdl);
    for (ULONG wide = 0; wide < 2; wide++) {
        PDMA_ADAPTER adapter = Adapter((BOOLEAN)wide, PAGES * PAGE_SIZE);
        for (ULONG offset = 0; offset < PAGE_SIZE; offset += 1111) {
            Transfer(adapter, mdl, buffer + offset, PAGES * PAGE_SIZE - 2 * offset, NULL, 0);
        }
        ULONG size, registers;
        ASSERT_EQ(adapter->DmaOperations->CalculateScatterGatherList(adapter, mdl, buffer, PAGES * PAGE_SIZE, &size,
                                                                     &registers),
                  STATUS_SUCCESS);
        ASSERT_EQ(registers, PAGES);
        PVOID own = ExAllocatePoolWithTag(NonPagedPool, size, 'tsil');
        Transfer(adapter, mdl, buffer, PAGES * PAGE_SIZE, own, size);
        KIRQL irql;
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        ASSERT_EQ(adapter->DmaOperations->BuildScatterGatherList(adapter, Device, mdl, buffer, PAGES * PAGE_SIZE,
                                                                 Receive, (PVOID)&List, TRUE, own, size - 1),
                  STATUS_BUFFER_TOO_SMALL);
        ASSERT_EQ(adapter->DmaOperations->GetScatterGatherList(adapter, Device, mdl, buffer, PAGES * PAGE_SIZE + 1,
                                                               Receive, (PVOID)&List, TRUE),
                  STATUS_BUFFER_TOO_SMALL);
        KeLowerIrql(irql);
        ExFreePoolWithTag(own, 'tsil');
        adapter->DmaOperations->PutDmaAdapter(adapter);
    }
    DropBuffer(buffer, mdl);
    IoDeleteDevice(Device);
}

/* Two MDLs in a chain, of one buffer, so that what lies there can be compared as one. */
TARGET_CASE("DMA-5", a_list_follows_a_chain_of_mdls, "cpus=1") {
    PMDL whole;
    ASSERT_EQ(IoCreateDevice(Driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &Device), STATUS_SUCCESS);
    PUCHAR buffer = MakeBuffer(SIXTEEN_MIB, PAGES * PAGE_SIZE, &whole);
    PMDL first = IoAllocateMdl(buffer, PAGE_SIZE + 100, FALSE, FALSE, NULL);
    PMDL second = IoAllocateMdl(buffer + PAGE_SIZE + 100, PAGE_SIZE, FALSE, FALSE, NULL);
    MmBuildMdlForNonPagedPool(first);
    MmBuildMdlForNonPagedPool(second);
    first->Next = second;
    PDMA_ADAPTER adapter = Adapter(FALSE, PAGES * PAGE_SIZE);
    Transfer(adapter, first, buffer + 50, 2 * PAGE_SIZE, NULL, 0);
    adapter->DmaOperations->PutDmaAdapter(adapter);
    IoFreeMdl(second);
    IoFreeMdl(first);
    DropBuffer(buffer, whole);
    IoDeleteDevice(Device);
}

TARGET_CASE("DMA-4", a_channel_is_asked_for_at_dispatch_level, "cpus=1 verifier=on bugcheck=0xE6/0x13") {
    PDMA_ADAPTER adapter = Adapter(TRUE, PAGE_SIZE);
    adapter->DmaOperations->AllocateAdapterChannel(adapter, NULL, 1, NULL, NULL);
}

TARGET_CASE("DMA-4", an_adapter_is_put_with_a_buffer_left, "cpus=1 verifier=on bugcheck=0xE6/0x7") {
    PHYSICAL_ADDRESS address;
    PDMA_ADAPTER adapter = Adapter(TRUE, PAGE_SIZE);
    adapter->DmaOperations->AllocateCommonBuffer(adapter, PAGE_SIZE, &address, TRUE);
    adapter->DmaOperations->PutDmaAdapter(adapter);
}

TARGET_CASE("DMA-1", a_channel_that_nobody_has_is_freed, "cpus=1 verifier=on bugcheck=0xE6/0x4") {
    PDMA_ADAPTER adapter = Adapter(TRUE, PAGE_SIZE);
    adapter->DmaOperations->FreeAdapterChannel(adapter);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

DRIVER_INITIALIZE DriverEntry;

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    Driver = DriverObject;
    DriverObject->DriverUnload = Unload;
    return STATUS_SUCCESS;
}
