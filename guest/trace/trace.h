/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records what a CPU does. Any IRQL, any context, NMI included; never waits, takes no lock. What a record holds is in
 * include/trace_events.h, how the host reads it in include/hostif.h.
 */
#pragma once

#include "../include/hostif.h"

/* Boot CPU, once, before the others start: a ring for each CPU, then the mask of the boot options takes effect. */
ULONG TraceRecordsPerRing(ULONG processors); /* a power of two */
VOID TraceSetRing(ULONG cpu, ULONG64 physical, TRACE_RECORD *records, ULONG count);
VOID TraceStart(ULONG processors);

/*
 * Says which events are recorded from now on; `before` gets what they were. Any IRQL; one caller at a time. It leaves one or
 * two TraceMaskSet: first the events that are recorded before and after, then, if there are more, those that are after. So
 * what a MaskSet names has been recorded without a gap up to the next.
 */
VOID TraceSetMask(ULONG64 low, ULONG64 high, ULONG64 before[2]);

/* Where a CPU's own KPRCB has the address of its ring: GS:[190h]. ke/ki.h asserts it. */
#define TRACE_RING_GS 0x190

VOID TraceWrite(ULONG event, ULONG64 argument0, ULONG64 argument1);

/* Whether an event is recorded: one TEST of the byte of the mask that has its bit. */
static inline __attribute__((always_inline)) BOOLEAN TraceWanted(TRACE_EVENT event) {
    BOOLEAN wanted;
    __asm__ volatile("testb %2, %1"
                     : "=@ccnz"(wanted)
                     : "m"(((const UCHAR *)&TraceControl.Mask)[event / 8]), "i"((UCHAR)(1u << (event & 7u))));
    return wanted;
}

static inline __attribute__((always_inline)) VOID trace(TRACE_EVENT event, ULONG64 argument0, ULONG64 argument1) {
    if (__builtin_expect(TraceWanted(event), 0)) {
        TraceWrite(event, argument0, argument1);
    }
}
