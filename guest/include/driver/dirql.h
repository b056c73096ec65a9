/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What dirql's kernel offers to drivers beyond the DDK. A driver that uses it includes this after its DDK header and is
 * linked with libdirql.a, which every driver built here is; it then loads on dirql only.
 */
#pragma once

#include "hostcall.h"

/* Write a TraceMark record with two values of the driver's choice into this CPU's trace. Any IRQL, never waits. */
NTSYSAPI VOID NTAPI DirqlTraceMark(ULONG64 Value0, ULONG64 Value1);

/*
 * Run a routine at PASSIVE_LEVEL on another CPU, whose idle loop calls it. Any IRQL, does not wait; the CPU must not be
 * the boot CPU and must have no such routine under way: a bugcheck otherwise.
 */
typedef VOID NTAPI DIRQL_WORK_ROUTINE(PVOID Context);
NTSYSAPI VOID NTAPI DirqlStartOn(ULONG Cpu, DIRQL_WORK_ROUTINE *Routine, PVOID Context);
/* Spin until the CPU has returned from its routine. IRQL < DISPATCH_LEVEL. */
NTSYSAPI VOID NTAPI DirqlWaitFor(ULONG Cpu);

/* Send a vector from this CPU to one, itself included, by its local APIC. Any IRQL; pending there soon after. */
NTSYSAPI VOID NTAPI DirqlInterrupt(ULONG Cpu, ULONG Vector);
/* Reserve a vector whose IRQL is Irql (4 to 12), for IoConnectInterrupt. PASSIVE_LEVEL. 0: none is left. */
NTSYSAPI ULONG NTAPI DirqlAllocateVector(KIRQL Irql);
NTSYSAPI VOID NTAPI DirqlFreeVector(ULONG Vector);
/* How many interrupts of a vector a CPU has taken since the start, expected or not. Any IRQL. */
NTSYSAPI ULONG64 NTAPI DirqlInterruptCount(ULONG Cpu, ULONG Vector);

/*
 * Put out what is pageable in a part of memory, or all that is where Address is NULL: paged pool and sections whose names begin with
 * PAGE, except locked pages. A touch below DISPATCH_LEVEL brings a page back, at any moment. IRQL <= DISPATCH_LEVEL; spins. Returns
 * how many pages went out.
 */
NTSYSAPI ULONG64 NTAPI DirqlPageOut(PVOID Address, SIZE_T Bytes);
/* Whether a touch would find the page there. Any IRQL; true only as long as nobody puts it out. */
NTSYSAPI BOOLEAN NTAPI DirqlIsResident(PVOID Address);

/*
 * Ask the host and spin until it has answered. Code: HOST_CALL_CODE. Any IRQL, interrupts stay as they are; one call at a time on the whole
 * machine, callers wait for each other. Value may be NULL. Returns the host's status.
 */
NTSYSAPI NTSTATUS NTAPI DirqlHostCall(ULONG Code, ULONG64 Argument0, ULONG64 Argument1, ULONG64 *Value);

/* What a thread does at this moment. Any IRQL; the caller keeps the thread object. One that waits has given its CPU away. */
typedef enum _DIRQL_THREAD_STATE {
    DirqlThreadRuns = 0, /* or is about to */
    DirqlThreadWaits = 1,
    DirqlThreadEnded = 2,
} DIRQL_THREAD_STATE;
NTSYSAPI DIRQL_THREAD_STATE NTAPI DirqlQueryThreadState(PKTHREAD Thread);

/*
 * Change system time, in 100 ns since 1601; returns what it was. Timers with an absolute due time follow it, others do not. IRQL <=
 * DISPATCH_LEVEL.
 */
NTSYSAPI ULONG64 NTAPI DirqlSetSystemTime(ULONG64 SystemTime);

/* How the machine was booted, for cases that expect different things of different machines. */
typedef struct _DIRQL_MACHINE {
    ULONG Cpus;
    ULONG Verifier;         /* 0 or 1 */
    ULONG DpcPlacement;     /* 0: by routine, 1: first available, 2: current CPU */
    ULONG InterruptRouting; /* 0: symmetric, 1: asymmetric */
    ULONG VirtualTime;      /* 1: icount */
} DIRQL_MACHINE;
NTSYSAPI VOID NTAPI DirqlQueryMachine(DIRQL_MACHINE *Machine);

/* What is known of a failed assertion; the bugcheck's first parameter points at it. */
typedef struct _DIRQL_ASSERTION {
    const char *File;
    ULONG64 Line;
    const char *Text; /* as it stands in the source */
    const char *Left; /* the operands' texts; NULL where there is none */
    const char *Right;
    ULONG64 LeftValue;
    ULONG64 RightValue;
} DIRQL_ASSERTION;
/* Stop the machine with bugcheck DIRQL_ASSERTION_FAILED. Any IRQL, any CPU. */
NTSYSAPI DECLSPEC_NORETURN VOID NTAPI DirqlAssertionFailed(const DIRQL_ASSERTION *Assertion);
