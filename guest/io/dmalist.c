/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scatter/gather lists: a whole buffer, MDLs in a chain included, mapped at once for a bus master. A list is one block of
 * memory with all that it takes, the system's or the driver's own: record, elements, map.
 */
#include "dma.h"

typedef struct _IOP_DMA_LIST {
    PDRIVER_LIST_CONTROL Routine;
    PVOID Context;
    PMDL Mdl;
    PUCHAR Va;
    ULONG Length;
    BOOLEAN ToDevice;
    BOOLEAN Owned;  /* the block is the system's */
    BOOLEAN Copied; /* something of it lies in map registers */
    PMDL Target;    /* of BuildMdlFromScatterGatherList; freed with the list */
    IOP_DMA_MAP *Map;
    SCATTER_GATHER_LIST List;
} IOP_DMA_LIST;

static ULONG64 IopListBytes(ULONG pages) {
    ULONG64 bytes = FIELD_OFFSET(IOP_DMA_LIST, List.Elements) + (ULONG64)pages * sizeof(SCATTER_GATHER_ELEMENT);
    return (bytes + 15) & ~15ull;
}

/* Pages of the buffer, MDL by MDL; without MDLs, of the address. FALSE: they describe less than that. */
static BOOLEAN IopCountPages(PMDL mdl, PUCHAR va, ULONG length, ULONG *pages) {
    *pages = mdl == NULL ? (ULONG)ADDRESS_AND_SIZE_TO_SPAN_PAGES(va, length) : 0;
    ULONG left = mdl == NULL ? 0 : length;
    for (; left != 0 && mdl != NULL; mdl = mdl->Next) {
        ULONG64 offset = (ULONG64)va - (ULONG64)MmGetMdlVirtualAddress(mdl);
        if (offset > mdl->ByteCount) {
            return FALSE;
        }
        ULONG bytes = left < mdl->ByteCount - offset ? left : (ULONG)(mdl->ByteCount - offset);
        *pages += bytes != 0 ? (ULONG)ADDRESS_AND_SIZE_TO_SPAN_PAGES(va, bytes) : 0;
        left -= bytes;
        va = mdl->Next != NULL ? MmGetMdlVirtualAddress(mdl->Next) : NULL;
    }
    return left == 0;
}

static VOID IopFillList(IOP_DMA_LIST *list, IOP_DMA_MAP *map) {
    PMDL mdl = list->Mdl;
    PUCHAR va = list->Va;
    for (ULONG left = list->Length; left != 0 && mdl != NULL; mdl = mdl->Next) { /* it is long enough: IopCountPages */
        ULONG64 offset = (ULONG64)va - (ULONG64)MmGetMdlVirtualAddress(mdl);
        ULONG here = left < mdl->ByteCount - offset ? left : (ULONG)(mdl->ByteCount - offset);
        left -= here;
        while (here != 0) {
            SCATTER_GATHER_ELEMENT *element = &list->List.Elements[list->List.NumberOfElements++];
            element->Length = here;
            element->Address = IopMapTransfer(&map->Adapter->Public, mdl, map, va, &element->Length, list->ToDevice);
            va += element->Length;
            here -= element->Length;
        }
        va = mdl->Next != NULL ? MmGetMdlVirtualAddress(mdl->Next) : NULL;
    }
    list->Copied = map->Next != 0;
}

/* The AdapterControl routine of lists. What the driver's routine does with the list may free it. */
static IO_ALLOCATION_ACTION NTAPI IopListControl(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID MapRegisterBase,
                                                 PVOID Context) {
    IOP_DMA_LIST *list = Context;
    IopFillList(list, MapRegisterBase);
    list->Routine(DeviceObject, Irp, &list->List, list->Context);
    return DeallocateObjectKeepRegisters;
}

static NTSTATUS IopStartList(IOP_ADAPTER *adapter, PDEVICE_OBJECT device, const IOP_DMA_LIST *wanted, PVOID buffer,
                             ULONG bytes) {
    ULONG pages;
    IopDmaIrql(DISPATCH_LEVEL, DISPATCH_LEVEL);
    if (adapter->Number != IOP_NO_CHANNEL) {
        return STATUS_NOT_SUPPORTED; /* a controller's channel has one piece at a time */
    }
    if (!IopCountPages(wanted->Mdl, wanted->Va, wanted->Length, &pages) || wanted->Mdl == NULL || pages == 0) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    if (pages > adapter->Registers) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    ULONG64 needed = IopListBytes(pages) + IopMapBytes(adapter, pages);
    if (buffer != NULL && bytes < needed) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    IOP_DMA_LIST *list = buffer != NULL ? buffer : ExAllocatePoolWithTag(NonPagedPoolNx, needed, POOL_TAG_DMA);
    if (list == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    *list = *wanted;
    list->Owned = buffer == NULL;
    list->List.NumberOfElements = 0;
    list->List.Reserved = (ULONG_PTR)list;
    list->Map = (IOP_DMA_MAP *)((PUCHAR)list + IopListBytes(pages));
    IopPrepareMap(list->Map, adapter, device, pages, IopListControl, list);
    list->Map->InList = TRUE;
    __atomic_add_fetch(&adapter->Lists, 1, __ATOMIC_RELAXED); /* a count: read when nobody uses the adapter */
    IopQueueMap(list->Map);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI IopGetScatterGatherList(PDMA_ADAPTER DmaAdapter, PDEVICE_OBJECT DeviceObject, PMDL Mdl, PVOID CurrentVa,
                                       ULONG Length, PDRIVER_LIST_CONTROL ExecutionRoutine, PVOID Context,
                                       BOOLEAN WriteToDevice) {
    IOP_DMA_LIST wanted = {
        .Routine = ExecutionRoutine,
        .Context = Context,
        .Mdl = Mdl,
        .Va = CurrentVa,
        .Length = Length,
        .ToDevice = WriteToDevice,
    };
    return IopStartList(IopAdapterOf(DmaAdapter), DeviceObject, &wanted, NULL, 0);
}

NTSTATUS NTAPI IopBuildScatterGatherList(PDMA_ADAPTER DmaAdapter, PDEVICE_OBJECT DeviceObject, PMDL Mdl,
                                         PVOID CurrentVa, ULONG Length, PDRIVER_LIST_CONTROL ExecutionRoutine,
                                         PVOID Context, BOOLEAN WriteToDevice, PVOID ScatterGatherBuffer,
                                         ULONG ScatterGatherLength) {
    IOP_DMA_LIST wanted = {
        .Routine = ExecutionRoutine,
        .Context = Context,
        .Mdl = Mdl,
        .Va = CurrentVa,
        .Length = Length,
        .ToDevice = WriteToDevice,
    };
    return IopStartList(IopAdapterOf(DmaAdapter), DeviceObject, &wanted, ScatterGatherBuffer, ScatterGatherLength);
}

NTSTATUS NTAPI IopCalculateScatterGatherListSize(PDMA_ADAPTER DmaAdapter, PMDL Mdl, PVOID CurrentVa, ULONG Length,
                                                 PULONG ScatterGatherListSize, PULONG NumberOfMapRegisters) {
    IOP_ADAPTER *adapter = IopAdapterOf(DmaAdapter);
    ULONG pages;
    if (!IopCountPages(Mdl, CurrentVa, Length, &pages)) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    *ScatterGatherListSize = (ULONG)(IopListBytes(pages) + IopMapBytes(adapter, pages));
    if (NumberOfMapRegisters != NULL) {
        *NumberOfMapRegisters = pages;
    }
    return pages <= adapter->Registers ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

VOID NTAPI IopPutScatterGatherList(PDMA_ADAPTER DmaAdapter, PSCATTER_GATHER_LIST ScatterGather, BOOLEAN WriteToDevice) {
    IOP_ADAPTER *adapter = IopAdapterOf(DmaAdapter);
    IopDmaIrql(DISPATCH_LEVEL, DISPATCH_LEVEL);
    IOP_DMA_LIST *list = (IOP_DMA_LIST *)ScatterGather->Reserved;
    if (list == NULL || adapter->Lists == 0) {
        IopDmaViolation(DMA_FREED_LISTS, adapter->Lists, 1, 0);
        return;
    }
    IopFlushMap(list->Map, WriteToDevice);
    PMDL target = list->Target;
    if (target != NULL) {
        if ((target->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA) != 0) {
            MmUnmapLockedPages(target->MappedSystemVa, target);
        }
        IoFreeMdl(target);
    }
    ScatterGather->Reserved = 0;
    __atomic_sub_fetch(&adapter->Lists, 1, __ATOMIC_RELAXED); /* as where it was raised */
    BOOLEAN owned = list->Owned;
    IopReleaseMap(list->Map, 0); /* the driver's own buffer may be anything from now on */
    if (owned) {
        ExFreePoolWithTag(list, POOL_TAG_DMA);
    }
}

/* What lies in map registers keeps its offset in a page, so the pages of the list are those of a buffer like the original. */
NTSTATUS NTAPI IopBuildMdlFromScatterGatherList(PDMA_ADAPTER DmaAdapter, PSCATTER_GATHER_LIST ScatterGather,
                                                PMDL OriginalMdl, PMDL *TargetMdl) {
    UNREFERENCED_PARAMETER(DmaAdapter);
    IOP_DMA_LIST *list = (IOP_DMA_LIST *)ScatterGather->Reserved;
    if (OriginalMdl == NULL || OriginalMdl->Next != NULL) {
        return STATUS_INVALID_PARAMETER; /* one MDL cannot say what a chain says */
    }
    if (list->Target != NULL) {
        return STATUS_NONE_MAPPED;
    }
    if (!list->Copied) {
        *TargetMdl = OriginalMdl;
        return STATUS_SUCCESS;
    }
    list->Target = IoAllocateMdl(list->Va, list->Length, FALSE, FALSE, NULL);
    if (list->Target == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    PFN_NUMBER *frame = MmGetMdlPfnArray(list->Target);
    for (ULONG i = 0; i < ScatterGather->NumberOfElements; i++) {
        ULONG64 first = (ULONG64)ScatterGather->Elements[i].Address.QuadPart;
        ULONG64 pages = ADDRESS_AND_SIZE_TO_SPAN_PAGES(first, ScatterGather->Elements[i].Length);
        for (ULONG64 page = 0; page < pages; page++) {
            *frame++ = (PFN_NUMBER)((first >> PAGE_SHIFT) + page);
        }
    }
    list->Target->MdlFlags |= MDL_PAGES_LOCKED;
    *TargetMdl = list->Target;
    return STATUS_SUCCESS;
}
