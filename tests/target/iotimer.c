/* SPDX-License-Identifier: Apache-2.0 */
/* A device's timer: IRQL-8. */
#include <ntddk.h>

#include "irpcase.h"

#define SECOND 10000000ull /* 100 ns */

static ULONG64 At[8];
static volatile LONG Calls;
static KIRQL SeenIrql;
static PDEVICE_OBJECT SeenDevice;

static VOID NTAPI NotesCall(PDEVICE_OBJECT DeviceObject, PVOID Context) {
    SeenIrql = KeGetCurrentIrql();
    SeenDevice = DeviceObject;
    ASSERT_EQ(Context, &Calls);
    if (Calls < (LONG)RTL_NUMBER_OF(At)) {
        At[Calls] = KeQueryInterruptTime();
    }
    InterlockedIncrement(&Calls);
}

static VOID Sleep(ULONG Milliseconds) {
    LARGE_INTEGER interval = {.QuadPart = -10000LL * Milliseconds};
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
}

TARGET_CASE("IRQL-8", called_once_a_second_at_dispatch_level, "cpus=1,4 mode=icount") {
    PDEVICE_OBJECT device = MakeDevice(NULL, NULL);
    ULONG64 start;
    Calls = 0;
    ASSERT_EQ(IoInitializeTimer(device, NotesCall, (PVOID)&Calls), STATUS_SUCCESS);
    Sleep(1500);
    ASSERT_EQ(Calls, 0); /* not before it is started */
    for (ULONG turn = 0; turn < 2; turn++) {
        Calls = 0;
        start = KeQueryInterruptTime();
        IoStartTimer(device);
        Sleep(3500);
        ASSERT_EQ(Calls, 3);
        ASSERT_EQ(SeenIrql, DISPATCH_LEVEL);
        ASSERT_EQ(SeenDevice, device);
        for (ULONG i = 0; i < 3; i++) {
            ULONG64 due = start + (i + 1) * SECOND;
            ASSERT_GE(At[i] + SECOND / 20, due); /* to a few clock ticks */
            ASSERT_LE(At[i], due + SECOND / 20);
        }
        IoStopTimer(device);
        Sleep(2500);
        ASSERT_EQ(Calls, 3);
    }
    IoStartTimer(device);
    IoDeleteDevice(device); /* stops it too */
    Sleep(2500);
    ASSERT_EQ(Calls, 3);
}

static VOID NTAPI RaisesAndReturns(PDEVICE_OBJECT DeviceObject, PVOID Context) {
    KIRQL ignored;
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(5, &ignored);
}

TARGET_CASE("IRQL-8", its_routine_returns_above, "cpus=2 mode=icount verifier=on bugcheck=0xc8/0x050202") {
    PDEVICE_OBJECT device = MakeDevice(NULL, NULL);
    IoInitializeTimer(device, RaisesAndReturns, NULL);
    IoStartTimer(device);
    Sleep(2000);
}

TARGET_CASE("IRQL-8", set_up_twice, "cpus=2 verifier=on bugcheck=0xc9/0x0a named=iotimer.c") {
    PDEVICE_OBJECT device = MakeDevice(NULL, NULL);
    IoInitializeTimer(device, NotesCall, NULL);
    IoInitializeTimer(device, NotesCall, NULL);
}

IRP_DRIVER
