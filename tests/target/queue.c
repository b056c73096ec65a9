/* SPDX-License-Identifier: Apache-2.0 */
/* Queue objects: QUE-1 to QUE-3. */
#include <ntddk.h>

#include "threads.h"

#include <queue.h>

#define SERVERS 4
#define ENTRIES 3

typedef struct _ENTRY {
    LIST_ENTRY List;
    ULONG Number;
} ENTRY;

static KQUEUE Queue;
static KEVENT Elsewhere;
static ENTRY Entry[SERVERS + ENTRIES];

/* A thread that takes entries from the queue until it is told to end. */
typedef struct _SERVER {
    WORKER Worker;
    volatile LONG Taken;           /* entries */
    volatile ULONG Numbers[8];     /* of them */
    PKEVENT Waits;                 /* for this after each entry; NULL: for nothing */
    volatile PLIST_ENTRY LastWord; /* what ended it */
    LONG Limit;                    /* ends after so many entries */
} SERVER;

static VOID NTAPI ServerRoutine(PVOID Context) {
    SERVER *server = Context;
    for (;;) {
        PLIST_ENTRY taken = KeRemoveQueue(&Queue, KernelMode, NULL);
        if (taken == (PLIST_ENTRY)STATUS_ABANDONED) {
            server->LastWord = taken;
            return;
        }
        server->Numbers[server->Taken] = CONTAINING_RECORD(taken, ENTRY, List)->Number;
        if (InterlockedIncrement(&server->Taken) == server->Limit) {
            return;
        }
        if (server->Waits != NULL) {
            ASSERT_EQ(WaitFor(server->Waits), STATUS_SUCCESS);
        }
    }
}

static VOID StartServer(SERVER *Server, PKEVENT Waiting, LONG Limit, ULONG Cpu) {
    RtlZeroMemory(Server, sizeof *Server);
    Server->Waits = Waiting;
    Server->Limit = Limit;
    StartWorker(&Server->Worker, ServerRoutine, Server, ABOVE, ON(Cpu));
    WAIT_UNTIL(Waits(Server->Worker.Thread) || Server->Taken == Limit);
}

static VOID Initialize(ULONG Limit) {
    KeInitializeQueue(&Queue, Limit);
    KeInitializeEvent(&Elsewhere, NotificationEvent, FALSE);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Entry); i++) {
        Entry[i].Number = i;
    }
}

TARGET_CASE("QUE-1", entries_come_in_their_order, "") {
    LARGE_INTEGER now = {.QuadPart = 0};
    Initialize(0);
    ASSERT_EQ(KeReadStateQueue(&Queue), 0);
    ASSERT_EQ(KeRemoveQueue(&Queue, KernelMode, &now), (PLIST_ENTRY)STATUS_TIMEOUT);
    ASSERT_EQ(KeInsertQueue(&Queue, &Entry[0].List), 0);
    ASSERT_EQ(KeInsertQueue(&Queue, &Entry[1].List), 1);
    ASSERT_EQ(KeInsertHeadQueue(&Queue, &Entry[2].List), 2);
    ASSERT_EQ(KeReadStateQueue(&Queue), 3);
    ASSERT_EQ(KeRemoveQueue(&Queue, KernelMode, NULL), &Entry[2].List);
    ASSERT_EQ(KeRemoveQueue(&Queue, KernelMode, &now), &Entry[0].List);
    ASSERT_EQ(KeRemoveQueue(&Queue, KernelMode, &now), &Entry[1].List);
    ASSERT_EQ(KeReadStateQueue(&Queue), 0);
    ASSERT_EQ(KeRemoveQueue(&Queue, KernelMode, &now), (PLIST_ENTRY)STATUS_TIMEOUT);
    ASSERT_EQ(KeRundownQueue(&Queue), NULL);
}

TARGET_CASE("QUE-1", the_last_that_waits_is_served_first, "") {
    SERVER server[SERVERS];
    Initialize(SERVERS);
    for (ULONG i = 0; i < SERVERS; i++) {
        StartServer(&server[i], NULL, 1, CPU_OF(i));
    }
    for (ULONG i = 0; i < SERVERS; i++) {
        KeInsertQueue(&Queue, &Entry[i].List);
        EndWorker(&server[SERVERS - 1 - i].Worker);
        ASSERT_EQ(server[SERVERS - 1 - i].Numbers[0], i);
    }
    ASSERT_EQ(KeReadStateQueue(&Queue), 0);
    KeRundownQueue(&Queue);
}

TARGET_CASE("QUE-1", a_wait_for_an_entry_times_out, FAST_TICKS) {
    LARGE_INTEGER soon = {.QuadPart = 3 * MILLISECONDS};
    Initialize(0);
    ASSERT_EQ(KeRemoveQueue(&Queue, KernelMode, &soon), (PLIST_ENTRY)STATUS_TIMEOUT);
    ASSERT_EQ(KeInsertQueue(&Queue, &Entry[0].List), 0);
    ASSERT_EQ(KeRemoveQueue(&Queue, KernelMode, &soon), &Entry[0].List);
    KeRundownQueue(&Queue);
}

/* One at once, and that one is the case: an entry lies there until it waits. */
TARGET_CASE("QUE-2", no_more_are_busy_than_the_limit_says, "") {
    LARGE_INTEGER now = {.QuadPart = 0};
    SERVER server;
    Initialize(1);
    StartServer(&server, NULL, 2, CPU_OF(1));
    ASSERT_EQ(KeRemoveQueue(&Queue, KernelMode, &now), (PLIST_ENTRY)STATUS_TIMEOUT);
    ASSERT_EQ(KeInsertQueue(&Queue, &Entry[0].List), 0);
    ASSERT_EQ(KeInsertQueue(&Queue, &Entry[1].List), 1);
    Settle();
    ASSERT_EQ(server.Taken, 0);
    ASSERT_TRUE(Waits(server.Worker.Thread));
    ASSERT_EQ(KeReadStateQueue(&Queue), 2);
    EndWorker(&server.Worker); /* the case waits now, and the server is the only one */
    ASSERT_EQ(server.Taken, 2);
    ASSERT_EQ(server.Numbers[0], 0);
    ASSERT_EQ(server.Numbers[1], 1);
    KeRundownQueue(&Queue);
}

TARGET_CASE("QUE-2", who_waits_elsewhere_lets_another_go_on, "") {
    SERVER server[3];
    Initialize(1);
    for (ULONG i = 0; i < 3; i++) {
        StartServer(&server[i], &Elsewhere, 0, CPU_OF(i));
    }
    for (ULONG i = 0; i < 3; i++) { /* each takes one and waits elsewhere */
        KeInsertQueue(&Queue, &Entry[i].List);
        WAIT_UNTIL(server[2 - i].Taken == 1 && Waits(server[2 - i].Worker.Thread));
    }
    ASSERT_EQ(KeInsertQueue(&Queue, &Entry[3].List), 0);
    ASSERT_EQ(KeReadStateQueue(&Queue), 1); /* none is left to take it */
    KeSetEvent(&Elsewhere, 0, FALSE);
    WAIT_UNTIL(server[0].Taken + server[1].Taken + server[2].Taken == 4);
    KeRundownQueue(&Queue);
    for (ULONG i = 0; i < 3; i++) {
        EndWorker(&server[i].Worker);
    }
}

/* A thread that ends, or turns to another queue, is busy with the first no more. */
TARGET_CASE("QUE-2", a_thread_leaves_its_queue, "") {
    static KQUEUE other;
    LARGE_INTEGER now = {.QuadPart = 0};
    SERVER server[2];
    Initialize(1);
    KeInitializeQueue(&other, 1);
    StartServer(&server[0], NULL, 1, CPU_OF(1));
    KeInsertQueue(&Queue, &Entry[0].List);
    EndWorker(&server[0].Worker); /* ended while busy */
    KeInsertQueue(&Queue, &Entry[1].List);
    ASSERT_EQ(KeRemoveQueue(&Queue, KernelMode, &now), &Entry[1].List);
    ASSERT_EQ(KeRemoveQueue(&other, KernelMode, &now), (PLIST_ENTRY)STATUS_TIMEOUT);
    StartServer(&server[1], NULL, 1, CPU_OF(1));
    KeInsertQueue(&Queue, &Entry[2].List); /* the case does not count there any more */
    WAIT_UNTIL(server[1].Taken == 1);
    EndWorker(&server[1].Worker);
    KeRundownQueue(&Queue);
    KeRundownQueue(&other);
}

TARGET_CASE("QUE-3", a_rundown_gives_the_entries_back_and_wakes_who_waits, "") {
    SERVER server[2];
    Initialize(1);
    StartServer(&server[0], NULL, 0, CPU_OF(0));
    StartServer(&server[1], NULL, 0, CPU_OF(1));
    ASSERT_EQ(KeRundownQueue(&Queue), NULL);
    for (ULONG i = 0; i < 2; i++) {
        EndWorker(&server[i].Worker);
        ASSERT_EQ(server[i].LastWord, (PLIST_ENTRY)STATUS_ABANDONED);
    }
    ASSERT_EQ(KeRemoveQueue(&Queue, KernelMode, NULL), (PLIST_ENTRY)STATUS_ABANDONED); /* and who comes later */
    Initialize(1);
    for (ULONG i = 0; i < ENTRIES; i++) {
        KeInsertQueue(&Queue, &Entry[i].List);
    }
    PLIST_ENTRY first = KeRundownQueue(&Queue);
    ASSERT_EQ(first, &Entry[0].List);
    for (ULONG i = 0; i < ENTRIES; i++) {
        ASSERT_EQ(first, &Entry[i].List);
        first = first->Flink;
    }
    ASSERT_EQ(first, &Entry[0].List);
}

TARGET_DRIVER
