/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Test cases that run on the guest. A driver made of cases includes this after its DDK header, once in each source file,
 * writes cases with TARGET_CASE and has TARGET_DRIVER in one file; pytest collects the cases from the .sys itself.
 *
 *     TARGET_CASE("SPIN-3", raise_before_acquire, "smp=2") {
 *         ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
 *     }
 *     TARGET_DRIVER
 *
 * A case runs at PASSIVE_LEVEL on CPU 0 and leaves the machine as it found it: IRQL, pool, interrupts, other CPUs. A
 * failed assertion stops the machine where it failed, on whichever CPU and at whichever IRQL.
 *
 * What a case needs is words with spaces between them, "" for nothing:
 *     smp=N             at least N CPUs
 *     cpus=N[,N...]     only that many CPUs
 *     mode=mt|icount    only that mode
 *     verifier=on|off   only so; otherwise the case runs both ways
 *     placement=P[,P]   of DPCs: routine (the default), first-available, current; the case runs once for each
 *     routing=R[,R]     of interrupts: symmetric (the default), asymmetric
 *     clock=N           a clock tick of N times 100 ns, up to a minute
 *     watchdog=N        the DPC watchdog bites after N clock ticks of one DPC
 *     threaded=off      threaded DPCs run as ordinary ones
 *     trim=on           the verifier puts all pageable memory out at each raise to DISPATCH_LEVEL
 *     hold=fatal        a spin lock that is held for more than 25 microseconds is bugcheck 0xC4/0x40009; icount only
 *     bugcheck=C[/P..]  it ends in bugcheck C with these first parameters, numbers as C writes them, * for any
 *     named=WORD,...    the report of that bugcheck holds these words: a lock, a function, a file
 *     oracle=CLAUSE,... the oracle must find these clauses kept on its trace, with evidence
 *     violates=CLAUSE,... the oracle must find these clauses violated; any other violation fails the case, as always
 *     device=edu        QEMU's edu device is there; device=floppy: the floppy controller with a medium
 *     limit=SECONDS     of real time, instead of 60
 */
#pragma once

#include "dirql.h"

typedef VOID NTAPI TARGET_ROUTINE(PVOID Context);

typedef struct _TARGET_CASE {
    char Clauses[48]; /* the first one names the case; more, with spaces between, it proves too */
    char Name[64];
    char Needs[120];
    TARGET_ROUTINE *Routine;
    ULONG Line;
    ULONG Spare;
    char File[96];
} TARGET_CASE_ENTRY;
C_ASSERT(sizeof(TARGET_CASE_ENTRY) == 344);

/* The body follows. The entry lies in a section of its own, which the loader maps and nobody reads but the host. */
#define TARGET_CASE(clauses, name, needs)                                                                        \
    static VOID NTAPI target_##name(VOID);                                                                       \
    static VOID NTAPI target_run_##name(PVOID Context) {                                                         \
        UNREFERENCED_PARAMETER(Context);                                                                         \
        target_##name();                                                                                         \
    }                                                                                                            \
    static const TARGET_CASE_ENTRY target_entry_##name __attribute__((used, section(".target"), aligned(8))) = { \
        clauses, #name, needs, target_run_##name, __LINE__, 0, __FILE__};                                        \
    static VOID NTAPI target_##name(VOID)

/* The driver's own part. */
#define TARGET_DRIVER                                                                       \
    static VOID NTAPI TargetUnload(PDRIVER_OBJECT DriverObject) {                           \
        UNREFERENCED_PARAMETER(DriverObject);                                               \
    }                                                                                       \
    DRIVER_INITIALIZE DriverEntry;                                                          \
    NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) { \
        UNREFERENCED_PARAMETER(RegistryPath);                                               \
        DriverObject->DriverUnload = TargetUnload;                                          \
        return STATUS_SUCCESS;                                                              \
    }

/* The operands' texts come from the macros below: here the operands have been expanded already. */
#define TARGET_COMPARE(left, operator, right, left_text, right_text)                                      \
    do {                                                                                                  \
        ULONG64 left_value = (ULONG64)(left);                                                             \
        ULONG64 right_value = (ULONG64)(right);                                                           \
        if (!(left_value operator right_value)) {                                                         \
            static const DIRQL_ASSERTION prototype = {                                                    \
                __FILE__, __LINE__, left_text " " #operator " " right_text, left_text, right_text, 0, 0}; \
            DIRQL_ASSERTION assertion = prototype;                                                        \
            assertion.LeftValue = left_value;                                                             \
            assertion.RightValue = right_value;                                                           \
            DirqlAssertionFailed(&assertion);                                                             \
        }                                                                                                 \
    } while (0)

#define ASSERT_EQ(left, right) TARGET_COMPARE(left, ==, right, #left, #right)
#define ASSERT_NE(left, right) TARGET_COMPARE(left, !=, right, #left, #right)
#define ASSERT_LT(left, right) TARGET_COMPARE(left, <, right, #left, #right)
#define ASSERT_LE(left, right) TARGET_COMPARE(left, <=, right, #left, #right)
#define ASSERT_GT(left, right) TARGET_COMPARE(left, >, right, #left, #right)
#define ASSERT_GE(left, right) TARGET_COMPARE(left, >=, right, #left, #right)
#define ASSERT_TRUE(value)     TARGET_COMPARE((value) != 0, ==, TRUE, #value, "TRUE")
#define ASSERT_FALSE(value)    TARGET_COMPARE((value) != 0, ==, FALSE, #value, "FALSE")

/* Spin until a condition holds; the host ends a case that waits for ever. YieldProcessor lets others run in icount. */
#define WAIT_UNTIL(condition)  \
    do {                       \
        while (!(condition)) { \
            YieldProcessor();  \
        }                      \
    } while (0)

static inline ULONG TargetCpus(VOID) {
    DIRQL_MACHINE machine;
    DirqlQueryMachine(&machine);
    return machine.Cpus;
}
