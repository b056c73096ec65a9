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

TRACE_CONTROL TraceControl;
TRACE_RING TraceRing[MAXIMUM_CPUS];

C_ASSERT(FIELD_OFFSET(TRACE_RECORD, Sequence) == 8 && FIELD_OFFSET(TRACE_RECORD, Event) == 12 &&
         FIELD_OFFSET(TRACE_RECORD, Cpu) == 14 && FIELD_OFFSET(TRACE_RECORD, Irql) == 15);

static inline __attribute__((always_inline)) VOID TraceRestore(ULONG64 irql, ULONG64 flags) {
    if (irql < DISPATCH_LEVEL && (flags & TRACE_RFLAGS_IF) != 0) {
        __asm__ volatile("sti" : : : "memory");
    }
}

/*
 * Every instruction here is paid some twenty times for an interrupt, so they are few: no frame pointer, the time stored in
 * the halves that RDTSC gives, and sequence number, event, CPU and IRQL put together and stored as one word.
 */
static inline __attribute__((always_inline)) VOID TraceStore(ULONG64 stamp, ULONG64 argument0, ULONG64 argument1) {
    TRACE_RING *ring;
    ULONG64 head, tail, found;
    ULONG low, high;
    BOOLEAN reserved;
    ULONG64 irql = __readcr8();
    ULONG64 flags = 0;
    if (irql < DISPATCH_LEVEL) {
        __asm__ volatile("pushfq\n\tpopq %0\n\tcli" : "=r"(flags) : : "memory");
    }
    __asm__ volatile("movq %%gs:%c1, %0" : "=r"(ring) : "i"(TRACE_RING_GS));
    do {
        /*
         * Tail before Head: whatever happens in between, Head is not behind. The host stores Tail after it has copied the
         * records before it: a slot seen as free is no longer read.
         */
        tail = ring->Tail;
        head = ring->Head;
        if (__builtin_expect(head - tail > ring->Limit, FALSE)) {
            __asm__ volatile("incq %0" : "+m"(ring->Lost)); /* one instruction: exact under interrupts */
            TraceRestore(irql, flags);
            return;
        }
        __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
        found = head;
        __asm__ volatile("cmpxchgq %3, %1"
                         : "=@ccz"(reserved), "+m"(ring->Head), "+a"(found)
                         : "r"(head + 1)
                         : "memory");
    } while (__builtin_expect(!reserved, FALSE));
    TRACE_RECORD *record = &ring->Records[head & ring->Mask];
    ((volatile ULONG *)&record->Time)[0] = low;
    ((volatile ULONG *)&record->Time)[1] = high;
    record->Argument0 = argument0;
    record->Argument1 = argument1;
    stamp |= irql << 56 | ring->Cpu | (ULONG)(head + 1);
    /* Release: the host takes a record as complete once it sees its sequence number. */
    __atomic_store_n((ULONG64 *)&record->Sequence, stamp, __ATOMIC_RELEASE);
    TraceRestore(irql, flags);
}

__attribute__((optimize("omit-frame-pointer"))) VOID TraceWrite(ULONG64 stamp, ULONG64 argument0, ULONG64 argument1) {
    TraceStore(stamp, argument0, argument1);
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
    TraceRing[cpu].Limit = HostBootOptions.TracePolicy == TraceDropNew ? count - 1 : ~0ull;
    TraceRing[cpu].Cpu = (ULONG64)cpu << 48;
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
    TraceWrite(TRACE_STAMP(TraceMaskSet), before[0] & low, before[1] & high);
    /* Sequentially consistent: what is switched off stays recorded until after the record, what is switched on is before. */
    __atomic_store_n(&TraceControl.Mask[0], low, __ATOMIC_SEQ_CST);
    __atomic_store_n(&TraceControl.Mask[1], high, __ATOMIC_SEQ_CST);
    if ((low & ~before[0]) != 0 || (high & ~before[1]) != 0) {
        TraceWrite(TRACE_STAMP(TraceMaskSet), low, high);
    }
}

__attribute__((optimize("omit-frame-pointer"))) VOID NTAPI DirqlTraceMark(ULONG64 Value0, ULONG64 Value1) {
    if (TraceWanted(TraceMark)) {
        TraceStore(TRACE_STAMP(TraceMark), Value0, Value1);
    }
}
NT_EXPORT(DirqlTraceMark);
