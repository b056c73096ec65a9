/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DMA adapters: from a device's description to what it reaches and how many map registers it needs for the rest; common
 * buffers. A bus master that reaches all memory, in pieces, needs none.
 */
#include "../include/mutant.h"
#include "dma.h"

#include "../hal/hal.h"
#include "../hal/regs.h"
#include "../ke/verify.h"
#include "../mm/mi.h"

#define IOP_ISA_HIGHEST     0xffffffull
#define IOP_ISA_BYTES       0x10000u
#define IOP_LOWEST_REGISTER 0x1000ull

VOID IopDmaViolation(ULONG64 what, ULONG64 parameter2, ULONG64 parameter3, ULONG64 parameter4) {
    if (KiVerifier != NULL) {
        KeBugCheckEx(DRIVER_VERIFIER_DMA_VIOLATION, what, parameter2, parameter3, parameter4);
    }
}

VOID IopDmaIrql(KIRQL least, KIRQL most) {
    KIRQL irql = KeGetCurrentIrql();
    if (irql < least || irql > most) {
        IopDmaViolation(DMA_IRQL, least == most ? 1 : 2, most, irql);
    }
}

static VOID NTAPI IopPutDmaAdapter(PDMA_ADAPTER DmaAdapter) {
    IOP_ADAPTER *adapter = IopAdapterOf(DmaAdapter);
    IopDmaIrql(PASSIVE_LEVEL, PASSIVE_LEVEL);
    if (adapter->Buffers != 0) {
        IopDmaViolation(DMA_LEFT_BUFFERS, (ULONG64)DmaAdapter, (ULONG64)adapter->Buffers, 0);
    }
    if (adapter->Lists != 0) {
        IopDmaViolation(DMA_LEFT_LISTS, (ULONG64)DmaAdapter, adapter->Lists, 0);
    }
    IOP_DMA_MAP *owner = adapter->Channel->Owner;
    if (owner != NULL && owner->Adapter == adapter) {
        IopDmaViolation(DMA_LEFT_CHANNEL, (ULONG64)DmaAdapter, 1, 0);
    }
    if (adapter->Maps != 0) {
        IopDmaViolation(DMA_LEFT_REGISTERS, (ULONG64)DmaAdapter, adapter->Maps, 0);
    }
    if (adapter->Bounce != NULL) {
        MmFreeContiguousMemory(adapter->Bounce);
    }
    ExFreePoolWithTag(adapter, POOL_TAG_DMA);
}
NT_EXPORT_AS(IopPutDmaAdapter, HalPutDmaAdapter);

static PVOID IopContiguous(const IOP_ADAPTER *adapter, ULONG64 bytes) {
    PHYSICAL_ADDRESS lowest = {.QuadPart = IOP_LOWEST_REGISTER};
    PHYSICAL_ADDRESS highest = {.QuadPart = (LONGLONG)adapter->Highest};
    PHYSICAL_ADDRESS boundary = {.QuadPart = (LONGLONG)adapter->Boundary};
    if (MUTANT(DmaBufferAnywhere, "DMA-4", "a common buffer is taken from anywhere")) {
        highest.QuadPart = -1;
    }
    return MmAllocateContiguousMemorySpecifyCache(bytes, lowest, highest, boundary, MmCached);
}

static PVOID NTAPI IopAllocateCommonBuffer(PDMA_ADAPTER DmaAdapter, ULONG Length, PPHYSICAL_ADDRESS LogicalAddress,
                                           BOOLEAN CacheEnabled) {
    IOP_ADAPTER *adapter = IopAdapterOf(DmaAdapter);
    UNREFERENCED_PARAMETER(CacheEnabled); /* the memory has one kind of caching, and DMA sees it */
    IopDmaIrql(PASSIVE_LEVEL, PASSIVE_LEVEL);
    PVOID buffer = IopContiguous(adapter, Length);
    if (buffer != NULL) {
        /* Relaxed: a count that is read when nobody uses the adapter any more. */
        __atomic_add_fetch(&adapter->Buffers, 1, __ATOMIC_RELAXED);
        *LogicalAddress = MmGetPhysicalAddress(buffer);
    }
    return buffer;
}
NT_EXPORT_AS(IopAllocateCommonBuffer, HalAllocateCommonBuffer);

static VOID NTAPI IopFreeCommonBuffer(PDMA_ADAPTER DmaAdapter, ULONG Length, PHYSICAL_ADDRESS LogicalAddress,
                                      PVOID VirtualAddress, BOOLEAN CacheEnabled) {
    IOP_ADAPTER *adapter = IopAdapterOf(DmaAdapter);
    UNREFERENCED_PARAMETER(Length);
    UNREFERENCED_PARAMETER(LogicalAddress);
    UNREFERENCED_PARAMETER(CacheEnabled);
    IopDmaIrql(PASSIVE_LEVEL, PASSIVE_LEVEL);
    if (adapter->Buffers == 0) {
        IopDmaViolation(DMA_FREED_BUFFERS, 1, 0, 0);
    }
    __atomic_sub_fetch(&adapter->Buffers, 1, __ATOMIC_RELAXED); /* as above */
    MmFreeContiguousMemory(VirtualAddress);
}
NT_EXPORT_AS(IopFreeCommonBuffer, HalFreeCommonBuffer);

static ULONG NTAPI IopGetDmaAlignment(PDMA_ADAPTER DmaAdapter) {
    UNREFERENCED_PARAMETER(DmaAdapter);
    return 1; /* caches are coherent */
}

static ULONG NTAPI IopReadDmaCounter(PDMA_ADAPTER DmaAdapter) {
    ULONG number = IopAdapterOf(DmaAdapter)->Number;
    return number == IOP_NO_CHANNEL ? 0 : HalpDmaBytesLeft(number);
}
NT_EXPORT_AS(IopReadDmaCounter, HalReadDmaCounter);
NT_EXPORT_AS(IopAllocateAdapterChannel, IoAllocateAdapterChannel);
NT_EXPORT_AS(IopFreeAdapterChannel, IoFreeAdapterChannel);
NT_EXPORT_AS(IopFreeMapRegisters, IoFreeMapRegisters);
NT_EXPORT_AS(IopMapTransfer, IoMapTransfer);
NT_EXPORT_AS(IopFlushAdapterBuffers, IoFlushAdapterBuffers);
NT_EXPORT_AS(IopGetScatterGatherList, HalGetScatterGatherList);
NT_EXPORT_AS(IopPutScatterGatherList, HalPutScatterGatherList);

static DMA_OPERATIONS IopDmaOperations = {
    .Size = sizeof(DMA_OPERATIONS),
    .PutDmaAdapter = IopPutDmaAdapter,
    .AllocateCommonBuffer = IopAllocateCommonBuffer,
    .FreeCommonBuffer = IopFreeCommonBuffer,
    .AllocateAdapterChannel = IopAllocateAdapterChannel,
    .FlushAdapterBuffers = IopFlushAdapterBuffers,
    .FreeAdapterChannel = IopFreeAdapterChannel,
    .FreeMapRegisters = IopFreeMapRegisters,
    .MapTransfer = IopMapTransfer,
    .GetDmaAlignment = IopGetDmaAlignment,
    .ReadDmaCounter = IopReadDmaCounter,
    .GetScatterGatherList = IopGetScatterGatherList,
    .PutScatterGatherList = IopPutScatterGatherList,
    .CalculateScatterGatherList = IopCalculateScatterGatherListSize,
    .BuildScatterGatherList = IopBuildScatterGatherList,
    .BuildMdlFromScatterGatherList = IopBuildMdlFromScatterGatherList,
};

/* FALSE: there is no such channel, or it moves another width. */
static BOOLEAN IopDescribeSlave(IOP_ADAPTER *adapter, const DEVICE_DESCRIPTION *device) {
    BOOLEAN words = device->DmaChannel > DMA_CASCADE;
    if (device->DmaChannel >= DMA_CHANNELS || device->DmaChannel == DMA_CASCADE ||
        device->DmaWidth != (words ? Width16Bits : Width8Bits)) {
        return FALSE;
    }
    adapter->Number = device->DmaChannel;
    adapter->Channel = IopSystemChannel(device->DmaChannel);
    adapter->Mode = (device->DemandMode ? 0u : DMA_MODE_SINGLE) | (device->AutoInitialize ? DMA_MODE_AUTO : 0u);
    adapter->Highest = IOP_ISA_HIGHEST;
    adapter->Boundary = words ? 2 * IOP_ISA_BYTES : IOP_ISA_BYTES;
    return TRUE;
}

static VOID IopDescribeMaster(IOP_ADAPTER *adapter, const DEVICE_DESCRIPTION *device) {
    adapter->Number = IOP_NO_CHANNEL;
    adapter->Channel = &adapter->Own;
    IopInitializeChannel(&adapter->Own);
    adapter->ScatterGather = device->ScatterGather;
    adapter->Highest = device->Dma64BitAddresses ? ~0ull : device->Dma32BitAddresses ? MAXULONG : IOP_ISA_HIGHEST;
}

/* Map registers, as many as a transfer of that length takes; half of them, and so on, where memory is short. */
static BOOLEAN IopGiveBounce(IOP_ADAPTER *adapter, ULONG pages) {
    ULONG most = adapter->Boundary != 0 ? (ULONG)(adapter->Boundary >> PAGE_SHIFT) : IOP_MAP_REGISTERS;
    for (pages = pages < most ? pages : most; pages != 0; pages /= 2) {
        adapter->Bounce = IopContiguous(adapter, (ULONG64)pages << PAGE_SHIFT);
        if (adapter->Bounce != NULL) {
            adapter->BouncePhysical = (ULONG64)MmGetPhysicalAddress(adapter->Bounce).QuadPart;
            adapter->Registers = pages;
            return TRUE;
        }
    }
    return FALSE;
}

PDMA_ADAPTER NTAPI IoGetDmaAdapter(PDEVICE_OBJECT PhysicalDeviceObject, PDEVICE_DESCRIPTION DeviceDescription,
                                   PULONG NumberOfMapRegisters) {
    UNREFERENCED_PARAMETER(PhysicalDeviceObject); /* one bus is as another here */
    *NumberOfMapRegisters = 0;
    if (DeviceDescription->Version > DEVICE_DESCRIPTION_VERSION2) {
        return NULL;
    }
    IOP_ADAPTER *adapter = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof *adapter, POOL_TAG_DMA);
    if (adapter == NULL) {
        return NULL;
    }
    RtlZeroMemory(adapter, sizeof *adapter);
    adapter->Public.Version = (USHORT)(DeviceDescription->Version == DEVICE_DESCRIPTION_VERSION ? 1 : 2);
    adapter->Public.Size = sizeof(DMA_ADAPTER);
    adapter->Public.DmaOperations = &IopDmaOperations;
    ULONG pages = BYTES_TO_PAGES((ULONG64)DeviceDescription->MaximumLength) + 1;
    BOOLEAN good = TRUE;
    if (DeviceDescription->Master) {
        IopDescribeMaster(adapter, DeviceDescription);
        adapter->Registers = pages;
        if (!adapter->ScatterGather || adapter->Highest < MiMemoryEnd() - 1) {
            good = IopGiveBounce(adapter, pages);
        }
    } else {
        good = IopDescribeSlave(adapter, DeviceDescription) && IopGiveBounce(adapter, pages);
    }
    if (!good) {
        ExFreePoolWithTag(adapter, POOL_TAG_DMA);
        return NULL;
    }
    *NumberOfMapRegisters = adapter->Registers;
    return &adapter->Public;
}
NT_EXPORT(IoGetDmaAdapter);

PADAPTER_OBJECT NTAPI HalGetAdapter(PDEVICE_DESCRIPTION DeviceDescription, PULONG NumberOfMapRegisters) {
    return (PADAPTER_OBJECT)IoGetDmaAdapter(NULL, DeviceDescription, NumberOfMapRegisters);
}
NT_EXPORT(HalGetAdapter);

/* A legacy form: what is asked for stands in the driver's own wait context block. */
static NTSTATUS NTAPI IopHalAllocateAdapterChannel(PDMA_ADAPTER AdapterObject, PWAIT_CONTEXT_BLOCK Wcb,
                                                   ULONG NumberOfMapRegisters, PDRIVER_CONTROL ExecutionRoutine) {
    return IopAllocateAdapterChannel(AdapterObject, Wcb->DeviceObject, NumberOfMapRegisters, ExecutionRoutine,
                                     Wcb->DeviceContext);
}
NT_EXPORT_AS(IopHalAllocateAdapterChannel, HalAllocateAdapterChannel);
