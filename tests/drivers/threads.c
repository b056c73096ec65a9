/* SPDX-License-Identifier: Apache-2.0 */
/* threads.sys: two threads that wait for each other's mutex, and one that waits for an event with a timeout. */
#include <ntddk.h>

#include <dirql.h>

DRIVER_INITIALIZE DriverEntry;
DIRQL_WORK_ROUTINE ThreadsDeadlock;

KMUTEX ThreadsFirst, ThreadsSecond;
KEVENT ThreadsNever, ThreadsBothHeld;
static volatile LONG ThreadsHolding;

static VOID Await(PVOID object) {
    KeWaitForSingleObject(object, Executive, KernelMode, FALSE, NULL);
}

static VOID HoldAndWant(PKMUTEX mine, PKMUTEX other) {
    Await(mine);
    if (InterlockedIncrement(&ThreadsHolding) == 2) {
        KeSetEvent(&ThreadsBothHeld, IO_NO_INCREMENT, FALSE);
    }
    Await(&ThreadsBothHeld);
    Await(other); /* the other wants mine */
}

static VOID NTAPI ThreadsForward(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    HoldAndWant(&ThreadsFirst, &ThreadsSecond);
}

static VOID NTAPI ThreadsBackward(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    HoldAndWant(&ThreadsSecond, &ThreadsFirst);
}

static VOID NTAPI ThreadsPatient(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    LARGE_INTEGER hours = {.QuadPart = -36000000000LL * 100};
    KeWaitForSingleObject(&ThreadsNever, Executive, KernelMode, FALSE, &hours);
}

static PVOID Start(PKSTART_ROUTINE routine) {
    HANDLE handle;
    PVOID thread;
    PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, routine, NULL);
    ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, NULL, KernelMode, &thread, NULL);
    ZwClose(handle);
    return thread;
}

/* Never returns: it waits for the first of the two. */
VOID NTAPI ThreadsDeadlock(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    KeInitializeMutex(&ThreadsFirst, 0);
    KeInitializeMutex(&ThreadsSecond, 0);
    KeInitializeEvent(&ThreadsNever, SynchronizationEvent, FALSE);
    KeInitializeEvent(&ThreadsBothHeld, NotificationEvent, FALSE);
    Start(ThreadsPatient);
    Start(ThreadsBackward);
    Await(Start(ThreadsForward));
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);
    return STATUS_SUCCESS;
}
