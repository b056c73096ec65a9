/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routines that drivers want called when the machine ends: on the CPU of the bugcheck, at HIGH_LEVEL, while the others are stopped. There
 * is no dump file; of the routines with a reason those for secondary dump data are called, and what they offer goes nowhere.
 */
#include "ki.h"

#include "../include/export.h"
#include "../include/highlock.h"

/* NOLINTNEXTLINE(misc-static-initialization-cycle): an address is a constant in C */
static LIST_ENTRY KiBugCheckRoutines = {&KiBugCheckRoutines, &KiBugCheckRoutines};
/* NOLINTNEXTLINE(misc-static-initialization-cycle): an address is a constant in C */
static LIST_ENTRY KiBugCheckReasons = {&KiBugCheckReasons, &KiBugCheckReasons};
static KSPIN_LOCK KiBugCheckListLock;

/* FALSE: it is in a list already. */
static BOOLEAN KiEnlist(LIST_ENTRY *list, LIST_ENTRY *entry, UCHAR *state) {
    KIRQL irql = KiAcquireLockAtHigh(&KiBugCheckListLock);
    BOOLEAN fresh = *state == BufferEmpty;
    if (fresh) {
        InsertTailList(list, entry);
        *state = BufferInserted;
    }
    KiReleaseLockFromHigh(&KiBugCheckListLock, irql);
    return fresh;
}

static BOOLEAN KiDelist(LIST_ENTRY *entry, UCHAR *state) {
    KIRQL irql = KiAcquireLockAtHigh(&KiBugCheckListLock);
    BOOLEAN listed = *state == BufferInserted;
    if (listed) {
        RemoveEntryList(entry);
        *state = BufferEmpty;
    }
    KiReleaseLockFromHigh(&KiBugCheckListLock, irql);
    return listed;
}

BOOLEAN NTAPI KeRegisterBugCheckCallback(PKBUGCHECK_CALLBACK_RECORD CallbackRecord,
                                         PKBUGCHECK_CALLBACK_ROUTINE CallbackRoutine, PVOID Buffer, ULONG Length,
                                         PUCHAR Component) {
    if (CallbackRecord->State != BufferEmpty) {
        return FALSE;
    }
    CallbackRecord->CallbackRoutine = CallbackRoutine;
    CallbackRecord->Buffer = Buffer;
    CallbackRecord->Length = Length;
    CallbackRecord->Component = Component;
    CallbackRecord->Checksum = (ULONG_PTR)CallbackRoutine + (ULONG_PTR)Buffer + Length + (ULONG_PTR)Component;
    return KiEnlist(&KiBugCheckRoutines, &CallbackRecord->Entry, &CallbackRecord->State);
}
NT_EXPORT(KeRegisterBugCheckCallback);

BOOLEAN NTAPI KeDeregisterBugCheckCallback(PKBUGCHECK_CALLBACK_RECORD CallbackRecord) {
    return KiDelist(&CallbackRecord->Entry, &CallbackRecord->State);
}
NT_EXPORT(KeDeregisterBugCheckCallback);

BOOLEAN NTAPI KeRegisterBugCheckReasonCallback(PKBUGCHECK_REASON_CALLBACK_RECORD CallbackRecord,
                                               PKBUGCHECK_REASON_CALLBACK_ROUTINE CallbackRoutine,
                                               KBUGCHECK_CALLBACK_REASON Reason, PUCHAR Component) {
    if (CallbackRecord->State != BufferEmpty || Reason <= KbCallbackReserved1) {
        return FALSE;
    }
    CallbackRecord->CallbackRoutine = CallbackRoutine;
    CallbackRecord->Component = Component;
    CallbackRecord->Reason = Reason;
    CallbackRecord->Checksum = (ULONG_PTR)CallbackRoutine + (ULONG_PTR)Reason + (ULONG_PTR)Component;
    return KiEnlist(&KiBugCheckReasons, &CallbackRecord->Entry, &CallbackRecord->State);
}
NT_EXPORT(KeRegisterBugCheckReasonCallback);

BOOLEAN NTAPI KeDeregisterBugCheckReasonCallback(PKBUGCHECK_REASON_CALLBACK_RECORD CallbackRecord) {
    return KiDelist(&CallbackRecord->Entry, &CallbackRecord->State);
}
NT_EXPORT(KeDeregisterBugCheckReasonCallback);

/* Its checksum says that nobody has written over the record; then its links are what they were, too. */
static BOOLEAN KiCallRoutine(KBUGCHECK_CALLBACK_RECORD *record) {
    ULONG_PTR sum =
        (ULONG_PTR)record->CallbackRoutine + (ULONG_PTR)record->Buffer + record->Length + (ULONG_PTR)record->Component;
    if (sum != record->Checksum || record->State != BufferInserted) {
        return FALSE;
    }
    record->State = BufferStarted;
    record->CallbackRoutine(record->Buffer, record->Length);
    record->State = BufferFinished;
    return TRUE;
}

static BOOLEAN KiCallReason(KBUGCHECK_REASON_CALLBACK_RECORD *record) {
    static UCHAR room[PAGE_SIZE];
    KBUGCHECK_SECONDARY_DUMP_DATA data = {
        .InBuffer = room, .InBufferLength = sizeof room, .MaximumAllowed = sizeof room};
    ULONG_PTR sum = (ULONG_PTR)record->CallbackRoutine + (ULONG_PTR)record->Reason + (ULONG_PTR)record->Component;
    if (sum != record->Checksum || record->State != BufferInserted) {
        return FALSE;
    }
    if (record->Reason == KbCallbackSecondaryDumpData) {
        record->State = BufferStarted;
        record->CallbackRoutine(record->Reason, record, &data, sizeof data);
        record->State = BufferFinished;
    }
    return TRUE;
}

/* Without the lock, whose holder may be stopped: a list that is being changed is seen as far as it is whole. */
VOID KiCallBugCheckRoutines(VOID) {
    if (IsListEmpty(&KiBugCheckRoutines) && IsListEmpty(&KiBugCheckReasons)) {
        return;
    }
    __writecr8(HIGH_LEVEL);
    LIST_ENTRY *link = KiBugCheckRoutines.Flink;
    while (link != &KiBugCheckRoutines && KiCallRoutine(CONTAINING_RECORD(link, KBUGCHECK_CALLBACK_RECORD, Entry))) {
        link = link->Flink;
    }
    link = KiBugCheckReasons.Flink;
    while (link != &KiBugCheckReasons &&
           KiCallReason(CONTAINING_RECORD(link, KBUGCHECK_REASON_CALLBACK_RECORD, Entry))) {
        link = link->Flink;
    }
}
