/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APIC: xAPIC by memory-mapped registers, x2APIC by MSRs where the CPU has it. Priority is not here: IRQL is
 * CR8, and CR8 is the task priority register's own high half (Intel SDM 3, 10.8.6).
 */
#include "hal.h"

#include "../include/highlock.h"
#include "../include/vectors.h"
#include "regs.h"

static volatile UCHAR *LapicBase;
static BOOLEAN LapicX2;

static ULONG lapic_read(ULONG offset) {
    if (LapicX2) {
        return (ULONG)__readmsr(MSR_X2APIC_FIRST + offset / 16);
    }
    return *(volatile ULONG *)(LapicBase + offset);
}

static VOID lapic_write(ULONG offset, ULONG value) {
    if (LapicX2) {
        __writemsr(MSR_X2APIC_FIRST + offset / 16, value);
    } else {
        *(volatile ULONG *)(LapicBase + offset) = value;
    }
}

/* An MSR write does not wait for earlier stores, as one to the xAPIC's registers does (Intel SDM 3, 10.12.3). */
static VOID lapic_order(VOID) {
    __asm__ volatile("mfence; lfence" : : : "memory");
}

/*
 * One ICR write is one IPI. In xAPIC mode it is two stores: an interrupt between them could send an IPI of its own and
 * leave our command with its destination, so interrupts are off in between. The delivery status is not waited for:
 * the local APICs of QEMU and KVM deliver before the store is done.
 */
static VOID lapic_command(ULONG apic_id, ULONG command) {
    if (LapicX2) {
        lapic_order();
        __writemsr(MSR_X2APIC_FIRST + LAPIC_ICR_LOW / 16, (ULONG64)apic_id << 32 | command);
        return;
    }
    ULONG64 flags = KiDisableInterrupts();
    lapic_write(LAPIC_ICR_HIGH, apic_id << 24);
    lapic_write(LAPIC_ICR_LOW, command);
    KiRestoreInterrupts(flags);
}

VOID lapic_use(volatile VOID *registers) {
    ULONG a, b, c, d;
    __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(1), "c"(0));
    LapicX2 = (c >> 21 & 1u) != 0;
    LapicBase = registers;
}

VOID lapic_enable(VOID) {
    if (LapicX2) {
        __writemsr(MSR_APIC_BASE, __readmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE | APIC_BASE_X2APIC);
    } else {
        lapic_write(LAPIC_DFR, 0xffffffff);
        lapic_write(LAPIC_LDR, (1u << (lapic_id() & 7u)) << 24);
    }
    lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
    lapic_write(LAPIC_LVT_LINT0, LVT_MASKED);
    lapic_write(LAPIC_LVT_LINT1, LVT_NMI);
    lapic_write(LAPIC_LVT_ERROR, LVT_MASKED);
    lapic_write(LAPIC_SVR, SVR_ENABLE | SPURIOUS_VECTOR);
}

ULONG lapic_id(VOID) {
    return LapicX2 ? lapic_read(LAPIC_ID) : lapic_read(LAPIC_ID) >> 24;
}

BOOLEAN lapic_is_x2apic(VOID) {
    return LapicX2;
}

VOID lapic_eoi(VOID) {
    lapic_write(LAPIC_EOI, 0);
}

VOID lapic_self(ULONG vector) {
    if (LapicX2) {
        lapic_order();
        lapic_write(LAPIC_X2_SELF_IPI, vector);
    } else {
        lapic_write(LAPIC_ICR_LOW, ICR_SELF | ICR_ASSERT | ICR_FIXED | vector); /* a shorthand needs no destination */
    }
}

VOID lapic_send(ULONG apic_id, ULONG vector) {
    lapic_command(apic_id, ICR_ASSERT | ICR_FIXED | vector);
}

VOID lapic_send_others(ULONG vector) {
    lapic_command(0, ICR_ALL_BUT_SELF | ICR_ASSERT | ICR_FIXED | vector);
}

VOID lapic_nmi(ULONG apic_id) {
    lapic_command(apic_id, ICR_ASSERT | ICR_NMI);
}

/*
 * INIT, then STARTUP twice as the manual asks (Intel SDM 3, 8.4.4.1). Its pauses are for real silicon: QEMU latches both
 * messages, in order, so none are needed, and a second STARTUP finds the CPU running and is ignored.
 */
VOID lapic_start_others(ULONG page) {
    lapic_command(0, ICR_ALL_BUT_SELF | ICR_ASSERT | ICR_INIT);
    lapic_command(0, ICR_ALL_BUT_SELF | ICR_ASSERT | ICR_STARTUP | page);
    lapic_command(0, ICR_ALL_BUT_SELF | ICR_ASSERT | ICR_STARTUP | page);
}

/* QEMU's own local APIC, which only TCG uses, takes a count more for a period than its register says. */
static BOOLEAN lapic_counts_one_more(VOID) {
    ULONG a, b, c, d;
    __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(CPUID_HYPERVISOR), "c"(0));
    return b == CPUID_HYPERVISOR_TCG;
}

VOID lapic_timer_periodic(ULONG vector, ULONG64 ticks) {
    BOOLEAN slow = ticks > 0xffffffffu; /* more than the register holds */
    lapic_write(LAPIC_TIMER_DIVIDE, slow ? TIMER_DIVIDE_128 : TIMER_DIVIDE_BY_1);
    lapic_write(LAPIC_LVT_TIMER, ticks == 0 ? LVT_MASKED : LVT_TIMER_PERIODIC | vector);
    ULONG count = (ULONG)(slow ? ticks / 128 : ticks);
    lapic_write(LAPIC_TIMER_INITIAL, count > 1 && lapic_counts_one_more() ? count - 1 : count);
}
