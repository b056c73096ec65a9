/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The per-CPU event rings. Only their own CPU writes to them, but an interrupt or NMI may come between any two
 * instructions, so a slot is reserved by one CMPXCHG on Head (no LOCK: nobody else stores there). The time is read
 * before the exchange and read again if it fails: in one ring slot order, reservation order and time order are the same.
 */
#include "trace.h"

#include "../include/export.h"

#define TRACE_DEFAULT_RECORDS 32768
#define TRACE_DEFAULT_TOTAL   131072 /* records in all rings together, where a ring is not sized by the host */
#define TRACE_MINIMUM_RECORDS 1024

TRACE_CONTROL TraceControl;
TRACE_RING TraceRing[MAXIMUM_CPUS];

static BOOLEAN TraceReserve(TRACE_RING *ring, ULONG64 head) {
    BOOLEAN reserved;
    __asm__ volatile("cmpxchgq %3, %1" : "=@ccz"(reserved), "+m"(ring->Head), "+a"(head) : "r"(head + 1) : "memory");
    return reserved;
}

VOID TraceWrite(TRACE_EVENT event, ULONG64 argument0, ULONG64 argument1) {
    ULONG cpu = KeGetCurrentProcessorNumber();
    TRACE_RING *ring = &TraceRing[cpu];
    ULONG64 head, time;
    do {
        head = ring->Head;
        /* The host stores Tail after it has copied the records before it: a slot seen as free is no longer read. */
        if (TraceControl.Policy == TraceDropNew && head - ring->Tail > ring->Mask) {
            __asm__ volatile("incq %0" : "+m"(ring->Lost)); /* one instruction: exact under interrupts */
            return;
        }
        time = __rdtsc();
    } while (!TraceReserve(ring, head));
    TRACE_RECORD *record = &ring->Records[head & ring->Mask];
    record->Time = time;
    record->Event = (USHORT)event;
    record->Cpu = (UCHAR)cpu;
    record->Irql = (UCHAR)__readcr8();
    record->Argument0 = argument0;
    record->Argument1 = argument1;
    /* Release: the host takes a record as complete once it sees its sequence number. */
    __atomic_store_n(&record->Sequence, (ULONG)(head + 1), __ATOMIC_RELEASE);
}

ULONG TraceRecordsPerRing(ULONG processors) {
    ULONG records = TRACE_DEFAULT_RECORDS;
    if (HostBootOptions.TraceRecords != 0) {
        return HostBootOptions.TraceRecords;
    }
    while (records > TRACE_MINIMUM_RECORDS && records * processors > TRACE_DEFAULT_TOTAL) {
        records /= 2;
    }
    return records;
}

VOID TraceSetRing(ULONG cpu, ULONG64 physical, TRACE_RECORD *records, ULONG count) {
    TraceRing[cpu].RecordsPhysical = physical;
    TraceRing[cpu].Records = records;
    TraceRing[cpu].Mask = count - 1;
}

VOID TraceStart(ULONG processors) {
    TraceControl.Policy = HostBootOptions.TracePolicy;
    TraceControl.ProcessorCount = processors;
    /* Release: whoever sees an event switched on sees its ring. */
    __atomic_store_n(&TraceControl.Mask, HostBootOptions.TraceMask, __ATOMIC_RELEASE);
}

VOID NTAPI DirqlTraceMark(ULONG64 Value0, ULONG64 Value1) {
    trace(TraceMark, Value0, Value1);
}
NT_EXPORT(DirqlTraceMark);
