/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_trace.sys: what a trace record costs. DriverEntry times three loops by the TSC with nothing else happening on its
 * CPU; the host reads TraceCost. Under icount the TSC advances with each instruction, so ticks are instructions.
 */
#include <ntddk.h>

#include <dirql.h>

#define COST_CALLS 1000

typedef struct _TRACE_COST {
    ULONG64 Calls;      /* in each loop */
    ULONG64 EmptyTicks; /* the loop itself */
    ULONG64 CallTicks;  /* with a call of a function that does nothing */
    ULONG64 TraceTicks; /* with a call of DirqlTraceMark */
} TRACE_COST;

DRIVER_INITIALIZE DriverEntry;

TRACE_COST TraceCost;

static DECLSPEC_NOINLINE VOID NTAPI CostNothing(ULONG64 value0, ULONG64 value1) {
    __asm__ volatile("" : : "r"(value0), "r"(value1));
}

/* Ticks of COST_CALLS calls, or of the loop alone where there is nothing to call: inlined, so that the test costs nothing. */
FORCEINLINE ULONG64 CostOf(VOID(NTAPI *routine)(ULONG64, ULONG64)) {
    ULONG64 started = __rdtsc();
    for (ULONG64 i = 0; i < COST_CALLS; i++) {
        __asm__ volatile("" : "+r"(i)); /* the empty loop stays */
        if (routine != NULL) {
            routine(i, i);
        }
    }
    return __rdtsc() - started;
}

static VOID CostUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    KIRQL old;
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = CostUnload;
    KeRaiseIrql(HIGH_LEVEL, &old);
    TraceCost.Calls = COST_CALLS;
    TraceCost.EmptyTicks = CostOf(NULL);
    TraceCost.CallTicks = CostOf(CostNothing);
    TraceCost.TraceTicks = CostOf(DirqlTraceMark);
    KeLowerIrql(old);
    return STATUS_SUCCESS;
}
