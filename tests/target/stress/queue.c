/* SPDX-License-Identifier: Apache-2.0 */
/* A queue object: every entry that went in is taken once, and no more are busy at once than its limit says. */
#include <ntddk.h>

#include "stress.h"

#include <queue.h>

#define PRODUCERS 3
#define SERVERS   4
#define ENTRIES   60
#define LIMIT     2

typedef struct _ENTRY {
    LIST_ENTRY List;
    volatile LONG Taken;
    ULONG Left; /* times that it goes in again */
} ENTRY;

static KQUEUE Queue;
static ENTRY Entry[PRODUCERS][ENTRIES];
static volatile LONG Inserted;
static volatile LONG Taken;
static volatile LONG Busy;

static VOID Insert(ENTRY *entry, RANDOM *numbers) {
    InterlockedIncrement(&Inserted);
    if (Random(numbers, 4) == 0) {
        KeInsertHeadQueue(&Queue, &entry->List);
    } else {
        KeInsertQueue(&Queue, &entry->List);
    }
}

static VOID NTAPI Produces(PVOID Context) {
    STRESS *stress = Context;
    for (ULONG i = 0; i < ENTRIES; i++) {
        Entry[stress->Number][i].Taken = 0;
        Entry[stress->Number][i].Left = Random(&stress->Numbers, 3);
        Insert(&Entry[stress->Number][i], &stress->Numbers);
        StressPause(&stress->Numbers);
    }
}

static VOID NTAPI Serves(PVOID Context) {
    STRESS *stress = Context;
    LARGE_INTEGER now = {.QuadPart = 0};
    LARGE_INTEGER soon = {.QuadPart = -1};
    for (;;) {
        ULONG patience = Random(&stress->Numbers, 4);
        PLIST_ENTRY list = KeRemoveQueue(&Queue, KernelMode, patience == 0 ? &now : patience == 1 ? &soon : NULL);
        if (list == (PLIST_ENTRY)STATUS_ABANDONED) {
            return;
        }
        if (list == (PLIST_ENTRY)STATUS_TIMEOUT) {
            continue;
        }
        ASSERT_LE(InterlockedIncrement(&Busy), LIMIT);
        ENTRY *entry = CONTAINING_RECORD(list, ENTRY, List);
        ASSERT_EQ(InterlockedIncrement(&entry->Taken), 1);
        InterlockedIncrement(&Taken);
        StressPause(&stress->Numbers);
        InterlockedDecrement(&entry->Taken);
        if (entry->Left != 0) {
            entry->Left--;
            Insert(entry, &stress->Numbers);
        }
        InterlockedDecrement(&Busy);
    }
}

TARGET_CASE("QUE-1 QUE-2", stress_of_a_queue, FAST_TICKS) {
    static STRESS producer[PRODUCERS];
    static STRESS server[SERVERS];
    ULONG64 seed = StressSeed("queue");
    LARGE_INTEGER soon = {.QuadPart = -1};
    KeInitializeQueue(&Queue, LIMIT);
    Inserted = Taken = Busy = 0;
    StartStress(server, seed, Serves, SERVERS);
    StartStress(producer, seed + SERVERS, Produces, PRODUCERS);
    EndStress(producer, PRODUCERS);
    while (Taken != Inserted || Busy != 0) {
        KeDelayExecutionThread(KernelMode, FALSE, &soon);
    }
    ASSERT_EQ(KeReadStateQueue(&Queue), 0);
    ASSERT_EQ(KeRundownQueue(&Queue), NULL);
    EndStress(server, SERVERS);
    ASSERT_GE(Taken, PRODUCERS * ENTRIES);
}
