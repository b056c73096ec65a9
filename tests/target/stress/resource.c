/* SPDX-License-Identifier: Apache-2.0 */
/* Executive resources: random forms, recursion and conversion; an exclusive owner is alone, and nothing is left at the end. */
#include <ntddk.h>

#include "stress.h"

#define ROUNDS 120

typedef BOOLEAN NTAPI ACQUIRE(PERESOURCE Resource, BOOLEAN Wait);

static ERESOURCE Resource;
static volatile LONG Sharers;
static volatile LONG Exclusive;
static ULONG First; /* written together by an exclusive owner */
static ULONG Second;
static volatile LONG Written;

static VOID Read(RANDOM *numbers) {
    InterlockedIncrement(&Sharers);
    ASSERT_EQ(Exclusive, 0);
    ULONG seen = *(volatile ULONG *)&First;
    StressPause(numbers);
    ASSERT_EQ(*(volatile ULONG *)&Second, seen);
    InterlockedDecrement(&Sharers);
}

static VOID Write(RANDOM *numbers) {
    ASSERT_EQ(InterlockedIncrement(&Exclusive), 1);
    ASSERT_EQ(Sharers, 0);
    First++;
    StressPause(numbers);
    Second++;
    InterlockedIncrement(&Written);
    ASSERT_EQ(InterlockedDecrement(&Exclusive), 0);
}

static VOID UseExclusive(RANDOM *numbers) {
    if (!ExAcquireResourceExclusiveLite(&Resource, Random(numbers, 3) != 0)) {
        return;
    }
    ASSERT_TRUE(ExIsResourceAcquiredExclusiveLite(&Resource));
    Write(numbers);
    if (Random(numbers, 3) == 0) {
        ASSERT_TRUE(Random(numbers, 2) == 0 ? ExAcquireResourceExclusiveLite(&Resource, FALSE)
                                            : ExAcquireResourceSharedLite(&Resource, FALSE));
        Write(numbers);
        ExReleaseResourceLite(&Resource);
        Write(numbers);
    }
    if (Random(numbers, 3) == 0) {
        ExConvertExclusiveToSharedLite(&Resource);
        Read(numbers);
    }
    ExReleaseResourceLite(&Resource);
}

static VOID UseShared(RANDOM *numbers) {
    static ACQUIRE *const forms[] = {ExAcquireResourceSharedLite, ExAcquireSharedStarveExclusive,
                                     ExAcquireSharedWaitForExclusive};
    if (!forms[Random(numbers, RTL_NUMBER_OF(forms))](&Resource, Random(numbers, 3) != 0)) {
        return;
    }
    Read(numbers);
    if (Random(numbers, 3) == 0) {
        ASSERT_TRUE(ExAcquireResourceSharedLite(&Resource, TRUE));
        Read(numbers);
        ASSERT_EQ(ExIsResourceAcquiredSharedLite(&Resource), 2);
        ExReleaseResourceLite(&Resource);
    }
    Read(numbers);
    ExReleaseResourceLite(&Resource);
}

static VOID NTAPI UsesIt(PVOID Context) {
    STRESS *stress = Context;
    for (ULONG i = 0; i < ROUNDS; i++) {
        KeEnterCriticalRegion();
        if (Random(&stress->Numbers, 3) == 0) {
            UseExclusive(&stress->Numbers);
        } else {
            UseShared(&stress->Numbers);
        }
        ASSERT_EQ(ExIsResourceAcquiredSharedLite(&Resource), 0);
        KeLeaveCriticalRegion();
    }
}

TARGET_CASE("ERES-1 ERES-3", stress_of_a_resource, "") {
    static STRESS stress[STRESS_THREADS];
    ExInitializeResourceLite(&Resource);
    Sharers = Exclusive = Written = 0;
    First = Second = 0;
    StartStress(stress, StressSeed("executive resource"), UsesIt, STRESS_THREADS);
    EndStress(stress, STRESS_THREADS);
    ASSERT_GT(Written, 0);
    ASSERT_EQ(First, Written);
    ASSERT_EQ(Second, Written);
    KeEnterCriticalRegion();
    ASSERT_TRUE(ExAcquireResourceExclusiveLite(&Resource, FALSE)); /* nobody has it */
    ExReleaseResourceLite(&Resource);
    KeLeaveCriticalRegion();
    ExDeleteResourceLite(&Resource);
}
