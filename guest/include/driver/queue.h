/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queue objects, which ntoskrnl.lib has and of the DDK headers only ntifs.h declares. A driver that includes ntddk.h or wdm.h
 * includes this after it; one that includes ntifs.h needs nothing. The contracts are documented with ntifs.h.
 */
#pragma once

#ifndef _NTIFS_INCLUDED_

#ifndef NTSYSAPI
#define NTSYSAPI
#endif

typedef struct _KQUEUE {
    DISPATCHER_HEADER Header;
    LIST_ENTRY EntryListHead;
    volatile ULONG CurrentCount;
    ULONG MaximumCount;
    LIST_ENTRY ThreadListHead;
} KQUEUE, *PKQUEUE, *PRKQUEUE;

/* PASSIVE_LEVEL. Count: how many threads may do its work at once, 0 for as many as there are processors. */
NTSYSAPI VOID NTAPI KeInitializeQueue(PRKQUEUE Queue, ULONG Count);
/* IRQL <= DISPATCH_LEVEL. The number of entries. */
NTSYSAPI LONG NTAPI KeReadStateQueue(PRKQUEUE Queue);
/* IRQL <= DISPATCH_LEVEL. To the thread that began to wait last, if there is one and not too many are busy; else to the tail,
   or head, of the queue. Returns the number of entries before. */
NTSYSAPI LONG NTAPI KeInsertQueue(PRKQUEUE Queue, PLIST_ENTRY Entry);
NTSYSAPI LONG NTAPI KeInsertHeadQueue(PRKQUEUE Queue, PLIST_ENTRY Entry);
/*
 * IRQL <= APC_LEVEL, <= DISPATCH_LEVEL with a timeout of zero; may wait. An entry, or STATUS_TIMEOUT, or STATUS_ABANDONED after
 * the queue was run down: never NULL. The thread does this queue's work from now on, and counts as busy with it except while
 * it waits, here or anywhere else; then another may go on. Ends with its next KeRemoveQueue on another queue, or with it.
 */
NTSYSAPI PLIST_ENTRY NTAPI KeRemoveQueue(PRKQUEUE Queue, KPROCESSOR_MODE WaitMode, PLARGE_INTEGER Timeout);
/* IRQL <= DISPATCH_LEVEL. The first of the entries, a ring without a head, NULL for none. Wakes who waits. */
NTSYSAPI PLIST_ENTRY NTAPI KeRundownQueue(PRKQUEUE Queue);

#endif
