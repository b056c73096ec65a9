/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_handoff.sys: what a hand-off of an in-stack queued spin lock writes. CPU 0 holds the lock, the others queue one
 * after the other. Whoever gets it compares lock and handles with how they stood before the release: every word that
 * changed outside the releaser's own handle is one that the releaser stored for somebody else.
 */
#include <ntddk.h>

#include <dirql.h>

#define MAXIMUM_HOLDERS 16

typedef struct _HAND_OFF {
    ULONG64 Waiters;
    ULONG64 HandOffs;
    ULONG64 Bypasses;                /* hand-offs to another than the one that had waited longest */
    ULONG64 Stores[MAXIMUM_HOLDERS]; /* words of others that each hand-off changed */
    ULONG64 Ticks[MAXIMUM_HOLDERS];  /* from before the release to after the next acquisition */
} HAND_OFF;

typedef struct DECLSPEC_ALIGN(64) _HAND_OFF_HANDLE {
    KLOCK_QUEUE_HANDLE Handle;
    ULONG64 Spare[5];
} HAND_OFF_HANDLE;

typedef struct _HAND_OFF_STATE {
    KSPIN_LOCK Lock;
    ULONG64 Words[MAXIMUM_HOLDERS][2]; /* of each handle: what others may write, Next and Lock */
} HAND_OFF_STATE;

DRIVER_INITIALIZE DriverEntry;
DIRQL_WORK_ROUTINE MeasureHandOff;

HAND_OFF HandOff;

static KSPIN_LOCK Lock;
static HAND_OFF_HANDLE Handles[MAXIMUM_HOLDERS];
static HAND_OFF_STATE Before;
static ULONG Releaser;
static ULONG64 Released;

static VOID Look(HAND_OFF_STATE *state) {
    state->Lock = *(volatile KSPIN_LOCK *)&Lock;
    for (ULONG i = 0; i <= HandOff.Waiters; i++) {
        state->Words[i][0] = (ULONG_PTR)Handles[i].Handle.LockQueue.Next;
        state->Words[i][1] = (ULONG_PTR)Handles[i].Handle.LockQueue.Lock;
    }
}

/* The lock is held by this CPU. */
static VOID Pass(ULONG cpu) {
    Releaser = cpu;
    Look(&Before);
    Released = __rdtsc();
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&Handles[cpu].Handle);
}

static VOID NoteHandOff(ULONG cpu, ULONG64 acquired) {
    HAND_OFF_STATE now;
    ULONG64 stores = 0;
    ULONG64 number = HandOff.HandOffs++;
    Look(&now);
    stores += now.Lock != Before.Lock;
    for (ULONG i = 0; i <= HandOff.Waiters; i++) {
        if (i != Releaser) {
            stores += (now.Words[i][0] != Before.Words[i][0]) + (now.Words[i][1] != Before.Words[i][1]);
        }
    }
    HandOff.Stores[number] = stores;
    HandOff.Ticks[number] = acquired - Released;
    HandOff.Bypasses += cpu != Releaser + 1; /* they queued in the order of their numbers */
}

static VOID NTAPI Wait(PVOID Context) {
    ULONG cpu = (ULONG)(ULONG_PTR)Context;
    KIRQL irql;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&Lock, &Handles[cpu].Handle);
    NoteHandOff(cpu, __rdtsc());
    Pass(cpu);
    KeLowerIrql(irql);
}

/* Context: how many wait. */
VOID NTAPI MeasureHandOff(PVOID Context) {
    KIRQL irql;
    RtlZeroMemory(&HandOff, sizeof HandOff);
    RtlZeroMemory(Handles, sizeof Handles);
    HandOff.Waiters = (ULONG_PTR)Context;
    KeInitializeSpinLock(&Lock);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&Lock, &Handles[0].Handle);
    for (ULONG cpu = 1; cpu <= HandOff.Waiters; cpu++) {
        DirqlStartOn(cpu, Wait, (PVOID)(ULONG_PTR)cpu);
        while (Handles[cpu - 1].Handle.LockQueue.Next != &Handles[cpu].Handle.LockQueue) {
            YieldProcessor();
        }
    }
    Pass(0);
    KeLowerIrql(irql);
    for (ULONG cpu = 1; cpu <= HandOff.Waiters; cpu++) {
        DirqlWaitFor(cpu);
    }
}

static VOID NTAPI HandOffUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = HandOffUnload;
    return STATUS_SUCCESS;
}
