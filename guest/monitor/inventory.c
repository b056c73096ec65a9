/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine holds (include/inventory.h), and the moment of rest at which it can be counted. */
#include "io.h"

#include "../ex/ex.h"
#include "../ke/timer.h"
#include "../mm/mi.h"
#include "../ob/ob.h"
#include "../ps/ps.h"

C_ASSERT(HOST_INVENTORY_TAGS >= EX_POOL_TAGS);

VOID MonitorRest(VOID) {
    KeFlushQueuedDpcs();
    /* Acquire: what threads that have just ended held has been given back. */
    while (__atomic_load_n(&KiThreadsEnding, __ATOMIC_ACQUIRE) != 0) {
        _mm_pause();
    }
}

static ULONG64 MonitorCountInterrupts(VOID) {
    ULONG64 connected = 0, count, claimed;
    for (ULONG vector = 0; vector < 256; vector++) {
        PKINTERRUPT interrupt = NULL;
        while (KiQueryInterrupt(vector, &interrupt, &count, &claimed)) {
            connected++;
        }
    }
    return connected;
}

static ULONG64 MonitorCountImages(VOID) {
    ULONG64 images = 0;
    for (ULONG i = 0; i < MAXIMUM_IMAGES; i++) {
        images += LdrImages[i].Base != 0;
    }
    return images;
}

static ULONG64 MonitorCountObjects(const OBJECT_TYPE *type) {
    return (ULONG64)__atomic_load_n(&type->Count, __ATOMIC_RELAXED);
}

static ULONG64 MonitorCountRequests(VOID) {
    ULONG64 requests = 0;
    for (ULONG i = 0; i < HOST_IO_SLOTS; i++) {
        requests += __atomic_load_n(&HostIoWork[i].References, __ATOMIC_RELAXED) != 0;
    }
    return requests;
}

static VOID MonitorCountPool(HOST_INVENTORY *inventory, ULONG64 own_threads) {
    EX_POOL_TAG tag;
    while (ExQueryPoolTag((ULONG)inventory->TagCount, &tag)) {
        HOST_INVENTORY_TAG *entry = &inventory->Tag[inventory->TagCount++];
        entry->Tag = tag.Tag;
        for (ULONG kind = 0; kind < RTL_NUMBER_OF(entry->Blocks); kind++) {
            entry->Blocks[kind] = tag.Pool[kind].Allocations - tag.Pool[kind].Frees;
            entry->Bytes[kind] = tag.Pool[kind].Bytes;
        }
        if (tag.Tag == PS_THREAD_TAG && entry->Blocks[0] != 0) {
            entry->Bytes[0] -= own_threads * (entry->Bytes[0] / entry->Blocks[0]); /* all of one size */
            entry->Blocks[0] -= own_threads;
        }
    }
}

VOID MonitorTakeInventory(HOST_INVENTORY *inventory) {
    ULONG64 own_threads = HostIoThreadCount();
    RtlZeroMemory(inventory, sizeof *inventory);
    inventory->Interrupts = MonitorCountInterrupts();
    inventory->Vectors = KiCountVectors();
    inventory->Threads = KiThreadCount - own_threads;
    inventory->Timers = KiTimerCount;
    inventory->Handles = ObCountHandles();
    inventory->Images = MonitorCountImages();
    inventory->Drivers = MonitorCountObjects(&IopDriverType);
    inventory->Devices = MonitorCountObjects(&IopDeviceType);
    inventory->Files = MonitorCountObjects(&IopFileType);
    inventory->Names = ObCountNames();
    inventory->Requests = MonitorCountRequests();
    inventory->FreePages = MiFreePageCount();
    MonitorCountPool(inventory, own_threads);
}
