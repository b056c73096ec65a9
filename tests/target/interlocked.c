/* SPDX-License-Identifier: Apache-2.0 */
/* Interlocked lists and counters under a spin lock, and sequenced lists: IRP-5 to IRP-7. */
#include <ntddk.h>

#include "locks.h"

#define LIST_ROUNDS  200
#define LIST_ENTRIES 4
#define LIST_MOST    64

typedef struct _NUMBERED {
    LIST_ENTRY Link;
    SINGLE_LIST_ENTRY Single;
    ULONG Cpu;
    ULONG Number;
} NUMBERED;

typedef struct DECLSPEC_ALIGN(16) _SEQUENCED {
    SLIST_ENTRY Link;
    volatile LONG Owned; /* somebody has popped it and not pushed it back */
} SEQUENCED;

static KSPIN_LOCK Lock[8];
static LIST_ENTRY List;
static SINGLE_LIST_ENTRY Single;
static NUMBERED Entry[LIST_MOST][LIST_ENTRIES];
static SEQUENCED Sequenced[LIST_ENTRIES];
static DECLSPEC_ALIGN(16) SLIST_HEADER Header;
static ULONG Sum;
static LARGE_INTEGER LargeSum;
static volatile LONG Finished;
static volatile LONG Popped;
static volatile LONG Interrupts;

TARGET_CASE("IRP-5", insertions_return_what_was_there, "") {
    NUMBERED *entry = Entry[0];
    InitializeListHead(&List);
    ASSERT_EQ(ExInterlockedRemoveHeadList(&List, &Lock[0]), NULL);
    ASSERT_EQ(ExInterlockedInsertTailList(&List, &entry[0].Link, &Lock[0]), NULL);
    ASSERT_EQ(ExInterlockedInsertTailList(&List, &entry[1].Link, &Lock[0]), &entry[0].Link); /* was last */
    ASSERT_EQ(ExInterlockedInsertHeadList(&List, &entry[2].Link, &Lock[0]), &entry[0].Link); /* was first */
    ASSERT_EQ(ExInterlockedRemoveHeadList(&List, &Lock[0]), &entry[2].Link);
    ASSERT_EQ(ExInterlockedRemoveHeadList(&List, &Lock[0]), &entry[0].Link);
    ASSERT_EQ(ExInterlockedRemoveHeadList(&List, &Lock[0]), &entry[1].Link);
    ASSERT_EQ(ExInterlockedRemoveHeadList(&List, &Lock[0]), NULL);
    ASSERT_EQ(ExInterlockedInsertHeadList(&List, &entry[3].Link, &Lock[0]), NULL);
    ASSERT_EQ(ExInterlockedRemoveHeadList(&List, &Lock[0]), &entry[3].Link);
    ASSERT_TRUE(KeTestSpinLock(&Lock[0]));
}

TARGET_CASE("IRP-5", singly_linked_too, "") {
    NUMBERED *entry = Entry[0];
    Single.Next = NULL;
    ASSERT_EQ(ExInterlockedPopEntryList(&Single, &Lock[1]), NULL);
    ASSERT_EQ(ExInterlockedPushEntryList(&Single, &entry[0].Single, &Lock[1]), NULL);
    ASSERT_EQ(ExInterlockedPushEntryList(&Single, &entry[1].Single, &Lock[1]), &entry[0].Single);
    ASSERT_EQ(ExInterlockedPopEntryList(&Single, &Lock[1]), &entry[1].Single);
    ASSERT_EQ(ExInterlockedPopEntryList(&Single, &Lock[1]), &entry[0].Single);
    ASSERT_EQ(ExInterlockedPopEntryList(&Single, &Lock[1]), NULL);
}

static VOID NTAPI Produce(PVOID Context) {
    ULONG cpu = (ULONG)(ULONG_PTR)Context;
    for (ULONG i = 0; i < LIST_ROUNDS; i++) {
        NUMBERED *entry = &Entry[cpu][i % LIST_ENTRIES];
        WAIT_UNTIL(*(volatile ULONG *)&entry->Number == 0);
        entry->Cpu = cpu;
        entry->Number = i + 1;
        ExInterlockedInsertTailList(&List, &entry->Link, &Lock[2]);
    }
    InterlockedIncrement(&Finished);
}

/* Every CPU but one puts in, that one takes out: all come out once, each producer's in its order. */
TARGET_CASE("IRP-5 SYS-11", a_queue_loses_and_repeats_nothing, "smp=2 oracle=SPIN-1") {
    static ULONG expected[LIST_MOST];
    ULONG taken = 0;
    ULONG all = LIST_ROUNDS * (TargetCpus() - 1);
    InitializeListHead(&List);
    Finished = 0;
    RtlZeroMemory(Entry, sizeof Entry);
    RtlZeroMemory(expected, sizeof expected);
    StartOthers(Produce);
    while (taken != all) {
        /* A look without the lock while it is empty: a producer may be set aside for long, and the trace is not to be full of that. */
        WAIT_UNTIL(*(PLIST_ENTRY volatile *)&List.Flink != &List);
        PLIST_ENTRY link = ExInterlockedRemoveHeadList(&List, &Lock[2]);
        ASSERT_NE(link, NULL);
        NUMBERED *entry = CONTAINING_RECORD(link, NUMBERED, Link);
        ASSERT_EQ(entry->Number, expected[entry->Cpu] + 1);
        expected[entry->Cpu] = entry->Number;
        *(volatile ULONG *)&entry->Number = 0;
        taken++;
    }
    WaitForOthers();
    ASSERT_EQ(ExInterlockedRemoveHeadList(&List, &Lock[2]), NULL);
}

static BOOLEAN NTAPI InsertFromIsr(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(ServiceContext);
    ExInterlockedInsertTailList(&List, &Entry[0][0].Link, &Lock[3]);
    ASSERT_EQ(ExInterlockedAddUlong(&Sum, 1, &Lock[3]), (ULONG)Interrupts);
    InterlockedIncrement(&Interrupts);
    return TRUE;
}

/* The ISR comes in the middle of the same routines on its own CPU: they mask it, or it would wait for ever. */
TARGET_CASE("IRP-5 IRP-7 SPIN-18", an_isr_and_what_it_interrupts, "smp=2") {
    LOCK_INTERRUPT interrupt = ConnectLockInterrupt(InsertFromIsr, NULL);
    InitializeListHead(&List);
    Interrupts = 0;
    Sum = 0;
    for (LONG i = 0; i < 50; i++) {
        DirqlInterrupt(0, interrupt.Vector);
        while (Interrupts == i) {
            ExInterlockedInsertHeadList(&List, &Entry[0][1].Link, &Lock[3]);
            PLIST_ENTRY link;
            do {
                link = ExInterlockedRemoveHeadList(&List, &Lock[3]);
            } while (link != NULL && link != &Entry[0][1].Link && link != &Entry[0][0].Link);
        }
        while (ExInterlockedRemoveHeadList(&List, &Lock[3]) != NULL) {
        }
    }
    ASSERT_EQ(Sum, 50);
    DisconnectLockInterrupt(&interrupt);
}

static VOID NTAPI AddMany(PVOID Context) {
    LARGE_INTEGER three = {.QuadPart = 3};
    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i < LIST_ROUNDS; i++) {
        ExInterlockedAddUlong(&Sum, 2, &Lock[4]);
        ExInterlockedAddLargeInteger(&LargeSum, three, &Lock[4]);
    }
}

TARGET_CASE("IRP-7", sums_are_exact, "oracle=SPIN-1") {
    Sum = 0;
    LargeSum.QuadPart = 0xfffffff0LL;
    StartOthers(AddMany);
    AddMany(NULL);
    WaitForOthers();
    ASSERT_EQ(Sum, 2 * LIST_ROUNDS * TargetCpus());
    ASSERT_EQ(LargeSum.QuadPart, 0xfffffff0LL + (LONGLONG)(3 * LIST_ROUNDS * TargetCpus()));
}

TARGET_CASE("IRP-7", addition_returns_the_value_before, "") {
    ULONG number = 0xfffffffeu;
    LARGE_INTEGER large = {.QuadPart = 0xffffffffLL};
    LARGE_INTEGER one = {.QuadPart = 1};
    ASSERT_EQ(ExInterlockedAddUlong(&number, 5, &Lock[5]), 0xfffffffeu);
    ASSERT_EQ(number, 3); /* it wraps */
    ASSERT_EQ(ExInterlockedAddLargeInteger(&large, one, &Lock[5]).QuadPart, 0xffffffffLL);
    ASSERT_EQ(large.QuadPart, 0x100000000LL);
    LONG exchanged = 7;
    ASSERT_EQ(InterlockedExchangeAdd(&exchanged, 4), 7);
    ASSERT_EQ(exchanged, 11);
}

TARGET_CASE("IRP-6", last_in_first_out, "") {
    InitializeSListHead(&Header);
    ASSERT_EQ(ExQueryDepthSList(&Header), 0);
    ASSERT_EQ(ExInterlockedPopEntrySList(&Header, NULL), NULL);
    ASSERT_EQ(ExInterlockedFlushSList(&Header), NULL);
    ASSERT_EQ(ExInterlockedPushEntrySList(&Header, &Sequenced[0].Link, NULL), NULL);
    ASSERT_EQ(ExInterlockedPushEntrySList(&Header, &Sequenced[1].Link, NULL), &Sequenced[0].Link);
    ASSERT_EQ(ExInterlockedPushEntrySList(&Header, &Sequenced[2].Link, NULL), &Sequenced[1].Link);
    ASSERT_EQ(ExQueryDepthSList(&Header), 3);
    ASSERT_EQ(ExInterlockedPopEntrySList(&Header, NULL), &Sequenced[2].Link);
    ASSERT_EQ(ExQueryDepthSList(&Header), 2);
    PSLIST_ENTRY chain = ExInterlockedFlushSList(&Header);
    ASSERT_EQ(chain, &Sequenced[1].Link);
    ASSERT_EQ(chain->Next, &Sequenced[0].Link);
    ASSERT_EQ(chain->Next->Next, NULL);
    ASSERT_EQ(ExQueryDepthSList(&Header), 0);
    ASSERT_EQ(ExInterlockedPopEntrySList(&Header, NULL), NULL);
}

/* The same first entry and the same depth, yet another header: an exchange that began before would fail. */
TARGET_CASE("IRP-6", the_sequence_tells_a_list_from_its_past, "") {
    InitializeSListHead(&Header);
    ExInterlockedPushEntrySList(&Header, &Sequenced[0].Link, NULL);
    ExInterlockedPushEntrySList(&Header, &Sequenced[1].Link, NULL);
    SLIST_HEADER before = Header;
    ASSERT_EQ(ExInterlockedPopEntrySList(&Header, NULL), &Sequenced[1].Link);
    ASSERT_EQ(ExInterlockedPopEntrySList(&Header, NULL), &Sequenced[0].Link);
    ExInterlockedPushEntrySList(&Header, &Sequenced[3].Link, NULL);
    ExInterlockedPushEntrySList(&Header, &Sequenced[1].Link, NULL);
    ASSERT_EQ(Header.Region, before.Region); /* first is the same, second is not */
    ASSERT_NE(Header.Alignment, before.Alignment);
    ExInterlockedFlushSList(&Header);
}

static VOID NTAPI PopAndPush(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i < LIST_ROUNDS; i++) {
        PSLIST_ENTRY link = ExInterlockedPopEntrySList(&Header, NULL);
        if (link == NULL) {
            YieldProcessor();
            continue;
        }
        SEQUENCED *entry = CONTAINING_RECORD(link, SEQUENCED, Link);
        ASSERT_EQ(InterlockedExchange(&entry->Owned, 1), 0); /* nobody else has it */
        InterlockedIncrement(&Popped);
        link->Next = (PSLIST_ENTRY)0x10; /* what it held is the owner's to change */
        InterlockedExchange(&entry->Owned, 0);
        ExInterlockedPushEntrySList(&Header, link, NULL);
    }
}

TARGET_CASE("IRP-6", entries_have_one_owner, "smp=2") {
    InitializeSListHead(&Header);
    Popped = 0;
    for (ULONG i = 0; i < LIST_ENTRIES; i++) {
        Sequenced[i].Owned = 0;
        ExInterlockedPushEntrySList(&Header, &Sequenced[i].Link, NULL);
    }
    StartOthers(PopAndPush);
    PopAndPush(NULL);
    WaitForOthers();
    ASSERT_GT(Popped, 0);
    ASSERT_EQ(ExQueryDepthSList(&Header), LIST_ENTRIES);
    for (ULONG i = 0; i < LIST_ENTRIES; i++) {
        ASSERT_NE(ExInterlockedPopEntrySList(&Header, NULL), NULL);
    }
    ASSERT_EQ(ExInterlockedPopEntrySList(&Header, NULL), NULL);
}

TARGET_CASE("IRP-6", a_misaligned_header, "bugcheck=0x1e/0xffffffff80000002") {
    InitializeSListHead((PSLIST_HEADER)((PUCHAR)&Header + 8));
}

TARGET_DRIVER
