/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All CPUs are to be identical, coprocessors included (spec SYS-1): each compares its CPUID words and the control word mask
 * of its SSE unit with the boot CPU's before it takes part. Words and bits that differ by rights are left out: APIC ids and
 * what a CPU says of its own present state.
 */
#include "ki.h"

#define CPUID_1_EBX_OWN 0xffff0000u /* initial APIC id, number of logical CPUs */
#define CPUID_1_ECX_OWN 0x08000000u /* OSXSAVE: as CR4 is */
#define CPUID_1_EDX_OWN 0x00000200u /* APIC: as its base register is */
#define CPUID_7_ECX_OWN 0x00000010u /* OSPKE: as CR4 is */

typedef struct _KI_IDENTITY_LEAF {
    ULONG Leaf;
    ULONG Own[4]; /* bits of EAX, EBX, ECX, EDX that are each CPU's own */
} KI_IDENTITY_LEAF;

static const KI_IDENTITY_LEAF KiIdentityLeaves[] = {
    {0x00000000, {0, 0, 0, 0}},                                           /* highest leaf, vendor */
    {0x00000001, {0, CPUID_1_EBX_OWN, CPUID_1_ECX_OWN, CPUID_1_EDX_OWN}}, /* family, model, stepping; features */
    {0x00000007, {0, 0, CPUID_7_ECX_OWN, 0}},
    {0x80000000, {0, 0, 0, 0}},
    {0x80000001, {0, 0, 0, 0}},
    {0x80000008, {0, 0, ~0u, 0}}, /* address widths; ECX: how APIC ids are made up */
};

typedef struct _KI_IDENTITY {
    ULONG Word[RTL_NUMBER_OF(KiIdentityLeaves)][4];
    ULONG MxCsrMask;
} KI_IDENTITY;

static KI_IDENTITY KiBootIdentity;

static VOID KiReadIdentity(KI_IDENTITY *identity) {
    UCHAR state[512] __attribute__((aligned(16)));
    for (ULONG i = 0; i < RTL_NUMBER_OF(KiIdentityLeaves); i++) {
        const KI_IDENTITY_LEAF *leaf = &KiIdentityLeaves[i];
        ULONG *word = identity->Word[i];
        __asm__("cpuid" : "=a"(word[0]), "=b"(word[1]), "=c"(word[2]), "=d"(word[3]) : "a"(leaf->Leaf), "c"(0));
        for (ULONG j = 0; j < 4; j++) {
            word[j] &= ~leaf->Own[j];
        }
    }
    __asm__ volatile("fxsave64 (%0)" : : "r"(state) : "memory");
    identity->MxCsrMask = *(ULONG *)(state + 28); /* Intel SDM 1, 10.5.1.1 */
}

VOID KiTakeIdentity(VOID) {
    KiReadIdentity(&KiBootIdentity);
}

VOID KiCompareIdentity(VOID) {
    KI_IDENTITY own;
    ULONG number = KiCurrentPrcb()->Number;
    KiReadIdentity(&own);
    if (HostBootOptions.FeatureFaultCpu == number) { /* 0, for none, is the boot CPU, which is not compared */
        own.Word[1][2] ^= 1u;                        /* SSE3 */
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(KiIdentityLeaves); i++) {
        for (ULONG j = 0; j < 4; j++) {
            if (own.Word[i][j] != KiBootIdentity.Word[i][j]) {
                KeBugCheckEx(MULTIPROCESSOR_CONFIGURATION_NOT_SUPPORTED, number,
                             (ULONG64)KiIdentityLeaves[i].Leaf << 8 | j, KiBootIdentity.Word[i][j], own.Word[i][j]);
            }
        }
    }
    if (own.MxCsrMask != KiBootIdentity.MxCsrMask) {
        KeBugCheckEx(MULTIPROCESSOR_CONFIGURATION_NOT_SUPPORTED, number, ~0ull, KiBootIdentity.MxCsrMask,
                     own.MxCsrMask);
    }
}
