/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The switch from one thread to another: what the Microsoft convention calls nonvolatile, XMM6 to XMM15, MXCSR and the x87
 * control word included, goes onto the old thread's stack (KI_SWITCH_FRAME, ke/threads.c) and comes from the new one's.
 * DISPATCH_LEVEL, with the dispatcher lock.
 */
#include "frame.h"

    .cfi_sections .debug_frame
    .text

    .globl KiSwapContext
    .type KiSwapContext, @function
KiSwapContext: /* RCX: old KTHREAD; RDX: new KTHREAD */
    .cfi_startproc
    pushq %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    pushq %rbx
    pushq %rsi
    pushq %rdi
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    .cfi_def_cfa_offset 72
    subq $KI_SWITCH_BYTES, %rsp
    .cfi_def_cfa_offset 72 + KI_SWITCH_BYTES
    movaps %xmm6, 0x00(%rsp)
    movaps %xmm7, 0x10(%rsp)
    movaps %xmm8, 0x20(%rsp)
    movaps %xmm9, 0x30(%rsp)
    movaps %xmm10, 0x40(%rsp)
    movaps %xmm11, 0x50(%rsp)
    movaps %xmm12, 0x60(%rsp)
    movaps %xmm13, 0x70(%rsp)
    movaps %xmm14, 0x80(%rsp)
    movaps %xmm15, 0x90(%rsp)
    stmxcsr KI_SWITCH_MXCSR(%rsp)
    fnstcw (KI_SWITCH_MXCSR + 4)(%rsp)
    movq %rsp, KI_THREAD_STACK_POINTER(%rcx)
    movq KI_THREAD_STACK_POINTER(%rdx), %rsp
    movaps 0x00(%rsp), %xmm6
    movaps 0x10(%rsp), %xmm7
    movaps 0x20(%rsp), %xmm8
    movaps 0x30(%rsp), %xmm9
    movaps 0x40(%rsp), %xmm10
    movaps 0x50(%rsp), %xmm11
    movaps 0x60(%rsp), %xmm12
    movaps 0x70(%rsp), %xmm13
    movaps 0x80(%rsp), %xmm14
    movaps 0x90(%rsp), %xmm15
    ldmxcsr KI_SWITCH_MXCSR(%rsp)
    fldcw (KI_SWITCH_MXCSR + 4)(%rsp)
    addq $KI_SWITCH_BYTES, %rsp
    .cfi_def_cfa_offset 72
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rdi
    popq %rsi
    popq %rbx
    popq %rbp
    .cfi_def_cfa_offset 8
    ret
    .cfi_endproc
    .size KiSwapContext, . - KiSwapContext

    .globl KiThreadEntry
    .type KiThreadEntry, @function
KiThreadEntry: /* where a new thread goes on: the outermost frame of its stack */
    .cfi_startproc
    .cfi_undefined %rip
    xorl %ebp, %ebp
    subq $32, %rsp /* the homes of a routine's register arguments; RSP is a multiple of 16 here */
    call KiThreadBegins
    ud2
    .cfi_endproc
    .size KiThreadEntry, . - KiThreadEntry

    .section .note.GNU-stack, "", @progbits
