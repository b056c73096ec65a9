/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remove locks (nt/work.h): a count of those that use a device, 1 more than there are while it is alive, and an event for the
 * one that removes it. Only the common part of IO_REMOVE_LOCK is used, which is all that a driver without DBG has.
 */
#include "iop.h"

#include "../include/mutant.h"

VOID NTAPI IoInitializeRemoveLockEx(PIO_REMOVE_LOCK Lock, ULONG AllocateTag, ULONG MaxLockedMinutes,
                                    ULONG HighWatermark, ULONG RemlockSize) {
    UNREFERENCED_PARAMETER(AllocateTag); /* these three and the tags are the verifier's (verifier/removelock.c) */
    UNREFERENCED_PARAMETER(MaxLockedMinutes);
    UNREFERENCED_PARAMETER(HighWatermark);
    RtlZeroMemory(Lock, RemlockSize);
    Lock->Common.IoCount = 1;
    KeInitializeEvent(&Lock->Common.RemoveEvent, SynchronizationEvent, FALSE);
}
NT_EXPORT(IoInitializeRemoveLockEx);
NT_PARTIAL(IoInitializeRemoveLockEx, "MaxLockedMinutes and HighWatermark are not watched");

static VOID IopReleaseOne(PIO_REMOVE_LOCK lock) {
    /* Both: what users did comes before the removal. Only a removal takes the first count away, so 0 is its last user's. */
    if (__atomic_sub_fetch(&lock->Common.IoCount, 1, __ATOMIC_ACQ_REL) == 0) {
        KeSetEvent(&lock->Common.RemoveEvent, IO_NO_INCREMENT, FALSE);
    }
}

NTSTATUS NTAPI IoAcquireRemoveLockEx(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, PCSTR File, ULONG Line, ULONG RemlockSize) {
    UNREFERENCED_PARAMETER(Tag);
    UNREFERENCED_PARAMETER(File);
    UNREFERENCED_PARAMETER(Line);
    UNREFERENCED_PARAMETER(RemlockSize);
    /* Sequentially consistent: the count is raised before Removed is looked at, and IoReleaseRemoveLockAndWaitEx the other way. */
    __atomic_add_fetch(&RemoveLock->Common.IoCount, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&RemoveLock->Common.Removed, __ATOMIC_SEQ_CST) &&
        !MUTANT(RemoveLockStaysOpen, "RML-1", "a remove lock can be acquired while its device is removed")) {
        IopReleaseOne(RemoveLock);
        return STATUS_DELETE_PENDING;
    }
    return STATUS_SUCCESS;
}
NT_EXPORT(IoAcquireRemoveLockEx);

VOID NTAPI IoReleaseRemoveLockEx(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, ULONG RemlockSize) {
    UNREFERENCED_PARAMETER(Tag);
    UNREFERENCED_PARAMETER(RemlockSize);
    IopReleaseOne(RemoveLock);
}
NT_EXPORT(IoReleaseRemoveLockEx);

VOID NTAPI IoReleaseRemoveLockAndWaitEx(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, ULONG RemlockSize) {
    UNREFERENCED_PARAMETER(Tag);
    UNREFERENCED_PARAMETER(RemlockSize);
    __atomic_store_n(&RemoveLock->Common.Removed, TRUE, __ATOMIC_SEQ_CST);
    __atomic_sub_fetch(&RemoveLock->Common.IoCount, 1, __ATOMIC_ACQ_REL); /* the caller's own */
    /* Acquire: as above; this is the count that it was initialised with. */
    if (__atomic_sub_fetch(&RemoveLock->Common.IoCount, 1, __ATOMIC_ACQ_REL) > 0 &&
        !MUTANT(RemoveLockDoesNotWait, "RML-1", "a removal does not wait for those that hold the remove lock")) {
        KeWaitForSingleObject(&RemoveLock->Common.RemoveEvent, Executive, KernelMode, FALSE, NULL);
    }
}
NT_EXPORT(IoReleaseRemoveLockAndWaitEx);
