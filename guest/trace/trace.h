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

VOID TraceWrite(TRACE_EVENT event, ULONG64 argument0, ULONG64 argument1);

static inline VOID trace(TRACE_EVENT event, ULONG64 argument0, ULONG64 argument1) {
    if (TraceControl.Mask >> event & 1u) {
        TraceWrite(event, argument0, argument1);
    }
}

/* Exported to drivers: a TraceMark record with two values of the caller's choice. Any IRQL. */
VOID NTAPI DirqlTraceMark(ULONG64 Value0, ULONG64 Value1);
