/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One stub for each vector, and the way in and out that they share. A trap frame holds everything the Microsoft
 * convention lets a C routine change, XMM0 to XMM5 and MXCSR included, because driver code uses them.
 * The layout is KI_TRAP_FRAME (ke/ki.h); KI_FRAME_* are checked against it in ke/trap.c.
 * The .cfi lines tell a debugger the way back to what was interrupted, with every register.
 */
#include "frame.h"

    .text
    .altmacro
    .cfi_sections .debug_frame, .eh_frame

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

    .macro PUSH register
    pushq %\register
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %\register, 0
    .endm

    .macro POP register
    popq %\register
    .cfi_adjust_cfa_offset -8
    .cfi_restore %\register
    .endm

    .globl KiTrapCommon
    .globl KiTrapCommonEnd
    .type KiTrapCommon, @function
KiTrapCommon:
    /* The frame's top: vector, error code, then what the CPU pushed: RIP, CS, RFLAGS, RSP, SS. */
    .cfi_startproc simple
    .cfi_signal_frame
    .cfi_def_cfa %rsp, 56
    .cfi_offset %rip, -40
    .cfi_offset %rsp, -16
    PUSH rax
    PUSH rcx
    PUSH rdx
    PUSH rbx
    PUSH rbp
    PUSH rsi
    PUSH rdi
    PUSH r8
    PUSH r9
    PUSH r10
    PUSH r11
    PUSH r12
    PUSH r13
    PUSH r14
    PUSH r15
    pushq (KI_FRAME_RIP - KI_FRAME_R15)(%rsp) /* Link.Rip */
    .cfi_adjust_cfa_offset 8
    pushq %rbp /* Link.Rbp */
    .cfi_adjust_cfa_offset 8
    movq %rsp, %rbp
    .cfi_def_cfa %rbp, KI_FRAME_BYTES - KI_FRAME_LINK
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
    .cfi_def_cfa %rsp, KI_FRAME_BYTES - KI_FRAME_R15
    POP r15
    POP r14
    POP r13
    POP r12
    POP r11
    POP r10
    POP r9
    POP r8
    POP rdi
    POP rsi
    POP rbp
    POP rbx
    POP rdx
    POP rcx
    POP rax
    addq $16, %rsp
    .cfi_adjust_cfa_offset -16
    iretq
KiTrapCommonEnd:
    .cfi_endproc
    .size KiTrapCommon, . - KiTrapCommon

    /*
     * VOID KeBugCheckEx(code, P1, P2, P3, P4): saves the caller's registers before any C code has changed them, then
     * KiBugCheckCaller. The pushes are KI_CALLER_REGISTERS (ke/bugcheck.c), from its end.
     */
    .globl KeBugCheckEx
    .type KeBugCheckEx, @function
KeBugCheckEx:
    .cfi_startproc
    pushfq
    pushq %r15
    pushq %r14
    pushq %r13
    pushq %r12
    pushq %rdi
    pushq %rsi
    pushq %rbp
    pushq %rbx
    .cfi_def_cfa_offset 80
    movq %rsp, %rax
    movq 112(%rsp), %r10 /* P4: the fifth argument, above the return address and its four homes */
    subq $48, %rsp
    .cfi_def_cfa_offset 128
    movq %r10, 32(%rsp)
    movq %rax, 40(%rsp)
    call KiBugCheckCaller
    ud2
    .cfi_endproc
    .size KeBugCheckEx, . - KeBugCheckEx

    .section .rodata
    .balign 4
KiInitialMxCsr:
    .long 0x1f80 /* all exceptions masked, round to nearest */

    .section .note.GNU-stack, "", @progbits
