/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What images that are compiled with control flow guard call before each indirect call: RCX has the target, and every register
 * stays; or instead of it: RAX has the target. Every target is let through.
 */
    .text
    .globl LdrGuardCheck
    .type LdrGuardCheck, @function
LdrGuardCheck:
    .cfi_startproc
    ret
    .cfi_endproc
    .size LdrGuardCheck, . - LdrGuardCheck

    .globl LdrGuardDispatch
    .type LdrGuardDispatch, @function
LdrGuardDispatch:
    .cfi_startproc
    jmpq *%rax
    .cfi_endproc
    .size LdrGuardDispatch, . - LdrGuardDispatch

    .section .note.GNU-stack, "", @progbits
