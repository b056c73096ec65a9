/* SPDX-License-Identifier: Apache-2.0 */
/* Device queues: IRP-4. */
#include <ntddk.h>

#include <dirqltest.h>

#define CPUS    8
#define ENTRIES 300 /* of each CPU */

typedef struct _ENTRY {
    KDEVICE_QUEUE_ENTRY Queue;
    ULONG Producer;
    ULONG Number;
    volatile LONG Served;
    LONG Before;         /* drawn before it was inserted */
    volatile LONG After; /* and afterwards; 0: not yet */
} ENTRY;

static KDEVICE_QUEUE Queue;
static ENTRY Entries[CPUS][ENTRIES];
static ULONG Next[CPUS]; /* the device's: the number that each producer's next entry has */
static volatile LONG Owners;
static volatile LONG Ticket;
static LONG LastBefore; /* the device's: the latest of those that were served */
static volatile LONG Total;
static volatile LONG Go;

static ENTRY *Of(PKDEVICE_QUEUE_ENTRY Entry) {
    return CONTAINING_RECORD(Entry, ENTRY, Queue);
}

TARGET_CASE("IRP-4", an_idle_queue_takes_no_entry, "cpus=1,4") {
    ENTRY *e = Entries[0];
    KIRQL old;
    KeInitializeDeviceQueue(&Queue);
    ASSERT_FALSE(Queue.Busy);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    e[0].Queue.Inserted = TRUE;
    ASSERT_FALSE(KeInsertDeviceQueue(&Queue, &e[0].Queue));
    ASSERT_FALSE(e[0].Queue.Inserted);
    ASSERT_TRUE(Queue.Busy);
    ASSERT_TRUE(IsListEmpty(&Queue.DeviceListHead));
    for (ULONG i = 1; i < 4; i++) {
        ASSERT_TRUE(KeInsertDeviceQueue(&Queue, &e[i].Queue));
        ASSERT_TRUE(e[i].Queue.Inserted);
    }
    ASSERT_FALSE(KeRemoveEntryDeviceQueue(&Queue, &e[0].Queue));
    ASSERT_TRUE(KeRemoveEntryDeviceQueue(&Queue, &e[2].Queue));
    ASSERT_FALSE(KeRemoveEntryDeviceQueue(&Queue, &e[2].Queue));
    ASSERT_EQ(KeRemoveDeviceQueue(&Queue), &e[1].Queue);
    ASSERT_EQ(KeRemoveDeviceQueue(&Queue), &e[3].Queue);
    ASSERT_TRUE(Queue.Busy); /* empty, and somebody has the device still */
    ASSERT_EQ(KeRemoveDeviceQueue(&Queue), NULL);
    ASSERT_FALSE(Queue.Busy);
    ASSERT_EQ(KeRemoveByKeyDeviceQueueIfBusy(&Queue, 0), NULL);
    ASSERT_FALSE(Queue.Busy);
    ASSERT_FALSE(KeInsertByKeyDeviceQueue(&Queue, &e[0].Queue, 7)); /* idle again */
    ASSERT_EQ(KeRemoveByKeyDeviceQueueIfBusy(&Queue, 0), NULL);
    ASSERT_FALSE(Queue.Busy);
    KeLowerIrql(old);
}

/* Ascending, equal keys in the order that they came; taken by key: the first that is not less, else the first. */
TARGET_CASE("IRP-4", keys_sort_entries, "cpus=1,4") {
    static const ULONG key[] = {50, 10, 0xffffffff, 50, 0, 30, 50};
    static const ULONG order[] = {4, 1, 5, 0, 3, 6, 2};
    ENTRY *e = Entries[0];
    KIRQL old;
    KeInitializeDeviceQueue(&Queue);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    for (ULONG turn = 0; turn < 2; turn++) {
        ASSERT_FALSE(KeInsertDeviceQueue(&Queue, &e[100].Queue));
        for (ULONG i = 0; i < RTL_NUMBER_OF(key); i++) {
            ASSERT_TRUE(KeInsertByKeyDeviceQueue(&Queue, &e[i].Queue, key[i]));
        }
        if (turn == 0) {
            for (ULONG i = 0; i < RTL_NUMBER_OF(key); i++) {
                ASSERT_EQ(KeRemoveDeviceQueue(&Queue), &e[order[i]].Queue);
            }
        } else {
            ASSERT_EQ(KeRemoveByKeyDeviceQueue(&Queue, 31), &e[0].Queue);
            ASSERT_EQ(KeRemoveByKeyDeviceQueueIfBusy(&Queue, 50), &e[3].Queue);
            ASSERT_EQ(KeRemoveByKeyDeviceQueue(&Queue, 51), &e[2].Queue);
            ASSERT_EQ(KeRemoveByKeyDeviceQueue(&Queue, 51), &e[4].Queue); /* none so large: the first */
            ASSERT_EQ(KeRemoveByKeyDeviceQueue(&Queue, 10), &e[1].Queue);
            ASSERT_EQ(KeRemoveByKeyDeviceQueue(&Queue, 0), &e[5].Queue);
            ASSERT_EQ(KeRemoveByKeyDeviceQueue(&Queue, 0xffffffff), &e[6].Queue);
        }
        ASSERT_EQ(KeRemoveByKeyDeviceQueue(&Queue, 1), NULL);
        ASSERT_FALSE(Queue.Busy);
    }
    KeLowerIrql(old);
}

/* The caller has the device: it alone. Who had been inserted before somebody else began to be, by whatever CPU, goes first. */
static VOID Serve(ENTRY *Entry) {
    ASSERT_EQ(InterlockedIncrement(&Owners), 1);
    ASSERT_EQ(Entry->Number, Next[Entry->Producer]);
    Next[Entry->Producer]++;
    ASSERT_TRUE(Entry->After == 0 || Entry->After > LastBefore);
    LastBefore = Entry->Before > LastBefore ? Entry->Before : LastBefore;
    ASSERT_EQ(InterlockedIncrement(&Entry->Served), 1);
    Total++; /* its owner's */
    InterlockedDecrement(&Owners);
}

static VOID NTAPI Produce(PVOID Context) {
    ULONG me = (ULONG)(ULONG_PTR)Context;
    KIRQL old;
    InterlockedDecrement(&Go);
    WAIT_UNTIL(Go == 0);
    for (ULONG i = 0; i < ENTRIES; i++) {
        ENTRY *entry = &Entries[me][i];
        PKDEVICE_QUEUE_ENTRY next = &entry->Queue;
        KeRaiseIrql(DISPATCH_LEVEL, &old);
        entry->Before = InterlockedIncrement(&Ticket);
        BOOLEAN queued = KeInsertDeviceQueue(&Queue, next);
        entry->After = InterlockedIncrement(&Ticket);
        if (!queued) {
            do {
                Serve(Of(next));
            } while ((next = KeRemoveDeviceQueue(&Queue)) != NULL);
        }
        KeLowerIrql(old);
    }
}

static VOID PrepareEntries(ULONG Cpus) {
    KeInitializeDeviceQueue(&Queue);
    RtlZeroMemory(Entries, sizeof Entries);
    RtlZeroMemory(Next, sizeof Next);
    for (ULONG cpu = 0; cpu < Cpus; cpu++) {
        for (ULONG i = 0; i < ENTRIES; i++) {
            Entries[cpu][i].Producer = cpu;
            Entries[cpu][i].Number = i;
        }
    }
    Owners = 0;
    Ticket = 0;
    LastBefore = 0;
    Total = 0;
    Go = (LONG)Cpus;
}

TARGET_CASE("IRP-4 IRP-1", one_owner_and_every_entry_once, "smp=2 oracle=SPIN-1") {
    ULONG cpus = TargetCpus();
    PrepareEntries(cpus);
    for (ULONG cpu = 1; cpu < cpus; cpu++) {
        DirqlStartOn(cpu, Produce, (PVOID)(ULONG_PTR)cpu);
    }
    Produce(NULL);
    for (ULONG cpu = 1; cpu < cpus; cpu++) {
        DirqlWaitFor(cpu);
    }
    ASSERT_EQ(Total, cpus * ENTRIES);
    ASSERT_FALSE(Queue.Busy);
    ASSERT_TRUE(IsListEmpty(&Queue.DeviceListHead));
}

/* Takes single entries out, as Cancel routines do, last one first. */
static VOID NTAPI TakeOut(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    InterlockedDecrement(&Go);
    WAIT_UNTIL(Go == 0);
    for (ULONG i = ENTRIES; i-- > 0;) {
        KIRQL old;
        KeRaiseIrql(DISPATCH_LEVEL, &old);
        if (KeRemoveEntryDeviceQueue(&Queue, &Entries[0][i].Queue)) {
            ASSERT_EQ(InterlockedIncrement(&Entries[0][i].Served), 1);
            InterlockedIncrement(&Total);
        }
        KeLowerIrql(old);
    }
}

TARGET_CASE("IRP-4 IRP-8", an_entry_is_removed_by_one, "smp=2") {
    ULONG cpus = TargetCpus();
    PKDEVICE_QUEUE_ENTRY next;
    KIRQL old;
    PrepareEntries(1);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    ASSERT_FALSE(KeInsertDeviceQueue(&Queue, &Entries[1][0].Queue));
    for (ULONG i = 0; i < ENTRIES; i++) {
        ASSERT_TRUE(KeInsertDeviceQueue(&Queue, &Entries[0][i].Queue));
    }
    KeLowerIrql(old);
    Go = (LONG)cpus;
    for (ULONG cpu = 1; cpu < cpus; cpu++) {
        DirqlStartOn(cpu, TakeOut, NULL);
    }
    InterlockedDecrement(&Go);
    WAIT_UNTIL(Go == 0);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    while ((next = KeRemoveDeviceQueue(&Queue)) != NULL) {
        ASSERT_EQ(InterlockedIncrement(&Of(next)->Served), 1);
        InterlockedIncrement(&Total);
    }
    KeLowerIrql(old);
    for (ULONG cpu = 1; cpu < cpus; cpu++) {
        DirqlWaitFor(cpu);
    }
    ASSERT_EQ(Total, ENTRIES);
    ASSERT_FALSE(Queue.Busy);
}

TARGET_CASE("IRP-4", below_dispatch_level, "cpus=2 verifier=on bugcheck=0xc4/0x20003") {
    KeInitializeDeviceQueue(&Queue);
    KeInsertDeviceQueue(&Queue, &Entries[0][0].Queue);
}

TARGET_DRIVER
