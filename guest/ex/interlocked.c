/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists and counters under a spin lock of the caller's (spec SPIN-18, IRP-5, IRP-7). They may be called at any IRQL, from an
 * ISR too, so each holds the lock at HIGH_LEVEL: nothing on this CPU that could want the lock comes in between.
 */
#include "interlocked.h"

#include "../include/mutant.h"

static KIRQL ExpEnter(PKSPIN_LOCK lock, ULONG64 caller) {
    KIRQL old = KiRaiseIrql(HIGH_LEVEL, caller);
    if (MUTANT(InterlockedUnlocked, "IRP-5", "interlocked routines do not take their lock")) {
        return old;
    }
    KiAcquireSpinLock(lock, caller);
    return old;
}

static VOID ExpLeave(PKSPIN_LOCK lock, KIRQL old, ULONG64 caller) {
    if (!MUTANT(InterlockedUnlocked, "IRP-5", "interlocked routines do not take their lock")) {
        KiReleaseSpinLock(lock, caller);
    }
    KiLowerIrql(old, caller);
}

PLIST_ENTRY ExpInsertHeadList(PLIST_ENTRY head, PLIST_ENTRY entry, PKSPIN_LOCK lock, ULONG64 caller) {
    KIRQL old = ExpEnter(lock, caller);
    PLIST_ENTRY first = IsListEmpty(head) ? NULL : head->Flink;
    InsertHeadList(head, entry);
    ExpLeave(lock, old, caller);
    return first;
}

PLIST_ENTRY ExpInsertTailList(PLIST_ENTRY head, PLIST_ENTRY entry, PKSPIN_LOCK lock, ULONG64 caller) {
    KIRQL old = ExpEnter(lock, caller);
    PLIST_ENTRY last = IsListEmpty(head) ? NULL : head->Blink;
    InsertTailList(head, entry);
    if (MUTANT(InterlockedReturnsEntry, "IRP-5", "insertion returns the new entry, not the one before it")) {
        last = entry;
    }
    ExpLeave(lock, old, caller);
    return last;
}

PLIST_ENTRY ExpRemoveHeadList(PLIST_ENTRY head, PKSPIN_LOCK lock, ULONG64 caller) {
    KIRQL old = ExpEnter(lock, caller);
    PLIST_ENTRY first = IsListEmpty(head) ? NULL : RemoveHeadList(head);
    ExpLeave(lock, old, caller);
    return first;
}

PSINGLE_LIST_ENTRY ExpPushEntryList(PSINGLE_LIST_ENTRY head, PSINGLE_LIST_ENTRY entry, PKSPIN_LOCK lock,
                                    ULONG64 caller) {
    KIRQL old = ExpEnter(lock, caller);
    PSINGLE_LIST_ENTRY first = head->Next;
    PushEntryList(head, entry);
    ExpLeave(lock, old, caller);
    return first;
}

PSINGLE_LIST_ENTRY ExpPopEntryList(PSINGLE_LIST_ENTRY head, PKSPIN_LOCK lock, ULONG64 caller) {
    KIRQL old = ExpEnter(lock, caller);
    PSINGLE_LIST_ENTRY first = PopEntryList(head);
    ExpLeave(lock, old, caller);
    return first;
}

ULONG ExpAddUlong(PULONG addend, ULONG increment, PKSPIN_LOCK lock, ULONG64 caller) {
    KIRQL old = ExpEnter(lock, caller);
    ULONG value = *addend;
    *addend = value + increment;
    if (MUTANT(InterlockedReturnsSum, "IRP-7", "addition returns the sum, not the value before it")) {
        value += increment;
    }
    ExpLeave(lock, old, caller);
    return value;
}

LONGLONG ExpAddLargeInteger(PLARGE_INTEGER addend, LONGLONG increment, PKSPIN_LOCK lock, ULONG64 caller) {
    KIRQL old = ExpEnter(lock, caller);
    LONGLONG value = addend->QuadPart;
    addend->QuadPart = (LONGLONG)((ULONG64)value + (ULONG64)increment);
    ExpLeave(lock, old, caller);
    return value;
}

PLIST_ENTRY FASTCALL ExInterlockedInsertHeadList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry, PKSPIN_LOCK Lock) {
    return ExpInsertHeadList(ListHead, ListEntry, Lock, KI_CALLER);
}
NT_EXPORT(ExInterlockedInsertHeadList);

PLIST_ENTRY FASTCALL ExInterlockedInsertTailList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry, PKSPIN_LOCK Lock) {
    return ExpInsertTailList(ListHead, ListEntry, Lock, KI_CALLER);
}
NT_EXPORT(ExInterlockedInsertTailList);

PLIST_ENTRY FASTCALL ExInterlockedRemoveHeadList(PLIST_ENTRY ListHead, PKSPIN_LOCK Lock) {
    return ExpRemoveHeadList(ListHead, Lock, KI_CALLER);
}
NT_EXPORT(ExInterlockedRemoveHeadList);

PSINGLE_LIST_ENTRY FASTCALL ExInterlockedPushEntryList(PSINGLE_LIST_ENTRY ListHead, PSINGLE_LIST_ENTRY ListEntry,
                                                       PKSPIN_LOCK Lock) {
    return ExpPushEntryList(ListHead, ListEntry, Lock, KI_CALLER);
}
NT_EXPORT(ExInterlockedPushEntryList);

PSINGLE_LIST_ENTRY FASTCALL ExInterlockedPopEntryList(PSINGLE_LIST_ENTRY ListHead, PKSPIN_LOCK Lock) {
    return ExpPopEntryList(ListHead, Lock, KI_CALLER);
}
NT_EXPORT(ExInterlockedPopEntryList);

ULONG FASTCALL ExInterlockedAddUlong(PULONG Addend, ULONG Increment, PKSPIN_LOCK Lock) {
    return ExpAddUlong(Addend, Increment, Lock, KI_CALLER);
}
NT_EXPORT(ExInterlockedAddUlong);

LARGE_INTEGER NTAPI ExInterlockedAddLargeInteger(PLARGE_INTEGER Addend, LARGE_INTEGER Increment, PKSPIN_LOCK Lock) {
    LARGE_INTEGER before = {.QuadPart = ExpAddLargeInteger(Addend, Increment.QuadPart, Lock, KI_CALLER)};
    return before;
}
NT_EXPORT(ExInterlockedAddLargeInteger);
