/* SPDX-License-Identifier: Apache-2.0 */
/* Cancel-safe queues: IRP-8. */
#include <ntddk.h>

#include "irpcase.h"

#define CPUS     8
#define OF_A_CPU 100

typedef struct _QUEUE {
    IO_CSQ Csq;
    KSPIN_LOCK Lock;
    LIST_ENTRY List;
    ULONG Inserted, Removed, Cancelled; /* the first two under the lock */
} QUEUE;

static QUEUE Queue;
static REQUEST Requests[CPUS * OF_A_CPU];
static IO_CSQ_IRP_CONTEXT Contexts[CPUS * OF_A_CPU];
static volatile LONG Go;

static QUEUE *QueueOf(PIO_CSQ Csq) {
    return CONTAINING_RECORD(Csq, QUEUE, Csq);
}

static BOOLEAN CancelInside; /* the IRP is cancelled when it has been found not to be, and has no Cancel routine yet */

static VOID NTAPI InsertIrp(PIO_CSQ Csq, PIRP Irp) {
    QueueOf(Csq)->Inserted++;
    if (CancelInside) {
        ASSERT_FALSE(IoCancelIrp(Irp));
    }
    InsertTailList(&QueueOf(Csq)->List, &Irp->Tail.Overlay.ListEntry);
}

/* Refuses what its context says. */
static NTSTATUS NTAPI InsertIrpEx(PIO_CSQ Csq, PIRP Irp, PVOID InsertContext) {
    if (InsertContext != NULL) {
        return *(NTSTATUS *)InsertContext;
    }
    InsertIrp(Csq, Irp);
    return STATUS_PENDING;
}

static VOID NTAPI RemoveIrp(PIO_CSQ Csq, PIRP Irp) {
    QueueOf(Csq)->Removed++;
    RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
}

/* PeekContext: a producer's number, NULL for any. */
static PIRP NTAPI PeekNextIrp(PIO_CSQ Csq, PIRP Irp, PVOID PeekContext) {
    QUEUE *queue = QueueOf(Csq);
    PLIST_ENTRY link = Irp == NULL ? queue->List.Flink : Irp->Tail.Overlay.ListEntry.Flink;
    for (; link != &queue->List; link = link->Flink) {
        PIRP irp = CONTAINING_RECORD(link, IRP, Tail.Overlay.ListEntry);
        if (PeekContext == NULL || RequestOf(irp)->Producer == (ULONG)(ULONG_PTR)PeekContext) {
            return irp;
        }
    }
    return NULL;
}

static VOID NTAPI AcquireLock(PIO_CSQ Csq, PKIRQL Irql) {
    KeAcquireSpinLock(&QueueOf(Csq)->Lock, Irql);
}

static VOID NTAPI ReleaseLock(PIO_CSQ Csq, KIRQL Irql) {
    KeReleaseSpinLock(&QueueOf(Csq)->Lock, Irql);
}

static VOID NTAPI CompleteCanceledIrp(PIO_CSQ Csq, PIRP Irp) {
    InterlockedIncrement((volatile LONG *)&QueueOf(Csq)->Cancelled);
    Complete(Irp, STATUS_CANCELLED);
}

static VOID MakeQueue(BOOLEAN Extended) {
    RtlZeroMemory(&Queue, sizeof Queue);
    InitializeListHead(&Queue.List);
    if (Extended) {
        ASSERT_EQ(IoCsqInitializeEx(&Queue.Csq, InsertIrpEx, RemoveIrp, PeekNextIrp, AcquireLock, ReleaseLock,
                                    CompleteCanceledIrp),
                  STATUS_SUCCESS);
    } else {
        ASSERT_EQ(IoCsqInitialize(&Queue.Csq, InsertIrp, RemoveIrp, PeekNextIrp, AcquireLock, ReleaseLock,
                                  CompleteCanceledIrp),
                  STATUS_SUCCESS);
    }
}

static VOID CompleteAndFree(ULONG i) {
    Complete(Requests[i].Irp, STATUS_SUCCESS);
    FreeOnce(&Requests[i]);
}

TARGET_CASE("IRP-8", inserted_removed_cancelled, "cpus=1,4") {
    PDEVICE_OBJECT device = MakeDevice(NULL, NULL);
    for (ULONG extended = 0; extended < 2; extended++) {
        MakeQueue((BOOLEAN)extended);
        for (ULONG i = 0; i < 6; i++) {
            PIRP irp = MakeIrpAt(device, &Requests[i], i);
            Requests[i].Producer = i % 2;
            IoGetCurrentIrpStackLocation(irp)->Control &= (UCHAR)~SL_PENDING_RETURNED;
            IoCsqInsertIrp(&Queue.Csq, irp, &Contexts[i]);
            ASSERT_TRUE(IoGetCurrentIrpStackLocation(irp)->Control & SL_PENDING_RETURNED);
            ASSERT_EQ(Contexts[i].Irp, irp);
            ASSERT_NE(irp->CancelRoutine, NULL);
        }
        ASSERT_EQ(IoCsqRemoveNextIrp(&Queue.Csq, NULL), Requests[0].Irp);
        ASSERT_EQ(Requests[0].Irp->CancelRoutine, NULL);
        ASSERT_EQ(Contexts[0].Irp, NULL);
        ASSERT_EQ(IoCsqRemoveIrp(&Queue.Csq, &Contexts[0]), NULL); /* it is not there any more */
        ASSERT_EQ(IoCsqRemoveIrp(&Queue.Csq, &Contexts[4]), Requests[4].Irp);
        ASSERT_TRUE(IoCancelIrp(Requests[3].Irp));
        ASSERT_EQ(Requests[3].Cancelled, 1);
        ASSERT_EQ(Contexts[3].Irp, NULL);
        ASSERT_EQ(IoCsqRemoveIrp(&Queue.Csq, &Contexts[3]), NULL);
        ASSERT_EQ(IoCsqRemoveNextIrp(&Queue.Csq, (PVOID)1), Requests[1].Irp); /* of producer 1 */
        ASSERT_EQ(IoCsqRemoveNextIrp(&Queue.Csq, (PVOID)1), Requests[5].Irp);
        ASSERT_EQ(IoCsqRemoveNextIrp(&Queue.Csq, (PVOID)1), NULL);
        ASSERT_EQ(IoCsqRemoveNextIrp(&Queue.Csq, NULL), Requests[2].Irp);
        ASSERT_EQ(IoCsqRemoveNextIrp(&Queue.Csq, NULL), NULL);
        ASSERT_EQ(Queue.Inserted, 6);
        ASSERT_EQ(Queue.Removed, 6);
        FreeOnce(&Requests[3]);
        for (ULONG i = 0; i < 6; i++) {
            if (i != 3) {
                CompleteAndFree(i);
            }
        }
    }
    IoDeleteDevice(device);
}

TARGET_CASE("IRP-8", cancelled_or_refused_before_it_is_in_the_queue, "cpus=1,4") {
    PDEVICE_OBJECT device = MakeDevice(NULL, NULL);
    NTSTATUS refusal = STATUS_DEVICE_NOT_READY;
    MakeQueue(TRUE);
    ASSERT_FALSE(IoCancelIrp(MakeIrpAt(device, &Requests[0], 0)));
    ASSERT_EQ(IoCsqInsertIrpEx(&Queue.Csq, Requests[0].Irp, &Contexts[0], NULL), STATUS_SUCCESS);
    ASSERT_EQ(Queue.Inserted, 0);
    ASSERT_EQ(Queue.Cancelled, 1);
    ASSERT_EQ(Requests[0].Cancelled, 1);
    ASSERT_EQ(IoCsqRemoveIrp(&Queue.Csq, &Contexts[0]), NULL);
    FreeOnce(&Requests[0]);
    MakeIrpAt(device, &Requests[1], 1);
    ASSERT_EQ(IoCsqInsertIrpEx(&Queue.Csq, Requests[1].Irp, NULL, &refusal), STATUS_DEVICE_NOT_READY);
    ASSERT_EQ(Requests[1].Irp->CancelRoutine, NULL); /* the caller's still */
    ASSERT_EQ(Requests[1].Completed, 0);
    CompleteAndFree(1);
    MakeIrpAt(device, &Requests[2], 2);
    ASSERT_EQ(IoCsqInsertIrpEx(&Queue.Csq, Requests[2].Irp, NULL, NULL), STATUS_PENDING);
    ASSERT_EQ(IoCsqRemoveNextIrp(&Queue.Csq, NULL), Requests[2].Irp);
    CompleteAndFree(2);
    CancelInside = TRUE;
    IoCsqInsertIrp(&Queue.Csq, MakeIrpAt(device, &Requests[3], 3), &Contexts[3]);
    CancelInside = FALSE;
    ASSERT_EQ(Queue.Cancelled, 2);
    ASSERT_EQ(Requests[3].Cancelled, 1);
    ASSERT_EQ(IoCsqRemoveIrp(&Queue.Csq, &Contexts[3]), NULL);
    ASSERT_TRUE(IsListEmpty(&Queue.List));
    ASSERT_EQ(Queue.Inserted, Queue.Removed);
    FreeOnce(&Requests[3]);
    IoDeleteDevice(device);
}

/* An IRP is inserted, and cancelled meanwhile; removed by its context, and cancelled meanwhile; at instants that are moved. */
static volatile LONG Turn, Answered;
#define INSTANTS 300

static VOID Pause(LONG Times) {
    for (LONG i = 0; i < Times; i++) {
        YieldProcessor();
    }
}

static VOID NTAPI CancelsEach(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    for (LONG i = 1; i <= INSTANTS; i++) {
        WAIT_UNTIL(Turn == i);
        Pause((INSTANTS - i) / 2);
        IoCancelIrp(Requests[0].Irp);
        InterlockedExchange(&Answered, i);
    }
}

TARGET_CASE("IRP-8", cancelled_at_every_instant, "cpus=2") {
    PDEVICE_OBJECT device = MakeDevice(NULL, NULL);
    ULONG removed = 0;
    MakeQueue(FALSE);
    Turn = 0;
    Answered = 0;
    DirqlStartOn(1, CancelsEach, NULL);
    for (LONG i = 1; i <= INSTANTS; i++) {
        MakeIrpAt(device, &Requests[0], 0);
        InterlockedExchange(&Turn, i);
        Pause(i / 4);
        IoCsqInsertIrp(&Queue.Csq, Requests[0].Irp, &Contexts[0]);
        Pause(i / 4);
        PIRP irp = IoCsqRemoveIrp(&Queue.Csq, &Contexts[0]);
        if (irp != NULL) {
            ASSERT_EQ(irp, Requests[0].Irp);
            removed++;
            Complete(irp, STATUS_SUCCESS);
        }
        WAIT_UNTIL(Answered == i && Requests[0].Completed != 0);
        FreeOnce(&Requests[0]);
    }
    DirqlWaitFor(1);
    ASSERT_EQ(removed + Queue.Cancelled, INSTANTS);
    ASSERT_EQ(Queue.Inserted, Queue.Removed);
    ASSERT_TRUE(IsListEmpty(&Queue.List));
    IoDeleteDevice(device);
}

/* All at once: every CPU queues IRPs, cancels some of another CPU's, and takes what is next. */
static VOID NTAPI DoesAll(PVOID Context) {
    ULONG me = KeGetCurrentProcessorNumber();
    ULONG other = (me + 1) % TargetCpus();
    UNREFERENCED_PARAMETER(Context);
    InterlockedDecrement(&Go);
    WAIT_UNTIL(Go == 0);
    for (ULONG i = 0; i < OF_A_CPU; i++) {
        ULONG mine = me * OF_A_CPU + i;
        IoCsqInsertIrp(&Queue.Csq, Requests[mine].Irp, i % 2 ? &Contexts[mine] : NULL);
        if (i % 3 == 0) {
            IoCancelIrp(Requests[other * OF_A_CPU + i].Irp);
        }
        if (i % 4 != 0) {
            PIRP irp = i % 5 == 1 && i % 2 ? IoCsqRemoveIrp(&Queue.Csq, &Contexts[mine])
                                           : IoCsqRemoveNextIrp(&Queue.Csq, NULL);
            if (irp != NULL) {
                Complete(irp, STATUS_SUCCESS);
            }
        }
    }
}

TARGET_CASE("IRP-8", producers_consumers_cancellers, "smp=2 oracle=SPIN-1") {
    PDEVICE_OBJECT device = MakeDevice(NULL, NULL);
    ULONG cpus = TargetCpus();
    PIRP irp;
    ULONG cancelled = 0;
    MakeQueue(FALSE);
    Go = (LONG)cpus;
    for (ULONG i = 0; i < cpus * OF_A_CPU; i++) {
        MakeIrpAt(device, &Requests[i], i);
    }
    for (ULONG cpu = 1; cpu < cpus; cpu++) {
        DirqlStartOn(cpu, DoesAll, NULL);
    }
    DoesAll(NULL);
    for (ULONG cpu = 1; cpu < cpus; cpu++) {
        DirqlWaitFor(cpu);
    }
    while ((irp = IoCsqRemoveNextIrp(&Queue.Csq, NULL)) != NULL) {
        Complete(irp, STATUS_SUCCESS);
    }
    for (ULONG i = 0; i < cpus * OF_A_CPU; i++) {
        cancelled += (ULONG)Requests[i].Cancelled;
        FreeOnce(&Requests[i]);
    }
    ASSERT_EQ(cancelled, Queue.Cancelled);
    ASSERT_EQ(Queue.Inserted, Queue.Removed);
    IoDeleteDevice(device);
}

IRP_DRIVER
