/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DMA adapters without a device: who has the channel and the map registers, what a transfer's addresses are and where its bytes
 * come from. The case plays the device: it reads and writes the memory at the addresses that it is given.
 */
#include <ntddk.h>

#include <dirqltest.h>

#define PAGES       6
#define BUFFER      (PAGES * PAGE_SIZE)
#define SIXTEEN_MIB 0x1000000ull

static PDEVICE_OBJECT Device;
static volatile LONG Calls;

typedef struct _USER {
    LONG Number;
    IO_ALLOCATION_ACTION Action;
    PVOID Base;
    volatile LONG Order; /* 0: not called */
    KIRQL Irql;
} USER;

static IO_ALLOCATION_ACTION NTAPI Control(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID MapRegisterBase, PVOID Context) {
    USER *user = Context;
    UNREFERENCED_PARAMETER(Irp);
    ASSERT_EQ(DeviceObject, Device);
    user->Irql = KeGetCurrentIrql();
    user->Base = MapRegisterBase;
    user->Order = InterlockedIncrement(&Calls);
    return user->Action;
}

static PDMA_ADAPTER Adapter(BOOLEAN master, BOOLEAN pieces, BOOLEAN wide, ULONG channel, ULONG bytes,
                            ULONG *registers) {
    DEVICE_DESCRIPTION description = {
        .Version = DEVICE_DESCRIPTION_VERSION2,
        .Master = master,
        .ScatterGather = pieces,
        .Dma32BitAddresses = wide,
        .Dma64BitAddresses = wide,
        .InterfaceType = master ? PCIBus : Isa,
        .DmaChannel = channel,
        .DmaWidth = channel > 3 ? Width16Bits : Width8Bits,
        .MaximumLength = bytes,
    };
    PDMA_ADAPTER adapter = IoGetDmaAdapter(NULL, &description, registers);
    ASSERT_NE(adapter, NULL);
    return adapter;
}

/* A device object for as long as a case runs; nobody calls its driver. */
static VOID MakeDevice(VOID);
static VOID DropDevice(VOID) {
    IoDeleteDevice(Device);
}

/* Memory at a place, its MDL, and a pattern in it. */
static PUCHAR MakeBuffer(ULONG64 lowest, ULONG bytes, PMDL *mdl) {
    PHYSICAL_ADDRESS low = {.QuadPart = (LONGLONG)lowest}, high = {.QuadPart = -1}, none = {.QuadPart = 0};
    PUCHAR buffer = MmAllocateContiguousMemorySpecifyCache(bytes, low, high, none, MmCached);
    ASSERT_NE(buffer, NULL);
    *mdl = IoAllocateMdl(buffer, bytes, FALSE, FALSE, NULL);
    ASSERT_NE(*mdl, NULL);
    MmBuildMdlForNonPagedPool(*mdl);
    for (ULONG i = 0; i < bytes; i++) {
        buffer[i] = (UCHAR)(i * 7 + i / PAGE_SIZE);
    }
    return buffer;
}

static VOID DropBuffer(PUCHAR buffer, PMDL mdl) {
    IoFreeMdl(mdl);
    MmFreeContiguousMemory(buffer);
}

static KIRQL ToDispatch(VOID) {
    KIRQL irql;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    return irql;
}

TARGET_CASE("DMA-1 IRQL-8", a_channel_has_one_user_in_order, "") {
    USER user[4];
    ULONG registers, more;
    RtlZeroMemory(user, sizeof user);
    MakeDevice();
    PDMA_ADAPTER adapter = Adapter(FALSE, FALSE, FALSE, 2, PAGE_SIZE, &registers);
    PDMA_ADAPTER other = Adapter(FALSE, FALSE, FALSE, 2, PAGE_SIZE, &more); /* the same channel */
    Calls = 0;
    KIRQL irql = ToDispatch();
    for (ULONG i = 0; i < RTL_NUMBER_OF(user); i++) {
        PDMA_ADAPTER of = i == 2 ? other : adapter;
        user[i].Action = i == 1 ? DeallocateObject : KeepObject;
        ASSERT_EQ(of->DmaOperations->AllocateAdapterChannel(of, Device, 1, Control, &user[i]), STATUS_SUCCESS);
        ASSERT_EQ(Calls, 1); /* the first at once, the others when it is their turn */
    }
    ASSERT_EQ(user[0].Irql, DISPATCH_LEVEL);
    adapter->DmaOperations->FreeAdapterChannel(adapter);
    ASSERT_EQ(Calls, 3); /* the second gave it back itself */
    ASSERT_EQ(user[1].Order, 2);
    ASSERT_EQ(user[2].Order, 3);
    ASSERT_EQ(user[2].Irql, DISPATCH_LEVEL);
    other->DmaOperations->FreeAdapterChannel(other);
    ASSERT_EQ(user[3].Order, 4);
    adapter->DmaOperations->FreeAdapterChannel(adapter);
    KeLowerIrql(irql);
    adapter->DmaOperations->PutDmaAdapter(adapter);
    other->DmaOperations->PutDmaAdapter(other);
    DropDevice();
}

TARGET_CASE("DMA-1", map_registers_are_waited_for_in_order, "") {
    USER user[3];
    ULONG registers;
    RtlZeroMemory(user, sizeof user);
    MakeDevice();
    PDMA_ADAPTER adapter = Adapter(TRUE, TRUE, FALSE, 0, 3 * PAGE_SIZE, &registers);
    ASSERT_EQ(registers, 4);
    Calls = 0;
    KIRQL irql = ToDispatch();
    static const ULONG wanted[] = {3, 2,
                                   1}; /* the third would fit beside the first, and does not overtake the second */
    for (ULONG i = 0; i < RTL_NUMBER_OF(user); i++) {
        user[i].Action = DeallocateObjectKeepRegisters;
        ASSERT_EQ(adapter->DmaOperations->AllocateAdapterChannel(adapter, Device, wanted[i], Control, &user[i]),
                  STATUS_SUCCESS);
        ASSERT_EQ(Calls, 1);
    }
    adapter->DmaOperations->FreeMapRegisters(adapter, user[0].Base, 3);
    ASSERT_EQ(user[1].Order, 2);
    ASSERT_EQ(user[2].Order, 3);
    adapter->DmaOperations->FreeMapRegisters(adapter, user[1].Base, 2);
    adapter->DmaOperations->FreeMapRegisters(adapter, user[2].Base, 1);
    KeLowerIrql(irql);
    adapter->DmaOperations->PutDmaAdapter(adapter);
    DropDevice();
}

static PDMA_ADAPTER Shared;
static volatile LONG Inside, Overlaps, Done;

static IO_ALLOCATION_ACTION NTAPI Exclusive(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID MapRegisterBase,
                                            PVOID Context) {
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(MapRegisterBase);
    UNREFERENCED_PARAMETER(Context);
    if (InterlockedIncrement(&Inside) != 1) {
        InterlockedIncrement(&Overlaps);
    }
    for (ULONG i = 0; i < 20; i++) {
        YieldProcessor();
    }
    InterlockedDecrement(&Inside);
    InterlockedIncrement(&Done);
    return DeallocateObject;
}

#define ROUNDS 200

static VOID NTAPI AskOften(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i < ROUNDS; i++) {
        KIRQL irql = ToDispatch();
        ASSERT_EQ(Shared->DmaOperations->AllocateAdapterChannel(Shared, Device, 1, Exclusive, NULL), STATUS_SUCCESS);
        KeLowerIrql(irql);
    }
}

TARGET_CASE("DMA-1", every_cpu_has_its_turn_alone, "smp=2") {
    ULONG registers, cpus = TargetCpus();
    MakeDevice();
    Shared = Adapter(FALSE, FALSE, FALSE, 1, PAGE_SIZE, &registers);
    Done = Inside = Overlaps = 0;
    for (ULONG cpu = 1; cpu < cpus; cpu++) {
        DirqlStartOn(cpu, AskOften, NULL);
    }
    AskOften(NULL);
    for (ULONG cpu = 1; cpu < cpus; cpu++) {
        DirqlWaitFor(cpu);
    }
    WAIT_UNTIL(Done == (LONG)(cpus * ROUNDS));
    ASSERT_EQ(Overlaps, 0);
    Shared->DmaOperations->PutDmaAdapter(Shared);
    DropDevice();
}

/* One transfer of the whole buffer from one offset on; the device writes, or reads what it compares. */
static VOID Transfer(PDMA_ADAPTER adapter, PUCHAR buffer, PMDL mdl, ULONG offset, BOOLEAN to_device, BOOLEAN copied) {
    USER user = {.Action = DeallocateObjectKeepRegisters};
    ULONG bytes = BUFFER - offset;
    ULONG registers = (ULONG)ADDRESS_AND_SIZE_TO_SPAN_PAGES(buffer + offset, bytes);
    KIRQL irql = ToDispatch();
    ASSERT_EQ(adapter->DmaOperations->AllocateAdapterChannel(adapter, Device, registers, Control, &user),
              STATUS_SUCCESS);
    for (ULONG done = 0; done < bytes;) {
        ULONG length = bytes - done;
        PHYSICAL_ADDRESS address =
            adapter->DmaOperations->MapTransfer(adapter, mdl, user.Base, buffer + offset + done, &length, to_device);
        ASSERT_GT(length, 0);
        ASSERT_LE(done + length, bytes);
        ASSERT_EQ(address.QuadPart != MmGetPhysicalAddress(buffer + offset + done).QuadPart, copied);
        if (copied) {
            ASSERT_LT(address.QuadPart + length - 1, SIXTEEN_MIB);
        }
        PUCHAR seen = MmGetVirtualForPhysical(address);
        for (ULONG i = 0; i < length; i++) {
            if (to_device) {
                ASSERT_EQ(seen[i], buffer[offset + done + i]);
            } else {
                seen[i] = (UCHAR) ~((done + i) * 3);
            }
        }
        done += length;
    }
    ASSERT_EQ(adapter->DmaOperations->FlushAdapterBuffers(adapter, mdl, user.Base, buffer + offset, bytes, to_device),
              TRUE);
    adapter->DmaOperations->FreeMapRegisters(adapter, user.Base, registers);
    KeLowerIrql(irql);
    for (ULONG i = 0; i < bytes && !to_device; i++) {
        ASSERT_EQ(buffer[offset + i], (UCHAR) ~(i * 3));
    }
}

TARGET_CASE("DMA-2", what_a_device_does_not_reach_is_copied, "cpus=1,2") {
    ULONG registers;
    PMDL mdl;
    MakeDevice();
    PUCHAR buffer = MakeBuffer(SIXTEEN_MIB, BUFFER, &mdl);
    for (ULONG pieces = 0; pieces < 2; pieces++) {
        PDMA_ADAPTER adapter = Adapter(TRUE, (BOOLEAN)pieces, FALSE, 0, BUFFER, &registers);
        ASSERT_EQ(registers, PAGES + 1);
        for (ULONG offset = 0; offset < PAGE_SIZE; offset += 1234) {
            Transfer(adapter, buffer, mdl, offset, TRUE, TRUE);
            Transfer(adapter, buffer, mdl, offset, FALSE, TRUE);
        }
        adapter->DmaOperations->PutDmaAdapter(adapter);
    }
    PDMA_ADAPTER wide = Adapter(TRUE, TRUE, TRUE, 0, BUFFER, &registers);
    Transfer(wide, buffer, mdl, 100, TRUE, FALSE);
    Transfer(wide, buffer, mdl, 100, FALSE, FALSE);
    wide->DmaOperations->PutDmaAdapter(wide);
    DropBuffer(buffer, mdl);
    DropDevice();
}

TARGET_CASE("DMA-3", a_channel_of_the_8237_is_set_and_stopped, "cpus=1,2") {
    static const UCHAR channels[] = {1, 2, 3, 5, 6, 7};
    PMDL mdl;
    MakeDevice();
    PUCHAR buffer = MakeBuffer(SIXTEEN_MIB, BUFFER, &mdl);
    for (ULONG i = 0; i < RTL_NUMBER_OF(channels); i++) {
        USER user = {.Action = KeepObject};
        ULONG registers, length = BUFFER;
        PDMA_ADAPTER adapter = Adapter(FALSE, FALSE, FALSE, channels[i], BUFFER, &registers);
        KIRQL irql = ToDispatch();
        ASSERT_EQ(adapter->DmaOperations->AllocateAdapterChannel(adapter, Device, PAGES, Control, &user),
                  STATUS_SUCCESS);
        PHYSICAL_ADDRESS address = adapter->DmaOperations->MapTransfer(adapter, mdl, user.Base, buffer, &length, TRUE);
        ULONG64 boundary = channels[i] > 3 ? 0x20000 : 0x10000;
        ASSERT_EQ(length, BUFFER); /* in one piece, for it cannot gather */
        ASSERT_LT(address.QuadPart + length - 1, SIXTEEN_MIB);
        ASSERT_EQ((ULONG64)address.QuadPart / boundary, (ULONG64)(address.QuadPart + length - 1) / boundary);
        ASSERT_EQ(adapter->DmaOperations->ReadDmaCounter(adapter), BUFFER); /* nothing asked for a byte */
        ASSERT_EQ(memcmp(MmGetVirtualForPhysical(address), buffer, (SIZE_T)BUFFER), 0);
        adapter->DmaOperations->FlushAdapterBuffers(adapter, mdl, user.Base, buffer, BUFFER, TRUE);
        adapter->DmaOperations->FreeAdapterChannel(adapter);
        KeLowerIrql(irql);
        adapter->DmaOperations->PutDmaAdapter(adapter);
    }
    DropBuffer(buffer, mdl);
    DropDevice();
}

/* A buffer that the channel reaches, but for the boundary in its middle. */
TARGET_CASE("DMA-3", a_boundary_is_not_crossed, "cpus=1") {
    USER user = {.Action = KeepObject};
    ULONG registers, length = 2 * PAGE_SIZE;
    PHYSICAL_ADDRESS low = {.QuadPart = 0x100000}, high = {.QuadPart = SIXTEEN_MIB - 1}, none = {.QuadPart = 0};
    MakeDevice();
    PUCHAR memory = MmAllocateContiguousMemorySpecifyCache(0x20000, low, high, none, MmCached);
    ASSERT_NE(memory, NULL);
    ULONG64 physical = (ULONG64)MmGetPhysicalAddress(memory).QuadPart;
    PUCHAR buffer = memory + (0x10000 - (physical & 0xffff)) % 0x10000 + 0x10000 - PAGE_SIZE;
    PMDL mdl = IoAllocateMdl(buffer, length, FALSE, FALSE, NULL);
    MmBuildMdlForNonPagedPool(mdl);
    PDMA_ADAPTER adapter = Adapter(FALSE, FALSE, FALSE, 3, length, &registers);
    KIRQL irql = ToDispatch();
    ASSERT_EQ(adapter->DmaOperations->AllocateAdapterChannel(adapter, Device, 2, Control, &user), STATUS_SUCCESS);
    PHYSICAL_ADDRESS address = adapter->DmaOperations->MapTransfer(adapter, mdl, user.Base, buffer, &length, FALSE);
    ASSERT_EQ(length, 2 * PAGE_SIZE);
    ASSERT_EQ((ULONG64)address.QuadPart / 0x10000, (ULONG64)(address.QuadPart + length - 1) / 0x10000);
    adapter->DmaOperations->FlushAdapterBuffers(adapter, mdl, user.Base, buffer, length, FALSE);
    adapter->DmaOperations->FreeAdapterChannel(adapter);
    KeLowerIrql(irql);
    adapter->DmaOperations->PutDmaAdapter(adapter);
    IoFreeMdl(mdl);
    MmFreeContiguousMemory(memory);
    DropDevice();
}

TARGET_CASE("DMA-4", common_buffers_are_in_reach, "cpus=1,2") {
    ULONG registers;
    for (ULONG wide = 0; wide < 2; wide++) {
        PHYSICAL_ADDRESS address = {.QuadPart = 0};
        PDMA_ADAPTER adapter = Adapter(TRUE, TRUE, (BOOLEAN)wide, 0, PAGE_SIZE, &registers);
        PUCHAR buffer = adapter->DmaOperations->AllocateCommonBuffer(adapter, 3 * PAGE_SIZE, &address, TRUE);
        ASSERT_NE(buffer, NULL);
        ASSERT_EQ(address.QuadPart, MmGetPhysicalAddress(buffer).QuadPart);
        ASSERT_EQ(address.QuadPart + 2LL * PAGE_SIZE, MmGetPhysicalAddress(buffer + 2LL * PAGE_SIZE).QuadPart);
        ASSERT_EQ(wide == 0, (ULONG64)address.QuadPart + 3ull * PAGE_SIZE <= SIXTEEN_MIB);
        adapter->DmaOperations->FreeCommonBuffer(adapter, 3 * PAGE_SIZE, address, buffer, TRUE);
        ASSERT_EQ(adapter->DmaOperations->GetDmaAlignment(adapter), 1);
        adapter->DmaOperations->PutDmaAdapter(adapter);
    }
}

TARGET_CASE("DMA-4", descriptions_that_no_hardware_fits, "cpus=1") {
    ULONG registers = 1;
    DEVICE_DESCRIPTION description = {.Version = 3, .Master = TRUE, .MaximumLength = PAGE_SIZE};
    ASSERT_EQ(IoGetDmaAdapter(NULL, &description, &registers), NULL);
    description.Version = DEVICE_DESCRIPTION_VERSION;
    description.Master = FALSE;
    description.DmaChannel = 4; /* the cascade */
    description.DmaWidth = Width8Bits;
    ASSERT_EQ(IoGetDmaAdapter(NULL, &description, &registers), NULL);
    description.DmaChannel = 5; /* of words */
    ASSERT_EQ(IoGetDmaAdapter(NULL, &description, &registers), NULL);
    description.DmaChannel = 8;
    ASSERT_EQ(IoGetDmaAdapter(NULL, &description, &registers), NULL);
    ASSERT_EQ(registers, 0);
}

static PDRIVER_OBJECT Driver;

static VOID MakeDevice(VOID) {
    ASSERT_EQ(IoCreateDevice(Driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &Device), STATUS_SUCCESS);
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
