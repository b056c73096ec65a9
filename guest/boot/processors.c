/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting the other CPUs: one INIT and STARTUP broadcast, the same under our ROM and under the stock BIOS. They come up
 * together; each finds its stack by its APIC id, which is its number.
 */
#include "boot.h"
#include "trampoline.h"

#include "../hal/hal.h"
#include "../ke/ki.h"
#include "../mm/mi.h"
#include "../trace/trace.h"

extern UCHAR KiTrampoline[], KiTrampolineEnd[];

ULONG64 KiApStacks[256]; /* by APIC id */

static volatile LONG KiProcessorsRunning = 1;

VOID KiProcessorStartup(ULONG apic_id) {
    KiInitializeProcessor(apic_id, apic_id);
    lapic_enable();
    KiCompareIdentity();
    PKPRCB prcb = KiCurrentPrcb();
    trace(TraceCpuStart, lapic_id(), 0);
    HalpStartClock(KiClockPeriod100ns);
    /* Release: whoever sees this CPU running sees its per-CPU data. */
    __atomic_store_n(&prcb->Running, TRUE, __ATOMIC_RELEASE);
    __atomic_add_fetch(&KiProcessorsRunning, 1, __ATOMIC_RELEASE);
    KiLowerIrql(PASSIVE_LEVEL, KI_CALLER);
    _enable();
    KiIdleLoop();
}

VOID KiStartProcessors(VOID) {
    if (KiProcessorCount == 1) {
        return;
    }
    KiTakeIdentity();
    for (ULONG cpu = 1; cpu < KiProcessorCount; cpu++) {
        KiApStacks[cpu] = KiPcr[cpu].Prcb.StackTop;
    }
    /* .boot.text lies at its physical address, below the kernel's half: reached through the direct map. */
    RtlCopyMemory(MiPhysicalToVirtual(TRAMPOLINE_ADDRESS), MiPhysicalToVirtual((ULONG64)KiTrampoline),
                  (ULONG64)(KiTrampolineEnd - KiTrampoline));
    lapic_start_others(TRAMPOLINE_ADDRESS >> PAGE_SHIFT);
    /* The host's deadline ends this wait if a CPU never comes; its registers then show where it is. */
    while ((ULONG)__atomic_load_n(&KiProcessorsRunning, __ATOMIC_ACQUIRE) != KiProcessorCount) {
        _mm_pause();
    }
}
