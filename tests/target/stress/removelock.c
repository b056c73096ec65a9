/* SPDX-License-Identifier: Apache-2.0 */
/* Remove locks and rundown protection: threads use an object until it is refused; whoever removes it finds nobody inside. */
#include <ntddk.h>

#include "stress.h"

#define OBJECTS 6
#define USES    60 /* of an object, by each thread at most, before it is removed */

typedef struct _OBJECT {
    IO_REMOVE_LOCK Lock;
    EX_RUNDOWN_REF Rundown;
    volatile LONG Users;
    volatile LONG Uses;
    volatile LONG Gone;
    volatile LONG Refused; /* threads that were */
} OBJECT;

static OBJECT *Object[OBJECTS];
static volatile LONG Used;
static volatile LONG Released;

static BOOLEAN Enter(OBJECT *object, ULONG which, PVOID tag) {
    return which % 2 == 0 ? IoAcquireRemoveLock(&object->Lock, tag) == STATUS_SUCCESS
                          : ExAcquireRundownProtection(&object->Rundown);
}

static VOID Leave(OBJECT *object, ULONG which, PVOID tag) {
    InterlockedIncrement(&Released);
    if (which % 2 == 0) {
        IoReleaseRemoveLock(&object->Lock, tag);
    } else {
        ExReleaseRundownProtection(&object->Rundown);
    }
}

static VOID NTAPI Uses(PVOID Context) {
    STRESS *stress = Context;
    LARGE_INTEGER soon = {.QuadPart = -1};
    for (ULONG which = 0; which < OBJECTS; which++) {
        OBJECT *object = Object[which];
        while (Enter(object, which, stress)) {
            InterlockedIncrement(&object->Users);
            ASSERT_EQ(object->Gone, 0);
            InterlockedIncrement(&Used);
            InterlockedIncrement(&object->Uses);
            StressPause(&stress->Numbers);
            ASSERT_EQ(object->Gone, 0);
            InterlockedDecrement(&object->Users);
            Leave(object, which, stress);
            if (Random(&stress->Numbers, 8) ==
                0) { /* those of a higher priority leave some time to whoever removes it */
                KeDelayExecutionThread(KernelMode, FALSE, &soon);
            }
        }
        InterlockedIncrement(&object->Refused);
    }
}

static VOID Remove(OBJECT *object, ULONG which) {
    if (which % 2 == 0) {
        ASSERT_EQ(IoAcquireRemoveLock(&object->Lock, object), STATUS_SUCCESS);
        IoReleaseRemoveLockAndWait(&object->Lock, object);
    } else {
        ExWaitForRundownProtectionRelease(&object->Rundown);
    }
    object->Gone = 1;
    ASSERT_EQ(object->Users, 0);
}

TARGET_CASE("RML-1 RUN-1", stress_of_remove_locks_and_rundowns, FAST_TICKS) {
    static STRESS stress[STRESS_THREADS];
    LARGE_INTEGER soon = {.QuadPart = -1};
    ULONG64 seed = StressSeed("remove locks and rundown protection");
    RANDOM numbers = {.State = seed};
    Used = Released = 0;
    for (ULONG i = 0; i < OBJECTS; i++) {
        Object[i] = ExAllocatePoolWithTag(NonPagedPool, sizeof *Object[i], 'tseT');
        ASSERT_NE(Object[i], NULL);
        RtlZeroMemory(Object[i], sizeof *Object[i]);
        IoInitializeRemoveLock(&Object[i]->Lock, 'tseT', 0, 0);
        ExInitializeRundownProtection(&Object[i]->Rundown);
    }
    StartStress(stress, seed, Uses, STRESS_THREADS);
    for (ULONG i = 0; i < OBJECTS; i++) {
        LONG least = (LONG)Random(&numbers, USES);
        while (Object[i]->Uses < least) {
            KeDelayExecutionThread(KernelMode, FALSE, &soon);
        }
        Remove(Object[i], i);
    }
    EndStress(stress, STRESS_THREADS);
    ASSERT_EQ(Used, Released);
    for (ULONG i = 0; i < OBJECTS; i++) {
        ASSERT_EQ(Object[i]->Refused, STRESS_THREADS);
        ASSERT_EQ(Object[i]->Users, 0);
        ExFreePoolWithTag(Object[i], 'tseT');
    }
}
