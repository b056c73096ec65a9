/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BOOLEAN KiLoadIfThere(const VOID *address, ULONG64 *value): one load that may find nothing there. A page fault at KiGuardedLoad at an
 * address that no page belongs to goes on at KiGuardedLoadFailed (ke/pagefault.c); a page that is out is brought in, or is
 * fatal, as anywhere.
 */
    .text
    .globl KiLoadIfThere
    .globl KiGuardedLoad
    .globl KiGuardedLoadFailed
    .type KiLoadIfThere, @function
KiLoadIfThere:
    .cfi_startproc
KiGuardedLoad:
    movq (%rcx), %rax
    movq %rax, (%rdx)
    movl $1, %eax
    ret
KiGuardedLoadFailed:
    xorl %eax, %eax
    ret
    .cfi_endproc
    .size KiLoadIfThere, . - KiLoadIfThere

    .section .note.GNU-stack, "", @progbits
