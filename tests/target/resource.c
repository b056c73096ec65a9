/* SPDX-License-Identifier: Apache-2.0 */
/* Executive resources: ERES-1 to ERES-5, 0xE3, 0xC4/0x37, 0x38. */
#include <ntddk.h>

#include "threads.h"

#define USERS       6
#define USER_ROUNDS 40

typedef BOOLEAN NTAPI ACQUIRE(PERESOURCE Resource, BOOLEAN Wait);

static ERESOURCE Resource;
static KEVENT LetGo;
static volatile ULONG First; /* written together by an exclusive owner */
static volatile ULONG Second;
static volatile LONG Owners;
static volatile LONG Writers;

static VOID Initialize(VOID) {
    ASSERT_EQ(ExInitializeResourceLite(&Resource), STATUS_SUCCESS);
    KeInitializeEvent(&LetGo, NotificationEvent, FALSE);
    First = Second = 0;
    Owners = Writers = 0;
}

static VOID Delete(VOID) {
    ASSERT_EQ(ExGetExclusiveWaiterCount(&Resource), 0);
    ASSERT_EQ(ExGetSharedWaiterCount(&Resource), 0);
    ASSERT_EQ(ExDeleteResourceLite(&Resource), STATUS_SUCCESS);
}

/* A thread that acquires it, keeps it until LetGo, and releases it. */
typedef struct _USER {
    WORKER Worker;
    ACQUIRE *Acquire;
    BOOLEAN Wait;
    volatile LONG Has; /* 0: not yet; 1: has it; -1: was refused */
    volatile LONG Order;
} USER;

static volatile LONG UserOrder;

static VOID NTAPI UserRoutine(PVOID Context) {
    USER *user = Context;
    KeEnterCriticalRegion();
    BOOLEAN has = user->Acquire(&Resource, user->Wait);
    if (has) {
        user->Order = InterlockedIncrement(&UserOrder);
    }
    user->Has = has ? 1 : -1;
    if (has) {
        ASSERT_EQ(WaitFor(&LetGo), STATUS_SUCCESS);
        ExReleaseResourceLite(&Resource);
    }
    KeLeaveCriticalRegion();
}

static VOID StartUser(USER *User, ACQUIRE *Acquire, BOOLEAN Wait, ULONG Number) {
    User->Acquire = Acquire;
    User->Wait = Wait;
    User->Has = 0;
    User->Order = 0;
    StartWorker(&User->Worker, UserRoutine, User, ABOVE, ON(CPU_OF(Number)));
    WAIT_UNTIL(User->Has == -1 || Waits(User->Worker.Thread));
}

static VOID EndUser(USER *User) {
    EndWorker(&User->Worker);
}

static VOID NTAPI ReadsAndWrites(PVOID Context) {
    for (ULONG i = 0; i < USER_ROUNDS; i++) {
        KeEnterCriticalRegion();
        if ((i + (ULONG)(ULONG_PTR)Context) % 4 == 0) {
            ASSERT_TRUE(ExAcquireResourceExclusiveLite(&Resource, TRUE));
            ASSERT_EQ(InterlockedIncrement(&Writers), 1);
            ASSERT_EQ(Owners, 0);
            First++;
            YieldProcessor();
            Second++;
            InterlockedDecrement(&Writers);
        } else {
            ASSERT_TRUE(ExAcquireResourceSharedLite(&Resource, TRUE));
            InterlockedIncrement(&Owners);
            ASSERT_EQ(Writers, 0);
            ULONG seen = First;
            YieldProcessor();
            ASSERT_EQ(Second, seen);
            InterlockedDecrement(&Owners);
        }
        ExReleaseResourceLite(&Resource);
        KeLeaveCriticalRegion();
    }
}

TARGET_CASE("ERES-1", an_exclusive_owner_is_alone, "") {
    WORKER worker[USERS];
    Initialize();
    for (ULONG i = 0; i < USERS; i++) {
        StartWorker(&worker[i], ReadsAndWrites, (PVOID)(ULONG_PTR)i, CASE_PRIORITY, ON(CPU_OF(i)));
    }
    for (ULONG i = 0; i < USERS; i++) {
        EndWorker(&worker[i]);
    }
    ASSERT_EQ(First, USERS * USER_ROUNDS / 4);
    ASSERT_EQ(Second, First);
    Delete();
}

TARGET_CASE("ERES-1", many_share, "") {
    USER user[USERS];
    Initialize();
    for (ULONG i = 0; i < USERS; i++) {
        StartUser(&user[i], ExAcquireResourceSharedLite, FALSE, i);
        ASSERT_EQ(user[i].Has, 1);
    }
    KeEnterCriticalRegion();
    ASSERT_FALSE(ExAcquireResourceExclusiveLite(&Resource, FALSE));
    ASSERT_EQ(ExIsResourceAcquiredSharedLite(&Resource), 0);
    KeLeaveCriticalRegion();
    KeSetEvent(&LetGo, 0, FALSE);
    for (ULONG i = 0; i < USERS; i++) {
        EndUser(&user[i]);
    }
    Delete();
}

TARGET_CASE("ERES-1", who_does_not_want_to_wait_is_refused, "") {
    USER owner;
    USER other[4];
    static ACQUIRE *const all[4] = {ExAcquireResourceExclusiveLite, ExAcquireResourceSharedLite,
                                    ExAcquireSharedStarveExclusive, ExAcquireSharedWaitForExclusive};
    Initialize();
    StartUser(&owner, ExAcquireResourceExclusiveLite, TRUE, 0);
    ASSERT_EQ(owner.Has, 1);
    for (ULONG i = 0; i < 4; i++) {
        StartUser(&other[i], all[i], FALSE, i);
        EndUser(&other[i]);
        ASSERT_EQ(other[i].Has, -1);
    }
    KeSetEvent(&LetGo, 0, FALSE);
    EndUser(&owner);
    Delete();
}

/* The case shares, one waits for exclusive access: who comes then? */
TARGET_CASE("ERES-2", a_waiting_exclusive_one_holds_back_who_comes, "") {
    USER writer;
    USER plain;
    USER polite;
    USER starving;
    Initialize();
    UserOrder = 0;
    KeEnterCriticalRegion();
    ASSERT_TRUE(ExAcquireResourceSharedLite(&Resource, TRUE));
    StartUser(&writer, ExAcquireResourceExclusiveLite, TRUE, 1);
    ASSERT_EQ(writer.Has, 0);
    ASSERT_EQ(ExGetExclusiveWaiterCount(&Resource), 1);
    StartUser(&plain, ExAcquireResourceSharedLite, TRUE, 2);
    StartUser(&polite, ExAcquireSharedWaitForExclusive, TRUE, 3);
    ASSERT_EQ(plain.Has, 0);
    ASSERT_EQ(polite.Has, 0);
    ASSERT_EQ(ExGetSharedWaiterCount(&Resource), 2);
    StartUser(&starving, ExAcquireSharedStarveExclusive, TRUE, 1);
    ASSERT_EQ(starving.Has, 1);
    ASSERT_TRUE(ExAcquireResourceSharedLite(&Resource, FALSE)); /* it shares already */
    ASSERT_FALSE(ExAcquireSharedWaitForExclusive(&Resource, FALSE));
    ASSERT_EQ(ExIsResourceAcquiredSharedLite(&Resource), 2);
    ExReleaseResourceLite(&Resource);
    ExReleaseResourceLite(&Resource);
    KeLeaveCriticalRegion();
    Settle();
    ASSERT_EQ(writer.Has, 0); /* the starving one is there still */
    KeSetEvent(&LetGo, 0, FALSE);
    EndUser(&starving);
    EndUser(&writer);
    EndUser(&plain);
    EndUser(&polite);
    ASSERT_EQ(starving.Order, 1);
    ASSERT_EQ(writer.Order, 2);
    Delete();
}

/* Sharers that waited come in together after an exclusive owner, before the next one. */
TARGET_CASE("ERES-2", sharers_and_exclusive_ones_take_turns, "") {
    USER writer[2];
    USER reader[2];
    Initialize();
    UserOrder = 0;
    KeEnterCriticalRegion();
    ASSERT_TRUE(ExAcquireResourceExclusiveLite(&Resource, TRUE));
    StartUser(&writer[0], ExAcquireResourceExclusiveLite, TRUE, 0);
    StartUser(&reader[0], ExAcquireResourceSharedLite, TRUE, 1);
    StartUser(&writer[1], ExAcquireResourceExclusiveLite, TRUE, 2);
    StartUser(&reader[1], ExAcquireResourceSharedLite, TRUE, 3);
    ASSERT_EQ(ExGetExclusiveWaiterCount(&Resource), 2);
    ASSERT_EQ(ExGetSharedWaiterCount(&Resource), 2);
    ExReleaseResourceLite(&Resource);
    KeLeaveCriticalRegion();
    WAIT_UNTIL(reader[0].Has == 1 && reader[1].Has == 1);
    Settle();
    ASSERT_EQ(writer[0].Has, 0);
    KeSetEvent(&LetGo, 0, FALSE);
    for (ULONG i = 0; i < 2; i++) {
        EndUser(&reader[i]);
        EndUser(&writer[i]);
    }
    ASSERT_EQ(writer[0].Order, 3); /* the first that waited */
    ASSERT_EQ(writer[1].Order, 4);
    Delete();
}

TARGET_CASE("ERES-3", each_acquisition_has_a_release, "") {
    USER other;
    Initialize();
    KeEnterCriticalRegion();
    ASSERT_TRUE(ExAcquireResourceExclusiveLite(&Resource, TRUE));
    ASSERT_TRUE(ExAcquireResourceExclusiveLite(&Resource, FALSE));
    ASSERT_TRUE(ExAcquireResourceSharedLite(&Resource, FALSE)); /* exclusive all the same */
    ASSERT_TRUE(ExIsResourceAcquiredExclusiveLite(&Resource));
    ASSERT_EQ(ExIsResourceAcquiredSharedLite(&Resource), 3);
    StartUser(&other, ExAcquireResourceSharedLite, TRUE, 1);
    for (ULONG i = 3; i > 1; i--) {
        ExReleaseResourceLite(&Resource);
        Settle();
        ASSERT_EQ(other.Has, 0);
    }
    ExReleaseResourceLite(&Resource);
    KeLeaveCriticalRegion();
    ASSERT_FALSE(ExIsResourceAcquiredExclusiveLite(&Resource));
    ASSERT_EQ(ExIsResourceAcquiredSharedLite(&Resource), 0);
    WAIT_UNTIL(other.Has == 1);
    KeSetEvent(&LetGo, 0, FALSE);
    EndUser(&other);
    Delete();
}

TARGET_CASE("ERES-4", an_exclusive_owner_becomes_one_that_shares, "") {
    USER reader;
    USER writer;
    Initialize();
    KeEnterCriticalRegion();
    ASSERT_TRUE(ExAcquireResourceExclusiveLite(&Resource, TRUE));
    StartUser(&writer, ExAcquireResourceExclusiveLite, TRUE, 0);
    StartUser(&reader, ExAcquireResourceSharedLite, TRUE, 1);
    ASSERT_EQ(reader.Has, 0);
    ExConvertExclusiveToSharedLite(&Resource);
    ASSERT_FALSE(ExIsResourceAcquiredExclusiveLite(&Resource));
    ASSERT_EQ(ExIsResourceAcquiredSharedLite(&Resource), 1);
    WAIT_UNTIL(reader.Has == 1);
    ASSERT_EQ(writer.Has, 0);
    ExReleaseResourceLite(&Resource);
    KeLeaveCriticalRegion();
    KeSetEvent(&LetGo, 0, FALSE);
    EndUser(&reader);
    EndUser(&writer);
    Delete();
}

/* Another thread releases what the pointer owns. */
static VOID NTAPI ReleasesThePointers(PVOID Context) {
    KeEnterCriticalRegion();
    ExReleaseResourceForThreadLite(&Resource, (ERESOURCE_THREAD)Context);
    KeLeaveCriticalRegion();
}

TARGET_CASE("ERES-4", an_owner_pointer_owns_it, "") {
    PVOID pointer = (PVOID)((ULONG_PTR)&LetGo | 3);
    Initialize();
    KeEnterCriticalRegion();
    ASSERT_TRUE(ExAcquireResourceExclusiveLite(&Resource, TRUE));
    ExSetResourceOwnerPointer(&Resource, pointer);
    ASSERT_FALSE(ExIsResourceAcquiredExclusiveLite(&Resource));
    ASSERT_FALSE(ExAcquireResourceSharedLite(&Resource, FALSE));
    EndThread(StartThread(ReleasesThePointers, pointer));
    ASSERT_TRUE(ExAcquireResourceSharedLite(&Resource, FALSE));
    ExSetResourceOwnerPointer(&Resource, pointer);
    ASSERT_TRUE(ExAcquireResourceSharedLite(&Resource, FALSE));
    ExSetResourceOwnerPointer(&Resource, pointer); /* two acquisitions by one owner now */
    EndThread(StartThread(ReleasesThePointers, pointer));
    ASSERT_FALSE(ExAcquireResourceExclusiveLite(&Resource, FALSE));
    EndThread(StartThread(ReleasesThePointers, pointer));
    ASSERT_TRUE(ExAcquireResourceExclusiveLite(&Resource, FALSE));
    ExReleaseResourceLite(&Resource);
    KeLeaveCriticalRegion();
    Delete();
}

TARGET_CASE("ERES-5 APC-2", some_forms_enter_a_critical_region_too, "") {
    Initialize();
    ASSERT_EQ(ExEnterCriticalRegionAndAcquireResourceExclusive(&Resource), KeGetCurrentThread());
    ASSERT_TRUE(KeAreApcsDisabled());
    ASSERT_TRUE(ExIsResourceAcquiredExclusiveLite(&Resource));
    ExReleaseResourceAndLeaveCriticalRegion(&Resource);
    ASSERT_FALSE(KeAreApcsDisabled());
    ExEnterCriticalRegionAndAcquireResourceShared(&Resource);
    ExEnterCriticalRegionAndAcquireSharedWaitForExclusive(&Resource);
    ASSERT_EQ(ExIsResourceAcquiredSharedLite(&Resource), 2);
    ExReleaseResourceAndLeaveCriticalRegion(&Resource);
    ASSERT_TRUE(KeAreApcsDisabled());
    ExReleaseResourceAndLeaveCriticalRegion(&Resource);
    ASSERT_FALSE(KeAreApcsDisabled());
    ASSERT_EQ(ExReinitializeResourceLite(&Resource), STATUS_SUCCESS);
    Delete();
}

TARGET_CASE("ERES-5", acquired_with_apcs_enabled, "verifier=on bugcheck=0xc4/0x37/0/0") {
    Initialize();
    ExAcquireResourceSharedLite(&Resource, TRUE);
}

TARGET_CASE("ERES-5", released_with_apcs_enabled, "verifier=on bugcheck=0xc4/0x38/0/0") {
    Initialize();
    KeEnterCriticalRegion();
    ExAcquireResourceExclusiveLite(&Resource, TRUE);
    KeLeaveCriticalRegion();
    ExReleaseResourceLite(&Resource);
}

TARGET_CASE("ERES-3", released_by_one_who_does_not_own_it, "bugcheck=0xe3") {
    USER owner;
    Initialize();
    StartUser(&owner, ExAcquireResourceSharedLite, TRUE, 0);
    KeEnterCriticalRegion();
    ExReleaseResourceLite(&Resource);
}

TARGET_DRIVER
