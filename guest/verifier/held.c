/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spin locks that each CPU holds, innermost last. Only the CPU itself touches its list, with interrupts off: an ISR of the
 * same CPU takes and gives back locks in between, and a thread below DISPATCH_LEVEL may leave its CPU at any moment. Such a thread
 * holds no spin lock, and neither does the CPU that it is on: what it finds is nothing, wherever it looked. A list is as long
 * as nesting can sensibly be; what does not fit is not watched, and counted.
 */
#include "vi.h"

#define HELD_LIMIT 12

typedef struct _VI_CPU {
    VI_REQUEST Held[HELD_LIMIT];
    ULONG Count;
    ULONG Unwatched;
} __attribute__((aligned(KI_CACHE_LINE))) VI_CPU;

static VI_CPU ViCpus[MAXIMUM_CPUS];

static VI_CPU *ViCurrent(VOID) {
    return &ViCpus[KiCurrentPrcb()->Number];
}

VOID ViPushHeld(const VI_REQUEST *request) {
    ULONG64 flags = KiDisableInterrupts();
    VI_CPU *cpu = ViCurrent();
    if (cpu->Count < HELD_LIMIT) {
        VI_REQUEST *held = &cpu->Held[cpu->Count++];
        *held = *request;
        held->Since = __rdtsc();
    } else {
        cpu->Unwatched++;
    }
    KiRestoreInterrupts(flags);
}

VI_REQUEST *ViHeld(ULONG index) {
    ULONG64 flags = KiDisableInterrupts();
    VI_CPU *cpu = ViCurrent();
    VI_REQUEST *held = index < cpu->Count ? &cpu->Held[index] : NULL;
    KiRestoreInterrupts(flags);
    return held;
}

VI_REQUEST *ViFindHeld(ULONG64 lock) {
    ULONG64 flags = KiDisableInterrupts();
    VI_CPU *cpu = ViCurrent();
    VI_REQUEST *held = NULL;
    for (ULONG i = cpu->Count; i-- > 0 && held == NULL;) {
        held = cpu->Held[i].Lock == lock ? &cpu->Held[i] : NULL;
    }
    KiRestoreInterrupts(flags);
    return held;
}

VI_REQUEST *ViInnermost(VOID) {
    ULONG64 flags = KiDisableInterrupts();
    VI_CPU *cpu = ViCurrent();
    VI_REQUEST *held = cpu->Count != 0 ? &cpu->Held[cpu->Count - 1] : NULL;
    KiRestoreInterrupts(flags);
    return held;
}

BOOLEAN ViHoldsInterruptLock(VOID) {
    ULONG64 flags = KiDisableInterrupts();
    VI_CPU *cpu = ViCurrent();
    BOOLEAN found = FALSE;
    for (ULONG i = 0; i < cpu->Count && !found; i++) {
        found = cpu->Held[i].Kind == ViInterrupt;
    }
    KiRestoreInterrupts(flags);
    return found;
}

VOID ViPopHeld(VI_REQUEST *held) {
    ULONG64 flags = KiDisableInterrupts();
    VI_CPU *cpu = ViCurrent();
    for (VI_REQUEST *next = held + 1; next < cpu->Held + cpu->Count; next++) {
        next[-1] = *next;
    }
    cpu->Count--;
    KiRestoreInterrupts(flags);
}

VOID ViForgetHeld(VOID) {
    for (ULONG i = 0; i < MAXIMUM_CPUS; i++) {
        ViCpus[i].Count = 0;
    }
}
