/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IRPs of a thread: those that IoBuildSynchronousFsdRequest and IoBuildDeviceIoControlRequest make. They end in that thread, by
 * a special kernel APC, because the caller's buffer and status block may be pageable or on its stack: who waits for such a
 * request where APCs are held back waits for ever. The thread's list is touched by that thread alone, at APC_LEVEL.
 */
#include "request.h"

#include "../include/driver/apc.h"
#include "../include/mutant.h"
#include "../ke/dispatcher.h"

VOID IopAddThreadIrp(PIRP irp) {
    KIRQL irql = (KIRQL)__readcr8();
    __writecr8(APC_LEVEL);
    InsertTailList(&((PKTHREAD)irp->Tail.Overlay.Thread)->Irps, &irp->ThreadListEntry);
    __writecr8(irql);
}

static VOID NTAPI IopFinishThreadIrp(PRKAPC Apc, PKNORMAL_ROUTINE *NormalRoutine, PVOID *NormalContext,
                                     PVOID *SystemArgument1, PVOID *SystemArgument2) {
    PIRP irp = CONTAINING_RECORD(Apc, IRP, Tail.Apc);
    PKTHREAD thread = KiCurrentThread();
    PKEVENT event = irp->UserEvent;
    UNREFERENCED_PARAMETER(NormalRoutine);
    UNREFERENCED_PARAMETER(NormalContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    RemoveEntryList(&irp->ThreadListEntry);
    IopReleaseBuffers(irp);
    if (irp->UserIosb != NULL) {
        *irp->UserIosb = irp->IoStatus;
    }
    IoFreeIrp(irp);
    if (event != NULL) {
        KeSetEvent(event, IO_NO_INCREMENT, FALSE);
    }
    if (thread->IrpsDone != NULL && IsListEmpty(&thread->Irps)) {
        KeSetEvent(thread->IrpsDone, IO_NO_INCREMENT, FALSE);
    }
}

VOID IopEndThreadIrp(PIRP irp, CCHAR boost) {
    PKTHREAD thread = (PKTHREAD)irp->Tail.Overlay.Thread; /* the APC lies over it */
    if (MUTANT(ThreadIrpEndsAnywhere, "REQ-3", "an IRP of a thread ends where it is completed")) {
        thread = KiCurrentThread();
    }
    KeInitializeApc(&irp->Tail.Apc, thread, OriginalApcEnvironment, IopFinishThreadIrp, NULL, NULL, KernelMode, NULL);
    KeInsertQueueApc(&irp->Tail.Apc, NULL, NULL, boost);
}

/* A thread about to end, PASSIVE_LEVEL: its buffers go with it, so it waits for every request that it has not waited for. */
static VOID IopEndThread(PKTHREAD thread) {
    KEVENT done;
    if (IsListEmpty(&thread->Irps) ||
        MUTANT(ExitLeavesIrps, "REQ-4", "a thread ends although requests of it are pending")) {
        return;
    }
    KeInitializeEvent(&done, NotificationEvent, FALSE);
    __writecr8(APC_LEVEL); /* the list stands still */
    thread->IrpsDone = &done;
    BOOLEAN left = !IsListEmpty(&thread->Irps);
    for (PLIST_ENTRY entry = thread->Irps.Flink; entry != &thread->Irps; entry = entry->Flink) {
        IoCancelIrp(CONTAINING_RECORD(entry, IRP, ThreadListEntry));
    }
    __writecr8(PASSIVE_LEVEL);
    if (left) {
        KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
    }
    thread->IrpsDone = NULL;
}

VOID IopInitializeThreadIrps(VOID) {
    KiEndThreadIo = IopEndThread;
}
