/* SPDX-License-Identifier: Apache-2.0 */
/* run.sys: routines that the host runs, each leaving something behind, calling the host, or misusing dirql.h. */
#include <ntddk.h>

#include <dirql.h>

DRIVER_INITIALIZE DriverEntry;
DIRQL_WORK_ROUTINE RunNothing, RunLeavePool, RunLeaveIrql, RunLeaveVector, RunLeaveInterrupt, RunLeaveWork,
    RunLeaveThread, RunLeaveTimer, RunLeaveHandle, RunLeaveMutex, RunCalls, RunDouble, RunOnBootCpu, RunBadVector;

typedef struct _RUN_SEEN {
    ULONG64 Argument;
    ULONG64 Value;
    ULONG Status[4];
    volatile ULONG Stop; /* host: 1 lets the work end */
} RUN_SEEN;

RUN_SEEN RunSeen;
static PKINTERRUPT RunInterrupt;
static KEVENT RunEvent;
static KTIMER RunTimer;
static KMUTEX RunMutex;

static BOOLEAN NTAPI RunIsr(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(ServiceContext);
    return TRUE;
}

VOID NTAPI RunNothing(PVOID Context) {
    RunSeen.Argument = (ULONG_PTR)Context;
}

VOID NTAPI RunLeavePool(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    ExAllocatePoolWithTag(NonPagedPool, 100, 'kaeL');
    ExAllocatePoolWithTag(NonPagedPool, 10000, 'kaeL');
}

VOID NTAPI RunLeaveIrql(PVOID Context) {
    KIRQL old;
    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(7, &old);
}

VOID NTAPI RunLeaveVector(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    DirqlAllocateVector(6);
}

VOID NTAPI RunLeaveInterrupt(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    ULONG vector = DirqlAllocateVector(6);
    RunSeen.Status[0] = (ULONG)IoConnectInterrupt(&RunInterrupt, RunIsr, NULL, NULL, vector, 6, 6, Latched, FALSE,
                                                  KeQueryActiveProcessors(), FALSE);
}

static VOID NTAPI RunUntilStopped(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    while (!RunSeen.Stop) {
        YieldProcessor();
    }
}

VOID NTAPI RunLeaveWork(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    DirqlStartOn(1, RunUntilStopped, NULL);
}

static VOID NTAPI RunWaitForEver(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    KeWaitForSingleObject(&RunEvent, Executive, KernelMode, FALSE, NULL);
}

VOID NTAPI RunLeaveThread(PVOID Context) {
    HANDLE handle;
    UNREFERENCED_PARAMETER(Context);
    KeInitializeEvent(&RunEvent, NotificationEvent, FALSE);
    RunSeen.Status[0] = (ULONG)PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, RunWaitForEver, NULL);
    ZwClose(handle);
}

VOID NTAPI RunLeaveTimer(PVOID Context) {
    LARGE_INTEGER due = {.QuadPart = -36000000000LL}; /* an hour */
    UNREFERENCED_PARAMETER(Context);
    KeInitializeTimer(&RunTimer);
    KeSetTimer(&RunTimer, due, NULL);
}

static VOID NTAPI RunEnd(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
}

/* The thread has ended at return: the handle is all that is left. */
VOID NTAPI RunLeaveHandle(PVOID Context) {
    HANDLE handle;
    PVOID thread;
    UNREFERENCED_PARAMETER(Context);
    RunSeen.Status[0] = (ULONG)PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, RunEnd, NULL);
    ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, NULL, KernelMode, &thread, NULL);
    KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(thread);
}

VOID NTAPI RunLeaveMutex(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    KeInitializeMutex(&RunMutex, 0);
    KeWaitForSingleObject(&RunMutex, Executive, KernelMode, FALSE, NULL);
}

VOID NTAPI RunCalls(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    RunSeen.Status[0] = (ULONG)DirqlHostCall(HostCallPing, 0x1122334455667788ull, 0, &RunSeen.Value);
    RunSeen.Status[1] = (ULONG)DirqlHostCall(77, 0, 0, NULL);
    RunSeen.Status[2] = (ULONG)DirqlHostCall(HostCallInterrupt, 99, 0x50, NULL);
    RunSeen.Status[3] = (ULONG)DirqlHostCall(HostCallLine, 24, 1, NULL);
}

VOID NTAPI RunDouble(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    DirqlStartOn(1, RunUntilStopped, NULL);
    DirqlStartOn(1, RunUntilStopped, NULL);
}

VOID NTAPI RunOnBootCpu(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    DirqlStartOn(0, RunUntilStopped, NULL);
}

VOID NTAPI RunBadVector(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    DirqlInterrupt(0, 8);
}

static VOID NTAPI RunUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = RunUnload;
    return STATUS_SUCCESS;
}
