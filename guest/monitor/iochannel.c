/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel of the host's I/O requests: takes what is posted, tells what has finished, cancels. Which thread of which CPU calls
 * the driver is in iothread.c. Word from the host is a frame (a DPC on the boot CPU then looks) or, at the rendezvous,
 * HostRequestIo; word to the host is a frame, and only when it waits for one.
 */
#include "io.h"

#include "../ke/ki.h"
#include "../mm/mi.h"

#define DATA_BYTES       (4u << 20)
#define SMALL_RAM_PAGES  (48u << 8) /* below 48 MiB of RAM, a smaller area */
#define SMALL_DATA_BYTES (1u << 20)

#define AWAITED_NONE 0
#define AWAITED_ANY  (HOST_IO_SLOTS + 1) /* below: the slot's number, and one */

HOST_IO_CHANNEL HostIoChannel;
HOST_IO_WORK HostIoWork[HOST_IO_SLOTS];
HOST_IRP_OFFSET HostIrpOffsets;

static KDPC HostIoDpc;
static KSPIN_LOCK HostIoFinishLock; /* the ring of finished ones */
static KEVENT HostIoAwaitedCame;
static volatile ULONG HostIoAwaited; /* what HostRequestIo waits for */

static VOID HostIoTellWaiter(ULONG slot) {
    ULONG awaited = __atomic_load_n(&HostIoAwaited, __ATOMIC_SEQ_CST); /* as HostIoWait, which sets it and then looks */
    if (awaited == AWAITED_ANY || awaited == slot + 1) {
        KeSetEvent(&HostIoAwaitedCame, IO_NO_INCREMENT, FALSE);
    }
}

static VOID HostIoFinish(HOST_IO_WORK *work) {
    HOST_IO_RING *ring = &HostIoChannel.Finished;
    ULONG slot = (ULONG)(work - HostIoWork);
    /* Release: the host takes the result as complete once it sees this, or the ring's head. */
    __atomic_store_n(&HostIoChannel.Slot[slot].State, HostIoFinished, __ATOMIC_RELEASE);
    KIRQL irql = KiAcquireLockAtHigh(&HostIoFinishLock);
    ring->Entry[ring->Head % HOST_IO_RING_ENTRIES] = (USHORT)slot;
    __atomic_store_n(&ring->Head, ring->Head + 1, __ATOMIC_RELEASE);
    KiReleaseLockFromHigh(&HostIoFinishLock, irql);
    /* Sequentially consistent: the host sets Wanted and then looks at Head, this side the other way round. */
    if (__atomic_exchange_n(&ring->Wanted, 0, __ATOMIC_SEQ_CST) != 0) {
        HostLinkSend(HostFrameIo, ring->Head);
    }
    HostIoTellWaiter(slot);
}

VOID HostIoHasReturned(HOST_IO_WORK *work) {
    /* Sequentially consistent: as HostIoFinish's store and look. */
    __atomic_store_n(&HostIoSlotOf(work)->State, HostIoReturned, __ATOMIC_SEQ_CST);
    HostIoTellWaiter((ULONG)(work - HostIoWork));
}

VOID HostIoRelease(HOST_IO_WORK *work) {
    /* Both: the one that finishes it sees what all others have done. */
    if (__atomic_sub_fetch(&work->References, 1, __ATOMIC_ACQ_REL) == 0) {
        HostIoFinish(work);
    }
}

static BOOLEAN HostIoIsSound(const HOST_IO *slot) {
    ULONG64 input = (ULONG64)slot->Input + slot->InputBytes;
    ULONG64 output = (ULONG64)slot->Output + slot->OutputBytes;
    BOOLEAN opens = slot->MajorFunction == IRP_MJ_CREATE || slot->MajorFunction == IRP_MJ_CLOSE;
    return slot->Cpu < KiProcessorCount && slot->Irql <= (opens ? PASSIVE_LEVEL : DISPATCH_LEVEL) &&
        slot->Priority <= KI_HIGHEST_PRIORITY && slot->MajorFunction <= IRP_MJ_MAXIMUM_FUNCTION &&
        slot->File < HOST_IO_FILES && input <= HostIoChannel.DataBytes && output <= HostIoChannel.DataBytes;
}

static VOID HostIoBegin(ULONG index) {
    HOST_IO_WORK *work = &HostIoWork[index];
    HOST_IO *slot = &HostIoChannel.Slot[index];
    work->Cancel = FALSE;
    work->Sent = FALSE;
    /* Release: whoever cancels it sees the two. */
    __atomic_store_n(&work->References, 1, __ATOMIC_RELEASE);
    if (HostIoIsSound(slot)) {
        HostIoQueue(work, slot->Cpu);
        return;
    }
    slot->Status = STATUS_INVALID_PARAMETER;
    slot->Information = 0;
    HostIoRelease(work);
}

/* A request that has ended meanwhile has no references, and so is left alone. */
static VOID HostIoCancel(ULONG index) {
    HOST_IO_WORK *work = &HostIoWork[index];
    LONG references = __atomic_load_n(&work->References, __ATOMIC_ACQUIRE);
    do {
        if (references == 0) {
            return;
        }
    } while (!__atomic_compare_exchange_n(&work->References, &references, references + 1, FALSE, __ATOMIC_ACQ_REL,
                                          __ATOMIC_ACQUIRE));
    /* Sequentially consistent, as HostIoSend's, which does these two the other way round: one of both cancels it. */
    __atomic_store_n(&work->Cancel, TRUE, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&work->Sent, __ATOMIC_SEQ_CST)) {
        IopCancelRequest(&work->Request);
    }
    HostIoRelease(work);
}

VOID HostIoTakePosted(VOID) {
    HOST_IO_RING *ring = &HostIoChannel.Posted;
    for (;;) {
        /* Acquire: the entries before it, and their slots, are there. */
        while (ring->Tail != __atomic_load_n(&ring->Head, __ATOMIC_ACQUIRE)) {
            ULONG entry = ring->Entry[ring->Tail % HOST_IO_RING_ENTRIES];
            ring->Tail++;
            if (entry & HOST_IO_CANCEL) {
                HostIoCancel(entry % HOST_IO_SLOTS);
            } else {
                HostIoBegin(entry % HOST_IO_SLOTS);
            }
        }
        /* Sequentially consistent: the host stores Head and then looks at Wanted. */
        __atomic_store_n(&ring->Wanted, 1, __ATOMIC_SEQ_CST);
        if (ring->Tail == __atomic_load_n(&ring->Head, __ATOMIC_SEQ_CST)) {
            return;
        }
        __atomic_store_n(&ring->Wanted, 0, __ATOMIC_RELAXED); /* a frame too many does no harm */
    }
}

static VOID NTAPI HostIoArrival(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2) {
    UNREFERENCED_PARAMETER(dpc);
    UNREFERENCED_PARAMETER(context);
    UNREFERENCED_PARAMETER(argument1);
    UNREFERENCED_PARAMETER(argument2);
    HostIoTakePosted();
}

VOID HostIoArrived(VOID) {
    KeInsertQueueDpc(&HostIoDpc, NULL, NULL);
}

static BOOLEAN HostIoCame(ULONG64 what, ULONG64 which) {
    ULONG state = __atomic_load_n(&HostIoChannel.Slot[which % HOST_IO_SLOTS].State, __ATOMIC_SEQ_CST);
    if (what == HostIoWaitSlot) {
        return state == HostIoFinished;
    }
    if (what == HostIoWaitReturn) {
        return state == HostIoFinished || state == HostIoReturned;
    }
    return __atomic_load_n(&HostIoChannel.Finished.Head, __ATOMIC_SEQ_CST) != (ULONG)which;
}

VOID HostIoWait(const HOST_REQUEST *request, HOST_REPLY *reply) {
    ULONG64 what = request->Argument[0];
    ULONG64 which = request->Argument[1];
    LARGE_INTEGER timeout = {.QuadPart = -(LONGLONG)request->Argument[2]};
    HostIoTakePosted();
    if (what == HostIoWaitNothing) {
        return;
    }
    KeClearEvent(&HostIoAwaitedCame);
    __atomic_store_n(&HostIoAwaited, what != HostIoWaitAny ? (ULONG)which % HOST_IO_SLOTS + 1 : AWAITED_ANY,
                     __ATOMIC_SEQ_CST);
    NTSTATUS waited = STATUS_SUCCESS;
    while (!HostIoCame(what, which) && waited != STATUS_TIMEOUT) { /* of one slot there may be word twice */
        waited = KeWaitForSingleObject(&HostIoAwaitedCame, Executive, KernelMode, FALSE, &timeout);
    }
    __atomic_store_n(&HostIoAwaited, AWAITED_NONE, __ATOMIC_RELAXED); /* an event too many is cleared by the next */
    reply->Value[0] = HostIoCame(what, which);
}

VOID HostIoInitialize(VOID) {
    ULONG64 bytes = MiTotalPageCount() < SMALL_RAM_PAGES ? SMALL_DATA_BYTES : DATA_BYTES;
    HostIoChannel.DataPhysical = MiAllocatePages(BYTES_TO_PAGES(bytes));
    if (HostIoChannel.DataPhysical == 0) {
        KeBugCheckEx(INSTALL_MORE_MEMORY, MiTotalPageCount(), BYTES_TO_PAGES(bytes), 4, MiFreePageCount());
    }
    HostIoChannel.DataBytes = bytes;
    HostIoChannel.Posted.Wanted = 1;
    KeInitializeDpc(&HostIoDpc, HostIoArrival, NULL);
    KeSetTargetProcessorDpc(&HostIoDpc, 0);
    KeInitializeEvent(&HostIoAwaitedCame, SynchronizationEvent, FALSE);
    HostIoInitializeThreads();
}
