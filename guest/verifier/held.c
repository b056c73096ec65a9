/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The locks that each CPU holds, innermost last. Only the CPU itself touches its list, with interrupts off, because an ISR
 * of the same CPU takes and gives back locks in between. A list is as long as nesting can sensibly be; what does not fit is
 * not watched, and counted.
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
        cpu->Held[cpu->Count++] = *request;
    } else {
        cpu->Unwatched++;
    }
    KiRestoreInterrupts(flags);
}

VI_REQUEST *ViHeld(ULONG index) {
    VI_CPU *cpu = ViCurrent();
    return index < cpu->Count ? &cpu->Held[index] : NULL;
}

VI_REQUEST *ViFindHeld(ULONG64 lock) {
    VI_CPU *cpu = ViCurrent();
    for (ULONG i = cpu->Count; i-- > 0;) {
        if (cpu->Held[i].Lock == lock) {
            return &cpu->Held[i];
        }
    }
    return NULL;
}

BOOLEAN ViHoldsInterruptLock(VOID) {
    VI_CPU *cpu = ViCurrent();
    for (ULONG i = 0; i < cpu->Count; i++) {
        if (cpu->Held[i].Kind == ViInterrupt) {
            return TRUE;
        }
    }
    return FALSE;
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
