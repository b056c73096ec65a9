/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device queues (nt/startio.h): entries in order, and whether somebody has the device. Both are the queue's own spin lock's, so
 * that whoever finds the queue empty makes it idle before the next one looks whether it is.
 */
#include "../include/mutant.h"
#include "ki.h"

#define KI_DEVICE_QUEUE_OBJECT 20 /* its Type; the DDK headers use the name DeviceQueueObject and define none */

VOID NTAPI KeInitializeDeviceQueue(PKDEVICE_QUEUE DeviceQueue) {
    RtlZeroMemory(DeviceQueue, sizeof *DeviceQueue);
    DeviceQueue->Type = KI_DEVICE_QUEUE_OBJECT;
    DeviceQueue->Size = sizeof *DeviceQueue;
    InitializeListHead(&DeviceQueue->DeviceListHead);
}
NT_EXPORT(KeInitializeDeviceQueue);

static KIRQL KiLockDeviceQueue(PKDEVICE_QUEUE queue, ULONG64 caller) {
    KIRQL irql = KiRaiseIrql(DISPATCH_LEVEL, caller);
    KiAcquireSpinLock(&queue->Lock, caller);
    return irql;
}

static VOID KiUnlockDeviceQueue(PKDEVICE_QUEUE queue, KIRQL irql, ULONG64 caller) {
    KiReleaseSpinLock(&queue->Lock, caller);
    KiLowerIrql(irql, caller);
}

static PKDEVICE_QUEUE_ENTRY KiDeviceQueueEntry(PLIST_ENTRY link) {
    return CONTAINING_RECORD(link, KDEVICE_QUEUE_ENTRY, DeviceListEntry);
}

/* The first entry whose key is at least `key`, or the list's head. */
static PLIST_ENTRY KiFindKey(PKDEVICE_QUEUE queue, ULONG64 key) {
    PLIST_ENTRY link = queue->DeviceListHead.Flink;
    while (link != &queue->DeviceListHead && KiDeviceQueueEntry(link)->SortKey < key) {
        link = link->Flink;
    }
    return link;
}

static BOOLEAN KiInsertDeviceQueue(PKDEVICE_QUEUE queue, PKDEVICE_QUEUE_ENTRY entry, const ULONG *key, ULONG64 caller) {
    KIRQL irql = KiLockDeviceQueue(queue, caller);
    BOOLEAN busy = queue->Busy;
    if (busy || MUTANT(DeviceQueueIdleInserts, "IRP-4", "an entry is queued although nobody has the device")) {
        /* An insertion before `place`: the head stands for the end. */
        ULONG64 above = MUTANT(DeviceQueueKeyBefore, "IRP-4 IRP-1", "an entry goes before those of its key") ? 0 : 1;
        PLIST_ENTRY place = key != NULL ? KiFindKey(queue, *key + above) : &queue->DeviceListHead;
        entry->SortKey = key != NULL ? *key : 0;
        entry->Inserted = TRUE;
        InsertTailList(place, &entry->DeviceListEntry);
    } else {
        entry->Inserted = FALSE;
    }
    queue->Busy = TRUE;
    KiUnlockDeviceQueue(queue, irql, caller);
    return busy;
}

BOOLEAN NTAPI KeInsertDeviceQueue(PKDEVICE_QUEUE DeviceQueue, PKDEVICE_QUEUE_ENTRY DeviceQueueEntry) {
    return KiInsertDeviceQueue(DeviceQueue, DeviceQueueEntry, NULL, KI_CALLER);
}
NT_EXPORT(KeInsertDeviceQueue);

BOOLEAN NTAPI KeInsertByKeyDeviceQueue(PKDEVICE_QUEUE DeviceQueue, PKDEVICE_QUEUE_ENTRY DeviceQueueEntry,
                                       ULONG SortKey) {
    return KiInsertDeviceQueue(DeviceQueue, DeviceQueueEntry, &SortKey, KI_CALLER);
}
NT_EXPORT(KeInsertByKeyDeviceQueue);

static PKDEVICE_QUEUE_ENTRY KiRemoveDeviceQueue(PKDEVICE_QUEUE queue, ULONG key, ULONG64 caller) {
    PKDEVICE_QUEUE_ENTRY entry = NULL;
    KIRQL irql = KiLockDeviceQueue(queue, caller);
    if (IsListEmpty(&queue->DeviceListHead) &&
        MUTANT(DeviceQueueIdleLate, "IRP-4 IRP-1", "a queue becomes idle when its lock has been given back")) {
        KiReleaseSpinLock(&queue->Lock, caller);
        YieldProcessor(); /* time for somebody to come in between */
        queue->Busy = FALSE;
        KiLowerIrql(irql, caller);
        return NULL;
    }
    if (IsListEmpty(&queue->DeviceListHead)) {
        if (!MUTANT(DeviceQueueStaysBusy, "IRP-4 IRP-2", "a queue that runs empty stays busy")) {
            queue->Busy = FALSE;
        }
    } else {
        PLIST_ENTRY link = KiFindKey(queue, key);
        entry = KiDeviceQueueEntry(link != &queue->DeviceListHead ? link : link->Flink);
        RemoveEntryList(&entry->DeviceListEntry);
        entry->Inserted = FALSE;
    }
    /* Of a queue that is no device object's the names mean nothing, and nobody asks for them. */
    trace(TraceStartIoNext, (ULONG64)CONTAINING_RECORD(queue, DEVICE_OBJECT, DeviceQueue),
          entry != NULL ? (ULONG64)CONTAINING_RECORD(entry, IRP, Tail.Overlay.DeviceQueueEntry) : 0);
    KiUnlockDeviceQueue(queue, irql, caller);
    return entry;
}

PKDEVICE_QUEUE_ENTRY NTAPI KeRemoveDeviceQueue(PKDEVICE_QUEUE DeviceQueue) {
    return KiRemoveDeviceQueue(DeviceQueue, 0, KI_CALLER); /* no key is below 0: the first entry */
}
NT_EXPORT(KeRemoveDeviceQueue);

PKDEVICE_QUEUE_ENTRY NTAPI KeRemoveByKeyDeviceQueue(PKDEVICE_QUEUE DeviceQueue, ULONG SortKey) {
    return KiRemoveDeviceQueue(DeviceQueue, SortKey, KI_CALLER);
}
NT_EXPORT(KeRemoveByKeyDeviceQueue);

/* A queue that is not busy is empty: nothing comes of it, and not busy it stays. */
PKDEVICE_QUEUE_ENTRY NTAPI KeRemoveByKeyDeviceQueueIfBusy(PKDEVICE_QUEUE DeviceQueue, ULONG SortKey) {
    return KiRemoveDeviceQueue(DeviceQueue, SortKey, KI_CALLER);
}
NT_EXPORT(KeRemoveByKeyDeviceQueueIfBusy);

BOOLEAN NTAPI KeRemoveEntryDeviceQueue(PKDEVICE_QUEUE DeviceQueue, PKDEVICE_QUEUE_ENTRY DeviceQueueEntry) {
    KIRQL irql = KiLockDeviceQueue(DeviceQueue, KI_CALLER);
    BOOLEAN queued = DeviceQueueEntry->Inserted;
    if (queued) {
        RemoveEntryList(&DeviceQueueEntry->DeviceListEntry);
        DeviceQueueEntry->Inserted = FALSE;
    }
    KiUnlockDeviceQueue(DeviceQueue, irql, KI_CALLER);
    return queued;
}
NT_EXPORT(KeRemoveEntryDeviceQueue);
