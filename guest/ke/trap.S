/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One stub for each vector, and the way in and out that they share. A trap frame holds everything the Microsoft
 * convention lets a C routine change, XMM0 to XMM5 and MXCSR included, because driver code uses them.
 * The layout is KI_TRAP_FRAME (ke/ki.h); KI_FRAME_* are checked against it in ke/trap.c.
 */
#include "frame.h"

    .text
    .altmacro

/* Exceptions that push an error code: 8, 10-14, 17, 21, 29, 30 (Intel SDM 3, table 6-1). */
    .macro STUB number
    .balign 16
    .if (\number == 8) || (\number >= 10 && \number <= 14) || (\number == 17) || (\number == 21) || (\number == 29) || (\number == 30)
    .else
    pushq $0
    .endif
    pushq $\number
    jmp KiTrapCommon
    .endm

    .globl KiTrapStubs
    .balign 16
KiTrapStubs:
    .set vector, 0
    .rept 256
    STUB %vector
    .set vector, vector + 1
    .endr

    .globl KiTrapCommon
    .type KiTrapCommon, @function
KiTrapCommon:
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rbx
    pushq %rbp
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq (KI_FRAME_RIP - KI_FRAME_R15)(%rsp) /* Link.Rip */
    pushq %rbp                                /* Link.Rbp */
    movq %rsp, %rbp
    subq $KI_FRAME_LINK, %rsp
    movaps %xmm0, (KI_FRAME_XMM + 0x00)(%rsp)
    movaps %xmm1, (KI_FRAME_XMM + 0x10)(%rsp)
    movaps %xmm2, (KI_FRAME_XMM + 0x20)(%rsp)
    movaps %xmm3, (KI_FRAME_XMM + 0x30)(%rsp)
    movaps %xmm4, (KI_FRAME_XMM + 0x40)(%rsp)
    movaps %xmm5, (KI_FRAME_XMM + 0x50)(%rsp)
    stmxcsr KI_FRAME_MXCSR(%rsp)
    ldmxcsr KiInitialMxCsr(%rip)
    cld
    movq %rsp, %rcx
    subq $32, %rsp
    call KiDispatchTrap
    addq $32, %rsp
    movaps (KI_FRAME_XMM + 0x00)(%rsp), %xmm0
    movaps (KI_FRAME_XMM + 0x10)(%rsp), %xmm1
    movaps (KI_FRAME_XMM + 0x20)(%rsp), %xmm2
    movaps (KI_FRAME_XMM + 0x30)(%rsp), %xmm3
    movaps (KI_FRAME_XMM + 0x40)(%rsp), %xmm4
    movaps (KI_FRAME_XMM + 0x50)(%rsp), %xmm5
    ldmxcsr KI_FRAME_MXCSR(%rsp)
    addq $KI_FRAME_R15, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rbp
    popq %rbx
    popq %rdx
    popq %rcx
    popq %rax
    addq $16, %rsp
    iretq
    .size KiTrapCommon, . - KiTrapCommon

    .section .rodata
    .balign 4
KiInitialMxCsr:
    .long 0x1f80 /* all exceptions masked, round to nearest */

    .section .note.GNU-stack, "", @progbits
