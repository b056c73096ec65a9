/* SPDX-License-Identifier: Apache-2.0 */
/* latework.sys: its DriverUnload leaves work behind, of both kinds, which takes a while. */
#include <ntddk.h>

#define ROUNDS 5

static ULONG64 Storage[32]; /* of an I/O work item */
static WORK_QUEUE_ITEM Item;

static VOID TakesAWhile(VOID) {
    LARGE_INTEGER tick = {.QuadPart = -1};
    for (ULONG i = 0; i < ROUNDS; i++) {
        KeDelayExecutionThread(KernelMode, FALSE, &tick);
    }
    DbgPrint("latework: done\n"); /* not numbered: two CPUs may print in either order */
}

static VOID NTAPI Works(PVOID Parameter) {
    UNREFERENCED_PARAMETER(Parameter);
    TakesAWhile();
}

static VOID NTAPI WorksForTheDriver(PVOID IoObject, PVOID Context, PIO_WORKITEM IoWorkItem) {
    UNREFERENCED_PARAMETER(IoObject);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(IoWorkItem);
    TakesAWhile();
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject) {
    ExInitializeWorkItem(&Item, Works, NULL);
    ExQueueWorkItem(&Item, DelayedWorkQueue);
    IoInitializeWorkItem(DriverObject, (PIO_WORKITEM)Storage);
    IoQueueWorkItemEx((PIO_WORKITEM)Storage, WorksForTheDriver, CriticalWorkQueue, NULL);
}

DRIVER_INITIALIZE DriverEntry;

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    return STATUS_SUCCESS;
}
