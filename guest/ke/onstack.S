/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a routine on another stack. The frame pointer stays a link from the new stack to the old one, and the .cfi
 * lines say the same, so a stack walk goes through to whatever was interrupted.
 */
    .cfi_sections .debug_frame
    .text

    .globl KiCallOnStack
    .type KiCallOnStack, @function
KiCallOnStack: /* RCX: top of the stack; RDX: VOID routine(PVOID); R8: its argument */
    .cfi_startproc
    pushq %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    movq %rsp, %rbp
    .cfi_def_cfa_register %rbp
    movq %rcx, %rsp
    subq $32, %rsp /* the homes of the routine's register arguments */
    movq %r8, %rcx
    call *%rdx
    movq %rbp, %rsp
    popq %rbp
    .cfi_def_cfa %rsp, 8
    ret
    .cfi_endproc
    .size KiCallOnStack, . - KiCallOnStack

    .section .note.GNU-stack, "", @progbits
