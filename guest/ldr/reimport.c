/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Imports of loaded images, once more: while the verifier is on, a routine of the kernel that has a checked form is reached
 * through that; switching it sends the imports of every loaded image elsewhere.
 */
#include "work.h"

#include "../include/highlock.h"

#define CR0_WP 0x10000ull /* a write to a read-only page faults, in the kernel too (Intel SDM 3, 2.5) */

/* A driver's import table may lie in a read-only section: the page's protection is passed over for one aligned store. */
static VOID LdrStoreSlot(PVOID *slot, PVOID address) {
    ULONG64 cr0;
    ULONG64 flags = KiDisableInterrupts();
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    __asm__ volatile("mov %0, %%cr0" : : "r"(cr0 & ~CR0_WP) : "memory");
    __atomic_store_n(slot, address, __ATOMIC_RELEASE);
    __asm__ volatile("mov %0, %%cr0" : : "r"(cr0) : "memory");
    KiRestoreInterrupts(flags);
}

/* The image was found sound when it was loaded; its tables are as they were then, unless its driver has written to them. */
static VOID LdrResolveSlots(const LDR_WORK *work, ULONG slots, const char *(*checked_name)(PVOID)) {
    for (ULONG64 at = slots; LdrWithin(work->Size, at, sizeof(PVOID)); at += sizeof(PVOID)) {
        PVOID *slot = (PVOID *)(work->Base + at);
        if (*slot == NULL) {
            return;
        }
        /* By its address: the table of names may be gone, since an image need not have it twice. */
        const char *name = LdrNameOf(*slot);
        name = name != NULL ? name : checked_name(*slot);
        if (name != NULL) { /* NULL: another driver's */
            LdrStoreSlot(slot, LdrFindKernels(name));
        }
    }
}

VOID LdrResolveAgain(const char *(*checked_name)(PVOID)) {
    for (ULONG i = 0; i < MAXIMUM_IMAGES; i++) {
        if (LdrImages[i].Base == 0) {
            continue;
        }
        LDR_WORK work;
        LdrLookAt(&work, &LdrImages[i]);
        for (ULONG delayed = 0; delayed < 2; delayed++) {
            LDR_MODULE_IMPORTS imports;
            for (ULONG number = 0; LdrModuleImports(&work, delayed != 0, number, &imports) && imports.Name != 0;
                 number++) {
                LdrResolveSlots(&work, imports.Slots, checked_name);
            }
        }
    }
}
