/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who uses an adapter: AdapterControl routines are called at DISPATCH_LEVEL, one after the other, in the order that they were
 * asked for, each when the channel is free and its map registers are there. A routine that keeps the channel may find it
 * freed, by a DPC on another CPU, before it has returned, so nothing is looked at after KeepObject.
 */
#include "../include/mutant.h"
#include "dma.h"

#include "../hal/hal.h"
#include "../hal/regs.h"

static IOP_DMA_CHANNEL IopSystemChannels[DMA_CHANNELS];

VOID IopInitializeChannel(IOP_DMA_CHANNEL *channel) {
    KeInitializeSpinLock(&channel->Lock);
    InitializeListHead(&channel->Waiters);
    channel->Owner = NULL;
}

IOP_DMA_CHANNEL *IopSystemChannel(ULONG number) {
    return &IopSystemChannels[number];
}

VOID IopInitializeDma(VOID) {
    for (ULONG i = 0; i < DMA_CHANNELS; i++) {
        IopInitializeChannel(&IopSystemChannels[i]);
    }
}

ULONG64 IopMapBytes(const IOP_ADAPTER *adapter, ULONG registers) {
    return sizeof(IOP_DMA_MAP) + (adapter->Bounce != NULL ? registers * sizeof(IOP_DMA_SLOT) : 0);
}

VOID IopPrepareMap(IOP_DMA_MAP *map, IOP_ADAPTER *adapter, PDEVICE_OBJECT device, ULONG registers,
                   PDRIVER_CONTROL routine, PVOID context) {
    RtlZeroMemory(map, IopMapBytes(adapter, registers));
    map->Adapter = adapter;
    map->Device = device;
    map->Irp = device != NULL ? device->CurrentIrp : NULL;
    map->Count = registers;
    map->Routine = routine;
    map->Context = context;
}

/* The lock is held. FALSE: they are not there in a row. */
static BOOLEAN IopTakeRegisters(IOP_DMA_MAP *map) {
    IOP_ADAPTER *adapter = map->Adapter;
    if (adapter->Bounce == NULL || map->Count == 0) {
        return TRUE;
    }
    ULONG64 wanted = map->Count == IOP_MAP_REGISTERS ? ~0ull : (1ull << map->Count) - 1;
    for (ULONG first = 0; first + map->Count <= adapter->Registers; first++) {
        if ((adapter->Used & wanted << first) == 0 ||
            MUTANT(DmaRegistersShared, "DMA-2", "map registers are given to two at a time")) {
            adapter->Used |= wanted << first;
            map->First = first;
            return TRUE;
        }
    }
    return FALSE;
}

/* The lock is held. */
static VOID IopGiveRegisters(IOP_DMA_MAP *map) {
    IOP_ADAPTER *adapter = map->Adapter;
    adapter->Maps--;
    if (adapter->Bounce != NULL && map->Count != 0) {
        ULONG64 held = map->Count == IOP_MAP_REGISTERS ? ~0ull : (1ull << map->Count) - 1;
        adapter->Used &= ~(held << map->First);
    }
}

static VOID IopFreeMap(IOP_DMA_MAP *map) {
    if (!map->InList) {
        ExFreePoolWithTag(map, POOL_TAG_DMA);
    }
}

/* DISPATCH_LEVEL, the lock is held; it is let go while a routine runs. */
static VOID IopRunQueue(IOP_DMA_CHANNEL *channel) {
    while (!IsListEmpty(&channel->Waiters) && channel->Owner == NULL) {
        PLIST_ENTRY next = MUTANT(DmaLastFirst, "DMA-1", "who asked last for a DMA channel has it first")
            ? channel->Waiters.Blink
            : channel->Waiters.Flink;
        IOP_DMA_MAP *map = CONTAINING_RECORD(next, IOP_DMA_MAP, Link);
        if (!IopTakeRegisters(map)) {
            break; /* nobody overtakes: the registers come back to him */
        }
        RemoveEntryList(&map->Link);
        map->Adapter->Maps++;
        channel->Owner = map;
        KeReleaseSpinLockFromDpcLevel(&channel->Lock);
        IO_ALLOCATION_ACTION action = map->Routine(map->Device, map->Irp, map, map->Context);
        KeAcquireSpinLockAtDpcLevel(&channel->Lock);
        if (action == KeepObject) {
            continue;
        }
        channel->Owner = NULL;
        if (action == DeallocateObject) {
            IopGiveRegisters(map);
            IopFreeMap(map);
        }
    }
}

VOID IopQueueMap(IOP_DMA_MAP *map) {
    IOP_DMA_CHANNEL *channel = map->Adapter->Channel;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&channel->Lock);
    InsertTailList(&channel->Waiters, &map->Link);
    IopRunQueue(channel);
    KeReleaseSpinLock(&channel->Lock, irql);
}

VOID IopReleaseMap(IOP_DMA_MAP *map, ULONG registers) {
    IOP_DMA_CHANNEL *channel = map->Adapter->Channel;
    if (registers != 0 && registers != map->Count) {
        IopDmaViolation(DMA_FREED_REGISTERS, registers - map->Count, map->Count, 0);
    }
    if (map->Unmapped != 0) {
        IopDmaViolation(DMA_STILL_MAPPED, BYTES_TO_PAGES(map->Unmapped), map->Unmapped, 0);
    }
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&channel->Lock);
    IopGiveRegisters(map);
    IopFreeMap(map);
    IopRunQueue(channel);
    KeReleaseSpinLock(&channel->Lock, irql);
}

NTSTATUS NTAPI IopAllocateAdapterChannel(PDMA_ADAPTER DmaAdapter, PDEVICE_OBJECT DeviceObject,
                                         ULONG NumberOfMapRegisters, PDRIVER_CONTROL ExecutionRoutine, PVOID Context) {
    IOP_ADAPTER *adapter = IopAdapterOf(DmaAdapter);
    IopDmaIrql(DISPATCH_LEVEL, DISPATCH_LEVEL);
    if (NumberOfMapRegisters > adapter->Registers) {
        IopDmaViolation(DMA_MANY_REGISTERS, NumberOfMapRegisters, adapter->Registers, 0);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    IOP_DMA_MAP *map = ExAllocatePoolWithTag(NonPagedPoolNx, IopMapBytes(adapter, NumberOfMapRegisters), POOL_TAG_DMA);
    if (map == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    IopPrepareMap(map, adapter, DeviceObject, NumberOfMapRegisters, ExecutionRoutine, Context);
    IopQueueMap(map);
    return STATUS_SUCCESS;
}

VOID NTAPI IopFreeAdapterChannel(PDMA_ADAPTER DmaAdapter) {
    IOP_ADAPTER *adapter = IopAdapterOf(DmaAdapter);
    IOP_DMA_CHANNEL *channel = adapter->Channel;
    IopDmaIrql(PASSIVE_LEVEL, DISPATCH_LEVEL);
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&channel->Lock);
    IOP_DMA_MAP *map = channel->Owner;
    if (map == NULL || map->Adapter != adapter) {
        KeReleaseSpinLock(&channel->Lock, irql);
        IopDmaViolation(DMA_FREED_CHANNELS, 1, 0, 0);
        return;
    }
    if (adapter->Number != IOP_NO_CHANNEL) {
        HalpStopDma(adapter->Number);
    }
    channel->Owner = NULL;
    IopGiveRegisters(map);
    IopFreeMap(map);
    IopRunQueue(channel);
    KeReleaseSpinLock(&channel->Lock, irql);
}

VOID NTAPI IopFreeMapRegisters(PDMA_ADAPTER DmaAdapter, PVOID MapRegisterBase, ULONG NumberOfMapRegisters) {
    IOP_DMA_MAP *map = MapRegisterBase;
    IopDmaIrql(PASSIVE_LEVEL, DISPATCH_LEVEL);
    if (map->Adapter != IopAdapterOf(DmaAdapter)) {
        IopDmaViolation(DMA_FREED_REGISTERS, NumberOfMapRegisters, 0, 0);
        return;
    }
    IopReleaseMap(map, NumberOfMapRegisters);
}
