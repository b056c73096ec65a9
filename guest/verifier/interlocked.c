/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checked forms of the interlocked routines under a spin lock (SPIN-18): the caller does not hold the lock; what takes it at
 * DIRQL leaves it to nothing else at DISPATCH_LEVEL. They hold it at HIGH_LEVEL, within the routine.
 */
#include "../ex/interlocked.h"
#include "vi.h"

static VOID ViCheckInterlocked(PKSPIN_LOCK lock, ULONG64 frame) {
    VI_REQUEST request = ViRequest((ULONG64)lock, ViSpin, ViInterlocked, frame);
    ViBeforeAcquire(&request);
}

static PLIST_ENTRY FASTCALL ViInsertHeadList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry, PKSPIN_LOCK Lock) {
    ViCheckInterlocked(Lock, VI_FRAME);
    return ExpInsertHeadList(ListHead, ListEntry, Lock, KI_CALLER);
}
NT_VERIFIED(ExInterlockedInsertHeadList, ViInsertHeadList);

static PLIST_ENTRY FASTCALL ViInsertTailList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry, PKSPIN_LOCK Lock) {
    ViCheckInterlocked(Lock, VI_FRAME);
    return ExpInsertTailList(ListHead, ListEntry, Lock, KI_CALLER);
}
NT_VERIFIED(ExInterlockedInsertTailList, ViInsertTailList);

static PLIST_ENTRY FASTCALL ViRemoveHeadList(PLIST_ENTRY ListHead, PKSPIN_LOCK Lock) {
    ViCheckInterlocked(Lock, VI_FRAME);
    return ExpRemoveHeadList(ListHead, Lock, KI_CALLER);
}
NT_VERIFIED(ExInterlockedRemoveHeadList, ViRemoveHeadList);

static PSINGLE_LIST_ENTRY FASTCALL ViPushEntryList(PSINGLE_LIST_ENTRY ListHead, PSINGLE_LIST_ENTRY ListEntry,
                                                   PKSPIN_LOCK Lock) {
    ViCheckInterlocked(Lock, VI_FRAME);
    return ExpPushEntryList(ListHead, ListEntry, Lock, KI_CALLER);
}
NT_VERIFIED(ExInterlockedPushEntryList, ViPushEntryList);

static PSINGLE_LIST_ENTRY FASTCALL ViPopEntryList(PSINGLE_LIST_ENTRY ListHead, PKSPIN_LOCK Lock) {
    ViCheckInterlocked(Lock, VI_FRAME);
    return ExpPopEntryList(ListHead, Lock, KI_CALLER);
}
NT_VERIFIED(ExInterlockedPopEntryList, ViPopEntryList);

static ULONG FASTCALL ViAddUlong(PULONG Addend, ULONG Increment, PKSPIN_LOCK Lock) {
    ViCheckInterlocked(Lock, VI_FRAME);
    return ExpAddUlong(Addend, Increment, Lock, KI_CALLER);
}
NT_VERIFIED(ExInterlockedAddUlong, ViAddUlong);

static LARGE_INTEGER NTAPI ViAddLargeInteger(PLARGE_INTEGER Addend, LARGE_INTEGER Increment, PKSPIN_LOCK Lock) {
    ViCheckInterlocked(Lock, VI_FRAME);
    LARGE_INTEGER before = {.QuadPart = ExpAddLargeInteger(Addend, Increment.QuadPart, Lock, KI_CALLER)};
    return before;
}
NT_VERIFIED(ExInterlockedAddLargeInteger, ViAddLargeInteger);
