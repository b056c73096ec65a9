/* SPDX-License-Identifier: Apache-2.0 */
/*
 * __chkstk (x64 stack usage): called by prologues of large frames before RSP moves, RAX bytes to come. Touches each page on the way, so
 * that a stack that is too small ends at its guard page and not behind it. Every register stays.
 */
    .text
    .cfi_sections .debug_frame, .eh_frame
    .globl RtlpCheckStack
    .type RtlpCheckStack, @function
RtlpCheckStack:
    .cfi_startproc
    pushq %r10
    .cfi_adjust_cfa_offset 8
    pushq %r11
    .cfi_adjust_cfa_offset 8
    leaq 24(%rsp), %r10
    movq %rax, %r11
1:  cmpq $0x1000, %r11
    jb 2f
    subq $0x1000, %r10
    subq $0x1000, %r11
    testb %r11b, (%r10)
    jmp 1b
2:  subq %r11, %r10
    testb %r11b, (%r10)
    popq %r11
    .cfi_adjust_cfa_offset -8
    popq %r10
    .cfi_adjust_cfa_offset -8
    ret
    .cfi_endproc
    .size RtlpCheckStack, . - RtlpCheckStack

    .section .note.GNU-stack, "", @progbits
