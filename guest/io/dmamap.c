/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One transfer: where its next piece lies for the device, and what becomes of the copies when it is over. A piece that the
 * device reaches is used in place; another is copied through map registers, where it keeps its offset in a page. A system
 * channel is set going here and stopped by the flush.
 */
#include "../include/mutant.h"
#include "dma.h"

#include "../hal/hal.h"
#include "../hal/regs.h"
#include "../mm/mi.h"

static ULONG64 IopPhysicalOf(PMDL mdl, ULONG64 offset) {
    ULONG64 at = mdl->ByteOffset + offset;
    return ((ULONG64)MmGetMdlPfnArray(mdl)[at >> PAGE_SHIFT] << PAGE_SHIFT) + (at & (PAGE_SIZE - 1));
}

static BOOLEAN IopIsReachable(const IOP_ADAPTER *adapter, ULONG64 physical) {
    return (physical | (PAGE_SIZE - 1)) <= adapter->Highest ||
        MUTANT(DmaAnywhere, "DMA-2", "a device is given addresses that it does not reach");
}

/* How many bytes from here on the device reaches in one piece, as they lie; 0: none. */
static ULONG IopRunInPlace(const IOP_ADAPTER *adapter, PMDL mdl, ULONG64 offset, ULONG bytes) {
    ULONG64 first = IopPhysicalOf(mdl, offset);
    ULONG run = 0;
    while (run < bytes) {
        ULONG64 physical = IopPhysicalOf(mdl, offset + run);
        if (physical != first + run || !IopIsReachable(adapter, physical)) {
            break;
        }
        ULONG step = (ULONG)(PAGE_SIZE - (physical & (PAGE_SIZE - 1)));
        run += step < bytes - run ? step : bytes - run;
    }
    if (adapter->Boundary != 0 && run != 0 &&
        !MUTANT(DmaCrosses, "DMA-3", "a channel's transfer crosses a 64 KiB boundary")) {
        ULONG64 end = (first | (adapter->Boundary - 1)) + 1;
        run = end - first < run ? (ULONG)(end - first) : run;
    }
    return run;
}

/* How many bytes from here on have to be copied, and fit into what is left of the registers. */
static ULONG IopRunToCopy(const IOP_DMA_MAP *map, PMDL mdl, ULONG64 offset, ULONG bytes) {
    const IOP_ADAPTER *adapter = map->Adapter;
    ULONG64 start = BYTE_OFFSET(mdl->ByteOffset + offset);
    ULONG64 room = (ULONG64)(map->Count - map->Next) << PAGE_SHIFT;
    ULONG run = 0;
    if (room == 0) {
        KeBugCheckEx(DRIVER_VERIFIER_DMA_VIOLATION, DMA_MISCELLANEOUS, 2, BYTES_TO_PAGES(start + bytes), 0);
    }
    bytes = room - start < bytes ? (ULONG)(room - start) : bytes;
    while (run < bytes) {
        ULONG64 physical = IopPhysicalOf(mdl, offset + run);
        if (adapter->ScatterGather && IopIsReachable(adapter, physical)) {
            break;
        }
        ULONG step = (ULONG)(PAGE_SIZE - (physical & (PAGE_SIZE - 1)));
        run += step < bytes - run ? step : bytes - run;
    }
    return run;
}

static VOID IopCopySlot(const IOP_DMA_MAP *map, ULONG slot, BOOLEAN to_device) {
    const IOP_DMA_SLOT *entry = &map->Slot[slot];
    ULONG64 offset = (ULONG64)(entry->Va - (PUCHAR)MmGetMdlVirtualAddress(entry->Mdl));
    PUCHAR copy = map->Adapter->Bounce + ((ULONG64)(map->First + slot) << PAGE_SHIFT) + BYTE_OFFSET(entry->Va);
    for (ULONG done = 0; done < entry->Bytes;) {
        ULONG64 physical = IopPhysicalOf(entry->Mdl, offset + done);
        ULONG step = (ULONG)(PAGE_SIZE - (physical & (PAGE_SIZE - 1)));
        step = step < entry->Bytes - done ? step : entry->Bytes - done;
        PUCHAR own = MiPhysicalToVirtual(physical);
        RtlCopyMemory(to_device ? copy + done : own, to_device ? own : copy + done, step);
        done += step;
    }
}

/* Returns where the copy is. */
static ULONG64 IopCopyIn(IOP_DMA_MAP *map, PMDL mdl, PUCHAR va, ULONG bytes, BOOLEAN to_device) {
    ULONG slot = map->Next;
    IOP_DMA_SLOT entry = {.Mdl = mdl, .Va = va, .Bytes = bytes};
    map->Slot[slot] = entry;
    map->Next += (ULONG)ADDRESS_AND_SIZE_TO_SPAN_PAGES(va, bytes);
    if (to_device) {
        IopCopySlot(map, slot, TRUE);
    }
    return map->Adapter->BouncePhysical + ((ULONG64)(map->First + slot) << PAGE_SHIFT) + BYTE_OFFSET(va);
}

PHYSICAL_ADDRESS NTAPI IopMapTransfer(PDMA_ADAPTER DmaAdapter, PMDL Mdl, PVOID MapRegisterBase, PVOID CurrentVa,
                                      PULONG Length, BOOLEAN WriteToDevice) {
    IOP_ADAPTER *adapter = IopAdapterOf(DmaAdapter);
    IOP_DMA_MAP *map = MapRegisterBase;
    ULONG64 offset = (ULONG64)CurrentVa - (ULONG64)MmGetMdlVirtualAddress(Mdl);
    PHYSICAL_ADDRESS address = {.QuadPart = 0};
    IopDmaIrql(PASSIVE_LEVEL, DISPATCH_LEVEL);
    if (*Length == 0) {
        IopDmaViolation(DMA_ZERO_LENGTH, 0, 0, 0);
        return address;
    }
    if (offset >= Mdl->ByteCount) {
        IopDmaViolation(DMA_OUTSIDE_OF_MDL, (ULONG64)CurrentVa, (ULONG64)Mdl, 0);
        *Length = 0;
        return address;
    }
    ULONG bytes = *Length < Mdl->ByteCount - offset ? *Length : (ULONG)(Mdl->ByteCount - offset);
    ULONG run = IopRunInPlace(adapter, Mdl, offset, bytes);
    if (run == bytes || (run != 0 && adapter->ScatterGather)) {
        address.QuadPart = (LONGLONG)IopPhysicalOf(Mdl, offset);
    } else {
        run = IopRunToCopy(map, Mdl, offset, bytes);
        address.QuadPart = (LONGLONG)IopCopyIn(map, Mdl, CurrentVa, run, WriteToDevice);
    }
    *Length = run;
    map->Unmapped += run;
    if (adapter->Number != IOP_NO_CHANNEL) {
        ULONG direction = WriteToDevice ? DMA_MODE_FROM_RAM : DMA_MODE_TO_RAM;
        HalpStartDma(adapter->Number, (ULONG64)address.QuadPart, run, adapter->Mode | direction);
    }
    return address;
}

/* Those of the registers that lie in this part of the buffer; everything of one that does in part. */
static VOID IopFlushSlots(IOP_DMA_MAP *map, PMDL mdl, PUCHAR va, ULONG bytes, BOOLEAN to_device) {
    BOOLEAN any = FALSE;
    for (ULONG slot = 0; map->Adapter->Bounce != NULL && slot < map->Next; slot++) {
        IOP_DMA_SLOT *entry = &map->Slot[slot];
        BOOLEAN inside = entry->Mdl != NULL &&
            (mdl == NULL || (entry->Mdl == mdl && entry->Va < va + bytes && va < entry->Va + entry->Bytes));
        if (inside) {
            if (!to_device && !MUTANT(DmaFlushForgets, "DMA-2", "what a device wrote is not copied back")) {
                IopCopySlot(map, slot, FALSE);
            }
            entry->Mdl = NULL;
        }
        any |= entry->Mdl != NULL;
    }
    if (!any) {
        map->Next = 0;
    }
}

BOOLEAN NTAPI IopFlushAdapterBuffers(PDMA_ADAPTER DmaAdapter, PMDL Mdl, PVOID MapRegisterBase, PVOID CurrentVa,
                                     ULONG Length, BOOLEAN WriteToDevice) {
    IOP_ADAPTER *adapter = IopAdapterOf(DmaAdapter);
    IOP_DMA_MAP *map = MapRegisterBase;
    IopDmaIrql(PASSIVE_LEVEL, DISPATCH_LEVEL);
    if (adapter->Number != IOP_NO_CHANNEL) {
        HalpStopDma(adapter->Number); /* before the copy: nothing comes any more */
    }
    if (Length > map->Unmapped) {
        IopDmaViolation(DMA_MISCELLANEOUS, 1, map->Unmapped, Length);
    }
    map->Unmapped -= Length < map->Unmapped ? Length : map->Unmapped;
    IopFlushSlots(map, Mdl, CurrentVa, Length, WriteToDevice);
    return TRUE;
}

VOID IopFlushMap(IOP_DMA_MAP *map, BOOLEAN to_device) {
    map->Unmapped = 0;
    IopFlushSlots(map, NULL, NULL, 0, to_device);
}
