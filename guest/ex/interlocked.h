/* SPDX-License-Identifier: Apache-2.0 */
/* The interlocked routines under a spin lock, for their exported and their verified forms. caller goes into the trace. */
#pragma once

#include "../ke/ki.h"

PLIST_ENTRY ExpInsertHeadList(PLIST_ENTRY head, PLIST_ENTRY entry, PKSPIN_LOCK lock, ULONG64 caller);
PLIST_ENTRY ExpInsertTailList(PLIST_ENTRY head, PLIST_ENTRY entry, PKSPIN_LOCK lock, ULONG64 caller);
PLIST_ENTRY ExpRemoveHeadList(PLIST_ENTRY head, PKSPIN_LOCK lock, ULONG64 caller);
PSINGLE_LIST_ENTRY ExpPushEntryList(PSINGLE_LIST_ENTRY head, PSINGLE_LIST_ENTRY entry, PKSPIN_LOCK lock,
                                    ULONG64 caller);
PSINGLE_LIST_ENTRY ExpPopEntryList(PSINGLE_LIST_ENTRY head, PKSPIN_LOCK lock, ULONG64 caller);
ULONG ExpAddUlong(PULONG addend, ULONG increment, PKSPIN_LOCK lock, ULONG64 caller);
LONGLONG ExpAddLargeInteger(PLARGE_INTEGER addend, LONGLONG increment, PKSPIN_LOCK lock, ULONG64 caller);
