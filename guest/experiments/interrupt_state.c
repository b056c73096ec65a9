/* SPDX-License-Identifier: Apache-2.0 */
/*
 * irql-latency, the half on the guest: CPU 1 is kept in one state, at an IRQL, doing something, while the host interrupts
 * it. Where the state masks the interrupt, it ends after a while and comes again, so what is measured is the rest of it.
 */
#include <ntddk.h>

#include <dirql.h>

#define TARGET_CPU     1
#define DIRQL_MEASURED 6

typedef enum _LATENCY_STATE {
    LatencyIdle = 0,
    LatencyRaised = 1,   /* at Irql, over and over */
    LatencySpinning = 2, /* waiting at Irql for a lock that CPU 0 does not give up while the state lasts */
} LATENCY_STATE;

typedef struct _INTERRUPT_STATE {
    ULONG State; /* LATENCY_STATE */
    ULONG Irql;
    ULONG Hold; /* PAUSEs at Irql, then as many instructions as it takes to lower and raise again */
    ULONG Vector;
    volatile LONG64 Count; /* interrupts taken */
    volatile LONG Active;  /* CPU 1 is in the state */
    volatile LONG Stop;
} INTERRUPT_STATE;

INTERRUPT_STATE InterruptState;

static PKINTERRUPT Interrupt;
static volatile LONG Held; /* what a spinning CPU waits for; guarded by nobody: it is the lock */

static BOOLEAN NTAPI CountInterrupt(PKINTERRUPT Object, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Object);
    UNREFERENCED_PARAMETER(ServiceContext);
    InterlockedIncrement64(&InterruptState.Count);
    return TRUE;
}

static VOID NTAPI StayRaised(PVOID Context) {
    INTERRUPT_STATE *state = &InterruptState;
    KIRQL irql;
    UNREFERENCED_PARAMETER(Context);
    while (!state->Stop) {
        KeRaiseIrql((KIRQL)state->Irql, &irql);
        state->Active = TRUE;
        for (ULONG i = 0; i < state->Hold; i++) {
            YieldProcessor();
        }
        KeLowerIrql(irql);
    }
}

static VOID NTAPI SpinThere(PVOID Context) {
    INTERRUPT_STATE *state = &InterruptState;
    KIRQL irql;
    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql((KIRQL)state->Irql, &irql);
    state->Active = TRUE;
    while (__atomic_load_n(&Held, __ATOMIC_ACQUIRE) != 0) {
        YieldProcessor();
    }
    KeLowerIrql(irql);
}

VOID NTAPI ConnectLatency(PVOID Context);
VOID NTAPI ConnectLatency(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    InterruptState.Vector = DirqlAllocateVector(DIRQL_MEASURED);
    NTSTATUS status = IoConnectInterrupt(&Interrupt, CountInterrupt, NULL, NULL, InterruptState.Vector, DIRQL_MEASURED,
                                         DIRQL_MEASURED, Latched, FALSE, KeQueryActiveProcessors(), FALSE);
    if (!NT_SUCCESS(status)) {
        KeBugCheckEx(MANUALLY_INITIATED_CRASH, (ULONG_PTR)status, 0, 0, 0);
    }
}

VOID NTAPI DisconnectLatency(PVOID Context);
VOID NTAPI DisconnectLatency(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    IoDisconnectInterrupt(Interrupt);
    DirqlFreeVector(InterruptState.Vector);
}

/* Returns once CPU 1 is in the state, which lasts until EndState. */
VOID NTAPI BeginState(PVOID Context);
VOID NTAPI BeginState(PVOID Context) {
    INTERRUPT_STATE *state = &InterruptState;
    UNREFERENCED_PARAMETER(Context);
    state->Stop = state->Active = FALSE;
    Held = TRUE;
    if (state->State == LatencyIdle) {
        return;
    }
    DirqlStartOn(TARGET_CPU, state->State == LatencySpinning ? SpinThere : StayRaised, NULL);
    while (!state->Active) {
        YieldProcessor();
    }
}

VOID NTAPI EndState(PVOID Context);
VOID NTAPI EndState(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    InterruptState.Stop = TRUE;
    __atomic_store_n(&Held, 0, __ATOMIC_RELEASE);
    if (InterruptState.State != LatencyIdle) {
        DirqlWaitFor(TARGET_CPU);
    }
}

static VOID NTAPI StateUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

DRIVER_INITIALIZE DriverEntry;
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = StateUnload;
    return STATUS_SUCCESS;
}
