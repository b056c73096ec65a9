/* SPDX-License-Identifier: Apache-2.0 */
/* Work items and system worker threads: WORK-1 to WORK-3, IRQL-8, SYS-11, 0x1, 0xE1, 0xE4, 0xE9. */
#include <ntddk.h>

#include "threads.h"

#define ITEMS     12
#define PRODUCERS 3
#define PACKETS   40

static WORK_QUEUE_ITEM Item;
static KEVENT Done;
static KEVENT Hold;
static PVOID SeenParameter;
static KIRQL SeenIrql;
static PKTHREAD SeenThread;
static KPRIORITY SeenPriority;
static volatile LONG Ran;

static VOID Reset(VOID) {
    KeInitializeEvent(&Done, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Hold, NotificationEvent, FALSE);
    SeenParameter = NULL;
    SeenThread = NULL;
    Ran = 0;
}

static VOID NTAPI NotesAll(PVOID Parameter) {
    SeenParameter = Parameter;
    SeenIrql = KeGetCurrentIrql();
    SeenThread = KeGetCurrentThread();
    SeenPriority = KeQueryPriorityThread(KeGetCurrentThread());
    ASSERT_FALSE(KeAreApcsDisabled());
    InterlockedIncrement(&Ran);
    KeSetEvent(&Done, 0, FALSE);
}

static VOID QueueAndWait(WORK_QUEUE_TYPE Type) {
    Reset();
    ExInitializeWorkItem(&Item, NotesAll, &Done);
    ExQueueWorkItem(&Item, Type);
    ASSERT_EQ(WaitFor(&Done), STATUS_SUCCESS);
    ASSERT_EQ(SeenParameter, &Done);
    ASSERT_EQ(SeenIrql, PASSIVE_LEVEL);
    ASSERT_NE(SeenThread, KeGetCurrentThread());
}

TARGET_CASE("WORK-1 IRQL-8", a_system_thread_calls_it_at_passive_level, "") {
    QueueAndWait(DelayedWorkQueue);
    ASSERT_EQ(SeenPriority, 12);
    QueueAndWait(CriticalWorkQueue);
    ASSERT_EQ(SeenPriority, 13);
    QueueAndWait(HyperCriticalWorkQueue);
    ASSERT_EQ(SeenPriority, 15);
}

TARGET_CASE("WORK-1", queued_at_dispatch_level, "") {
    KIRQL old;
    Reset();
    ExInitializeWorkItem(&Item, NotesAll, NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    ExQueueWorkItem(&Item, CriticalWorkQueue);
    KeLowerIrql(old);
    ASSERT_EQ(WaitFor(&Done), STATUS_SUCCESS);
    ASSERT_EQ(SeenIrql, PASSIVE_LEVEL);
}

/* From its own routine too: it is off the queue, and its owner's. */
static VOID NTAPI QueuesItselfAgain(PVOID Parameter) {
    WORK_QUEUE_ITEM *item = Parameter;
    if (InterlockedIncrement(&Ran) < 3) {
        ExQueueWorkItem(item, DelayedWorkQueue);
    } else {
        RtlFillMemory(item, sizeof *item, 0xa5);
        KeSetEvent(&Done, 0, FALSE);
    }
}

TARGET_CASE("WORK-2", free_when_its_routine_runs, "") {
    Reset();
    ExInitializeWorkItem(&Item, QueuesItselfAgain, &Item);
    ExQueueWorkItem(&Item, DelayedWorkQueue);
    ASSERT_EQ(WaitFor(&Done), STATUS_SUCCESS);
    ASSERT_EQ(Ran, 3);
}

static VOID NTAPI HoldsAWorker(PVOID Parameter) {
    UNREFERENCED_PARAMETER(Parameter);
    InterlockedIncrement(&Ran);
    ASSERT_EQ(WaitFor(&Hold), STATUS_SUCCESS);
    if (InterlockedDecrement(&Ran) == 0) {
        KeSetEvent(&Done, 0, FALSE);
    }
}

/* More items wait than there are processors: those that wait let others begin. */
TARGET_CASE("WORK-1 QUE-2", items_that_wait_let_others_begin, "") {
    static WORK_QUEUE_ITEM item[MAXIMUM_CPUS + 2];
    ULONG count = TargetCpus() + 2;
    Reset();
    for (ULONG i = 0; i < count; i++) {
        ExInitializeWorkItem(&item[i], HoldsAWorker, NULL);
        ExQueueWorkItem(&item[i], DelayedWorkQueue);
    }
    WAIT_UNTIL(Ran == (LONG)count);
    KeSetEvent(&Hold, 0, FALSE);
    ASSERT_EQ(WaitFor(&Done), STATUS_SUCCESS);
    ASSERT_EQ(Ran, 0);
}

TARGET_CASE("WORK-2", queued_twice, "bugcheck=0xe4/1") {
    KIRQL old;
    Reset();
    ExInitializeWorkItem(&Item, NotesAll, NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    for (ULONG cpu = 0; cpu <= TargetCpus() + 2; cpu++) { /* every worker of the queue waits */
        static WORK_QUEUE_ITEM others[MAXIMUM_CPUS + 3];
        ExInitializeWorkItem(&others[cpu], HoldsAWorker, NULL);
        ExQueueWorkItem(&others[cpu], DelayedWorkQueue);
    }
    ExQueueWorkItem(&Item, DelayedWorkQueue);
    ExQueueWorkItem(&Item, DelayedWorkQueue);
}

TARGET_CASE("WORK-2", queued_on_no_queue, "bugcheck=0xe4/6") {
    ExInitializeWorkItem(&Item, NotesAll, NULL);
    ExQueueWorkItem(&Item, MaximumWorkQueue);
}

static VOID NTAPI ReturnsRaised(PVOID Parameter) {
    KIRQL old;
    UNREFERENCED_PARAMETER(Parameter);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
}

TARGET_CASE("WORK-1", returns_at_another_irql, "bugcheck=0xe1/*/2/7") {
    Reset();
    ExInitializeWorkItem(&Item, ReturnsRaised, (PVOID)7);
    ExQueueWorkItem(&Item, DelayedWorkQueue);
    WaitFor(&Done);
}

static VOID NTAPI ReturnsInARegion(PVOID Parameter) {
    UNREFERENCED_PARAMETER(Parameter);
    KeEnterCriticalRegion();
}

TARGET_CASE("WORK-1", returns_in_a_critical_region, "bugcheck=0x1/*/0/0xffff/1") {
    Reset();
    ExInitializeWorkItem(&Item, ReturnsInARegion, NULL);
    ExQueueWorkItem(&Item, DelayedWorkQueue);
    WaitFor(&Done);
}

static VOID NTAPI EndsItsThread(PVOID Parameter) {
    UNREFERENCED_PARAMETER(Parameter);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

TARGET_CASE("WORK-1", ends_its_thread, "bugcheck=0xe9") {
    Reset();
    ExInitializeWorkItem(&Item, EndsItsThread, NULL);
    ExQueueWorkItem(&Item, DelayedWorkQueue);
    WaitFor(&Done);
}

/* Work items of the I/O manager, with a device object of this driver. */

static PDRIVER_OBJECT Driver;
static PDEVICE_OBJECT Device;
static PIO_WORKITEM IoItem;

static VOID MakeDevice(VOID) {
    Reset();
    ASSERT_EQ(IoCreateDevice(Driver, 16, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &Device), STATUS_SUCCESS);
    IoItem = IoAllocateWorkItem(Device);
    ASSERT_NE(IoItem, NULL);
}

/* The worker that ran the routine is back at its queue: its last steps, which give the object back, are after the routine. */
static VOID WaitForWorker(VOID) {
    WAIT_UNTIL(Waits(SeenThread));
}

static VOID NTAPI NotesDevice(PDEVICE_OBJECT DeviceObject, PVOID Context) {
    ASSERT_EQ(DeviceObject, Device);
    IoFreeWorkItem(IoItem);
    NotesAll(Context);
}

TARGET_CASE("WORK-1 IRQL-8", with_a_device_object, "") {
    MakeDevice();
    IoQueueWorkItem(IoItem, NotesDevice, DelayedWorkQueue, &Item);
    ASSERT_EQ(WaitFor(&Done), STATUS_SUCCESS);
    ASSERT_EQ(SeenParameter, &Item);
    ASSERT_EQ(SeenIrql, PASSIVE_LEVEL);
    IoDeleteDevice(Device);
    WaitForWorker();
}

static VOID NTAPI NotesItem(PVOID IoObject, PVOID Context, PIO_WORKITEM IoWorkItem) {
    ASSERT_EQ(IoObject, Driver);
    ASSERT_EQ(IoWorkItem, IoItem);
    IoUninitializeWorkItem(IoWorkItem);
    NotesAll(Context);
}

TARGET_CASE("WORK-1", with_a_driver_object_in_memory_of_its_own, "") {
    static ULONG64 storage[32];
    Reset();
    ASSERT_LE(IoSizeofWorkItem(), sizeof storage);
    IoItem = (PIO_WORKITEM)storage;
    IoInitializeWorkItem(Driver, IoItem);
    IoQueueWorkItemEx(IoItem, NotesItem, CriticalWorkQueue, &Item);
    ASSERT_EQ(WaitFor(&Done), STATUS_SUCCESS);
    ASSERT_EQ(SeenParameter, &Item);
}

static VOID NTAPI UsesItsDevice(PDEVICE_OBJECT DeviceObject, PVOID Context) {
    SeenThread = KeGetCurrentThread();
    InterlockedIncrement(&Ran);
    ASSERT_EQ(WaitFor(&Hold), STATUS_SUCCESS);
    ASSERT_EQ(*(ULONG64 *)DeviceObject->DeviceExtension, 0x1234567887654321);
    ASSERT_EQ(DeviceObject->DriverObject, Driver);
    IoFreeWorkItem(Context);
    KeSetEvent(&Done, 0, FALSE);
}

/* It is deleted while the item is under way: it is there still, and gone afterwards (pool blocks are counted after the case). */
TARGET_CASE("WORK-3", its_device_object_stays, "") {
    MakeDevice();
    *(ULONG64 *)Device->DeviceExtension = 0x1234567887654321;
    IoQueueWorkItem(IoItem, UsesItsDevice, DelayedWorkQueue, IoItem);
    WAIT_UNTIL(Ran == 1);
    IoDeleteDevice(Device);
    ASSERT_EQ(Driver->DeviceObject, NULL);
    PVOID block = ExAllocatePoolWithTag(NonPagedPool, sizeof(DEVICE_OBJECT) + sizeof(DEVOBJ_EXTENSION) + 64, 'tseT');
    RtlFillMemory(block, sizeof(DEVICE_OBJECT) + sizeof(DEVOBJ_EXTENSION) + 64, 0xa5); /* would be in its place */
    KeSetEvent(&Hold, 0, FALSE);
    ASSERT_EQ(WaitFor(&Done), STATUS_SUCCESS);
    ExFreePoolWithTag(block, 'tseT');
    WaitForWorker();
}

static VOID NTAPI JustHolds(PDEVICE_OBJECT DeviceObject, PVOID Context) {
    UNREFERENCED_PARAMETER(DeviceObject);
    HoldsAWorker(Context);
}

TARGET_CASE("WORK-2", freed_while_it_is_queued, "bugcheck=0xe4/2") {
    MakeDevice();
    for (ULONG i = 0; i < TargetCpus() + 2; i++) {
        IoQueueWorkItem(IoAllocateWorkItem(Device), JustHolds, CriticalWorkQueue, NULL);
    }
    IoQueueWorkItem(IoItem, JustHolds, CriticalWorkQueue, NULL);
    IoFreeWorkItem(IoItem);
}

TARGET_CASE("WORK-2", initialised_with_no_object, "bugcheck=0xe4/3") {
    static ULONG64 storage[32];
    IoInitializeWorkItem(&Done, (PIO_WORKITEM)storage);
}

/* SYS-11: packets queued at DISPATCH_LEVEL by several, taken by callbacks of worker threads, under one executive spin lock. */

typedef struct _PACKET {
    LIST_ENTRY List;
    ULONG Producer;
    ULONG Number;
} PACKET;

static LIST_ENTRY Packets;
static KSPIN_LOCK PacketLock;
static PACKET Packet[PRODUCERS][PACKETS];
static WORK_QUEUE_ITEM PacketItem[PRODUCERS][PACKETS];
static ULONG Next[PRODUCERS];
static FAST_MUTEX NextMutex;
static volatile LONG Completed;

static VOID NTAPI TakesAPacket(PVOID Parameter) {
    UNREFERENCED_PARAMETER(Parameter);
    ExAcquireFastMutex(&NextMutex); /* the order in which they are taken is that in which they are looked at */
    PACKET *packet = CONTAINING_RECORD(ExInterlockedRemoveHeadList(&Packets, &PacketLock), PACKET, List);
    ASSERT_EQ(packet->Number, Next[packet->Producer]);
    Next[packet->Producer]++;
    ExReleaseFastMutex(&NextMutex);
    if (InterlockedIncrement(&Completed) == PRODUCERS * PACKETS) {
        KeSetEvent(&Done, 0, FALSE);
    }
}

static VOID NTAPI Produces(PVOID Context) {
    ULONG producer = (ULONG)(ULONG_PTR)Context;
    for (ULONG i = 0; i < PACKETS; i++) {
        KIRQL old;
        Packet[producer][i].Producer = producer;
        Packet[producer][i].Number = i;
        ExInitializeWorkItem(&PacketItem[producer][i], TakesAPacket, NULL);
        KeRaiseIrql(DISPATCH_LEVEL, &old); /* as a dispatch routine may be called */
        ExInterlockedInsertTailList(&Packets, &Packet[producer][i].List, &PacketLock);
        ExQueueWorkItem(&PacketItem[producer][i], i % 2 == 0 ? CriticalWorkQueue : DelayedWorkQueue);
        KeLowerIrql(old);
    }
}

TARGET_CASE("SYS-11 WORK-1", a_file_systems_interlocked_work_queue, "") {
    WORKER worker[PRODUCERS];
    static BOOLEAN initialized;
    Reset();
    InitializeListHead(&Packets);
    if (!initialized) { /* once, as the verifier wants it */
        initialized = TRUE;
        KeInitializeSpinLock(&PacketLock);
    }
    ExInitializeFastMutex(&NextMutex);
    Completed = 0;
    for (ULONG i = 0; i < PRODUCERS; i++) {
        Next[i] = 0;
        StartWorker(&worker[i], Produces, (PVOID)(ULONG_PTR)i, CASE_PRIORITY, ON(CPU_OF(i)));
    }
    ASSERT_EQ(WaitFor(&Done), STATUS_SUCCESS);
    for (ULONG i = 0; i < PRODUCERS; i++) {
        EndWorker(&worker[i]);
        ASSERT_EQ(Next[i], PACKETS);
    }
    ASSERT_TRUE(IsListEmpty(&Packets));
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

DRIVER_INITIALIZE DriverEntry;

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    Driver = DriverObject;
    DriverObject->DriverUnload = Unload;
    return STATUS_SUCCESS;
}
