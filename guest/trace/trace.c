/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The per-CPU event rings. Only their own CPU writes to them, but an interrupt or NMI may come between any two
 * instructions, so a slot is reserved by one CMPXCHG on Head (no LOCK: nobody else stores there). The time is read
 * before the exchange and read again if it fails: in one ring slot order, reservation order and time order are the same.
 * Below DISPATCH_LEVEL, where the thread may be preempted and go on on another CPU, interrupts are off from the look for the
 * ring to the finished record: otherwise two CPUs could store to one ring, and a slot stay empty for as long as a thread waits.
 */
#include "trace.h"

#include "../include/driver/dirql.h"
#include "../include/export.h"

#define TRACE_DEFAULT_RECORDS 32768
#define TRACE_DEFAULT_TOTAL   131072 /* records in all rings together, where a ring is not sized by the host */
#define TRACE_MINIMUM_RECORDS 1024
#define TRACE_RFLAGS_IF       0x200
#define TRACE_HOT             __attribute__((optimize("omit-frame-pointer")))

TRACE_CONTROL TraceControl;
TRACE_RING TraceRing[MAXIMUM_CPUS];

C_ASSERT(FIELD_OFFSET(TRACE_RECORD, Sequence) == 8 && FIELD_OFFSET(TRACE_RECORD, Event) == 12 &&
         FIELD_OFFSET(TRACE_RECORD, Cpu) == 14 && FIELD_OFFSET(TRACE_RECORD, Irql) == 15);

/*
 * Every instruction here is paid some twenty times for an interrupt, so they are few: no frame pointer, no register that a
 * caller wants back. The CPU stays the same: interrupts are off, or the
 * IRQL is DISPATCH_LEVEL or above.
 */
static inline __attribute__((always_inline)) VOID TraceStore(USHORT event, KIRQL irql, ULONG64 argument0,
                                                             ULONG64 argument1) {
    TRACE_RING *ring;
    ULONG64 head, next, time, found;
    BOOLEAN reserved;
    __asm__ volatile("movq %%gs:%c1, %0" : "=r"(ring) : "i"(TRACE_RING_GS));
    do {
        /*
         * Head and Tail in any order: an interrupt in between may leave Head behind Tail, which is below any limit, and
         * then the exchange fails. So Tail need not be volatile; the next round reads it anew, for the exchange clobbers
         * memory. The host stores Tail after it has copied the records before it: a slot seen as free is no longer read.
         */
        head = ring->Head;
        if (__builtin_expect((LONG64)(head - *(const ULONG64 *)&ring->Tail) > ring->Limit, FALSE)) {
            __asm__ volatile("incq %0" : "+m"(ring->Lost)); /* one instruction: exact under interrupts */
            return;
        }
        __asm__ volatile("rdtsc\n\tshlq $32, %%rdx\n\torq %%rax, %%rdx" : "=d"(time) : : "rax", "cc", "memory");
        found = head;
        next = head + 1;
        __asm__ volatile("cmpxchgq %3, %1" : "=@ccz"(reserved), "+m"(ring->Head), "+a"(found) : "r"(next) : "memory");
    } while (__builtin_expect(!reserved, FALSE));
    TRACE_RECORD *record = &ring->Records[found & ring->Mask];
    record->Time = time;
    record->Argument0 = argument0;
    record->Argument1 = argument1;
    record->Event = event;
    record->Cpu = (UCHAR)ring->Cpu;
    record->Irql = irql;
    /* Release: the host takes a record as complete once it sees its sequence number. */
    __atomic_store_n(&record->Sequence, (ULONG)next, __ATOMIC_RELEASE);
}

/* Below DISPATCH_LEVEL the thread may be moved to another CPU: not from here until the record is complete. */
static __attribute__((noinline)) VOID TraceStoreBelow(ULONG event, ULONG64 argument0, ULONG64 argument1, KIRQL irql) {
    ULONG64 flags;
    __asm__ volatile("pushfq\n\tpopq %0\n\tcli" : "=r"(flags) : : "memory");
    TraceStore((USHORT)event, irql, argument0, argument1);
    if ((flags & TRACE_RFLAGS_IF) != 0) {
        __asm__ volatile("sti" : : : "memory");
    }
}

static inline __attribute__((always_inline)) VOID TraceRecord(ULONG event, ULONG64 argument0, ULONG64 argument1) {
    KIRQL irql = (KIRQL)__readcr8();
    if (__builtin_expect(irql < DISPATCH_LEVEL, FALSE)) {
        TraceStoreBelow(event, argument0, argument1, irql);
    } else {
        TraceStore((USHORT)event, irql, argument0, argument1);
    }
}

TRACE_HOT VOID TraceWrite(ULONG event, ULONG64 argument0, ULONG64 argument1) {
    TraceRecord(event, argument0, argument1);
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
    TraceRing[cpu].Limit = HostBootOptions.TracePolicy == TraceDropNew ? (LONG64)count - 1 : MAXLONG64;
    TraceRing[cpu].Cpu = cpu;
}

VOID TraceStart(ULONG processors) {
    TraceControl.Policy = HostBootOptions.TracePolicy;
    TraceControl.ProcessorCount = processors;
    /* Release: whoever sees an event switched on sees its ring. */
    __atomic_store_n(&TraceControl.Mask[0], HostBootOptions.TraceMask[0], __ATOMIC_RELEASE);
    __atomic_store_n(&TraceControl.Mask[1], HostBootOptions.TraceMask[1], __ATOMIC_RELEASE);
}

VOID TraceSetMask(ULONG64 low, ULONG64 high, ULONG64 before[2]) {
    before[0] = TraceControl.Mask[0];
    before[1] = TraceControl.Mask[1];
    TraceWrite(TraceMaskSet, before[0] & low, before[1] & high);
    /* Sequentially consistent: what is switched off stays recorded until after the record, what is switched on is before. */
    __atomic_store_n(&TraceControl.Mask[0], low, __ATOMIC_SEQ_CST);
    __atomic_store_n(&TraceControl.Mask[1], high, __ATOMIC_SEQ_CST);
    if ((low & ~before[0]) != 0 || (high & ~before[1]) != 0) {
        TraceWrite(TraceMaskSet, low, high);
    }
}

TRACE_HOT VOID NTAPI DirqlTraceMark(ULONG64 Value0, ULONG64 Value1) {
    if (TraceWanted(TraceMark)) {
        TraceRecord(TraceMark, Value0, Value1);
    }
}
NT_EXPORT(DirqlTraceMark);
