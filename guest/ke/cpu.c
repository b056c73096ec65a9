/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CPU's own descriptor tables, emergency stacks and control registers (Intel SDM 3, chapters 2, 3 and 6). The IDT is
 * one for all; GDT and TSS are each CPU's. Double fault, NMI and machine check have stacks that are never otherwise used.
 */
#include "ki.h"

#define SELECTOR_CODE  0x10
#define SELECTOR_DATA  0x18
#define SELECTOR_TSS   0x20
#define GATE_INTERRUPT 0x8e00 /* present, DPL 0, 64-bit interrupt gate: IF is clear on entry */
#define STUB_BYTES     16
#define MSR_GS_BASE    0xc0000101
#define CR0_VALUE      0x80010033ull /* PG, WP, NE, ET, MP, PE */
#define CR4_VALUE      0x6e0ull      /* OSXMMEXCPT, OSFXSR, PGE, MCE, PAE */

typedef struct __attribute__((packed)) _KI_TSS {
    ULONG Reserved0;
    ULONG64 Rsp[3];
    ULONG64 Reserved1;
    ULONG64 Ist[7];
    ULONG64 Reserved2;
    USHORT Reserved3;
    USHORT IoMapBase;
} KI_TSS;
C_ASSERT(sizeof(KI_TSS) == 104);

struct _KI_DESCRIPTORS {
    ULONG64 Gdt[6];
    KI_TSS Tss;
} __attribute__((aligned(KI_CACHE_LINE)));

typedef struct _KI_GATE {
    ULONG64 Low, High;
} KI_GATE;

typedef struct __attribute__((packed)) _KI_TABLE_POINTER {
    USHORT Limit;
    const VOID *Base;
} KI_TABLE_POINTER;

extern const UCHAR KiTrapStubs[];

KIPCR KiPcr[MAXIMUM_CPUS];
ULONG KiProcessorCount = 1;
static KI_DESCRIPTORS KiDescriptors[MAXIMUM_CPUS];
static KI_GATE KiIdt[256] __attribute__((aligned(16)));

/* Which emergency stack a vector uses; 0: the one it interrupted. */
static ULONG KiEmergencyStack(ULONG vector) {
    return vector == 8 ? 1 : vector == 2 ? 2 : vector == 18 ? 3 : 0;
}

static VOID KiBuildIdt(VOID) {
    for (ULONG vector = 0; vector < 256; vector++) {
        ULONG64 stub = (ULONG64)(KiTrapStubs + (SIZE_T)vector * STUB_BYTES);
        KiIdt[vector].Low = (stub & 0xffff) | SELECTOR_CODE << 16 | (ULONG64)KiEmergencyStack(vector) << 32 |
            (ULONG64)GATE_INTERRUPT << 32 | (stub >> 16 & 0xffff) << 48;
        KiIdt[vector].High = stub >> 32;
    }
}

static VOID KiBuildDescriptors(KI_DESCRIPTORS *own) {
    ULONG64 tss = (ULONG64)&own->Tss;
    own->Gdt[SELECTOR_CODE / 8] = 0x00af9b000000ffffull;
    own->Gdt[SELECTOR_DATA / 8] = 0x00cf93000000ffffull;
    own->Gdt[SELECTOR_TSS / 8] =
        (sizeof(KI_TSS) - 1) | (tss & 0xffffff) << 16 | 0x89ull << 40 | (tss >> 24 & 0xff) << 56;
    own->Gdt[SELECTOR_TSS / 8 + 1] = tss >> 32;
    own->Tss.IoMapBase = sizeof(KI_TSS);
}

static VOID KiLoadDescriptors(KI_DESCRIPTORS *own) {
    KI_TABLE_POINTER gdt = {sizeof own->Gdt - 1, own->Gdt};
    KI_TABLE_POINTER idt = {sizeof KiIdt - 1, KiIdt};
    __asm__ volatile("lgdt %0\n\t"
                     "lidt %1\n\t"
                     "pushq %2\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:\n\t"
                     "movl %3, %%eax\n\t"
                     "movl %%eax, %%ds\n\t"
                     "movl %%eax, %%es\n\t"
                     "movl %%eax, %%ss\n\t"
                     "movl %4, %%eax\n\t"
                     "ltr %%ax"
                     :
                     : "m"(gdt), "m"(idt), "i"(SELECTOR_CODE), "i"(SELECTOR_DATA), "i"(SELECTOR_TSS)
                     : "rax", "memory");
}

VOID KiInitializeProcessor(ULONG number, ULONG apic_id) {
    KIPCR *pcr = &KiPcr[number];
    KI_DESCRIPTORS *own = &KiDescriptors[number];
    if (number == 0) {
        KiBuildIdt();
    }
    KiBuildDescriptors(own);
    KiLoadDescriptors(own);
    pcr->Public.Self = &pcr->Public;
    pcr->Public.CurrentPrcb = &pcr->Prcb;
    pcr->Prcb.Number = number;
    pcr->Prcb.ApicId = apic_id;
    pcr->Prcb.Descriptors = own;
    __writemsr(MSR_GS_BASE, (ULONG64)pcr);
    __asm__ volatile("mov %0, %%cr0" : : "r"(CR0_VALUE) : "memory");
    __asm__ volatile("mov %0, %%cr4" : : "r"(CR4_VALUE) : "memory");
    __writecr8(HIGH_LEVEL);
}

VOID KiSetEmergencyStack(ULONG number, ULONG index, ULONG64 top) {
    KiDescriptors[number].Tss.Ist[index] = top;
}
