/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupt vectors: which are free, and how often each was taken. A vector's IRQL is its high half, so an IRQL has 16
 * vectors, less those that the executive keeps to itself: 0x31 and 0x32 (the serial ports), 0x35, 0xd1 (clock), 0xdf
 * (spurious), 0xe1 (IPI), 0xe2 (wake-up), 0xff.
 *
 *     IRQL  1, 2      software interrupts (APC 0x1f, DPC 0x2f): no device's
 *     IRQL  3         the serial ports'; a driver may name the rest
 *     IRQL  4 to 11   devices: messages and lines are spread over these levels, lowest vector first
 *     IRQL 12         what a driver must have above every other device
 *     IRQL 13 to 15   clock, IPI and power, profile: a driver may name one of the rest
 */
#include "ki.h"

#include "../trace/trace.h"

volatile ULONG64 KiInterruptCounts[MAXIMUM_CPUS][256];
volatile ULONG64 KiUnexpectedCounts[256];
volatile ULONG64 KiUnclaimedCounts[256];

static ULONG64 KiVectorsTaken[4]; /* bit n of word w: vector 64 * w + n is allocated */
static ULONG64 KiVectorsKept[4];  /* and for ever */
static KSPIN_LOCK KiVectorLock;   /* of both */

BOOLEAN KiIsDeviceVector(ULONG vector) {
    switch (vector) {
    case CONSOLE_VECTOR:
    case HOST_VECTOR:
    case CMCI_VECTOR:
    case CLOCK_VECTOR:
    case SPURIOUS_VECTOR:
    case IPI_VECTOR:
    case WAKE_VECTOR:
        return FALSE;
    default:
        return VECTOR_IRQL(vector) > DISPATCH_LEVEL && vector < 0xff;
    }
}

/* KiVectorLock is held. */
static BOOLEAN KiTakeVector(ULONG vector) {
    ULONG64 bit = 1ull << (vector & 63u);
    if ((KiVectorsTaken[vector / 64] & bit) != 0 || !KiIsDeviceVector(vector)) {
        return FALSE;
    }
    KiVectorsTaken[vector / 64] |= bit;
    return TRUE;
}

BOOLEAN KiReserveVector(ULONG vector) {
    KIRQL old = KiAcquireLockAtHigh(&KiVectorLock);
    BOOLEAN taken = KiTakeVector(vector);
    KiReleaseLockFromHigh(&KiVectorLock, old);
    return taken;
}

ULONG KiAllocateVector(KIRQL irql) {
    ULONG found = 0;
    KIRQL old = KiAcquireLockAtHigh(&KiVectorLock);
    for (ULONG vector = (ULONG)irql << 4; vector < ((ULONG)irql << 4) + 16 && found == 0; vector++) {
        if (KiTakeVector(vector)) {
            found = vector;
        }
    }
    KiReleaseLockFromHigh(&KiVectorLock, old);
    return found;
}

VOID KiFreeVector(ULONG vector) {
    KIRQL old = KiAcquireLockAtHigh(&KiVectorLock);
    KiVectorsTaken[vector / 64] &= ~(1ull << (vector & 63u));
    KiReleaseLockFromHigh(&KiVectorLock, old);
}

VOID KiKeepVector(ULONG vector) {
    KIRQL old = KiAcquireLockAtHigh(&KiVectorLock);
    KiVectorsKept[vector / 64] |= 1ull << (vector & 63u);
    KiReleaseLockFromHigh(&KiVectorLock, old);
}

ULONG KiCountVectors(VOID) {
    ULONG count = 0;
    for (ULONG word = 0; word < RTL_NUMBER_OF(KiVectorsTaken); word++) {
        for (ULONG64 bits = KiVectorsTaken[word] & ~KiVectorsKept[word]; bits != 0; bits &= bits - 1) {
            count++;
        }
    }
    return count;
}

VOID KiCountUnexpected(const KI_TRAP_FRAME *frame) {
    KiCurrentPrcb()->SpuriousCount++;
    /* Relaxed: a count, and several CPUs may take the vector. */
    __atomic_add_fetch(&KiUnexpectedCounts[frame->Vector], 1, __ATOMIC_RELAXED);
    trace(TraceUnexpectedInterrupt, frame->Vector, frame->Rip);
}

ULONG64 NTAPI DirqlInterruptCount(ULONG Cpu, ULONG Vector) {
    return Cpu < KiProcessorCount && Vector < 256 ? KiInterruptCounts[Cpu][Vector] : 0;
}
NT_EXPORT(DirqlInterruptCount);
