/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RtlCaptureContext and RtlRestoreContext: all registers into a CONTEXT, and out of one. The offsets are those of the public
 * structure; seh/walk.c asserts them. The kernel itself uses general registers only, so XMM6 to XMM15 are a driver's at any time.
 */
#define CONTEXT_FLAGS  0x30
#define CONTEXT_MXCSR  0x34
#define CONTEXT_SEG_CS 0x38
#define CONTEXT_SEG_SS 0x42
#define CONTEXT_EFLAGS 0x44
#define CONTEXT_RAX    0x78
#define CONTEXT_RCX    0x80
#define CONTEXT_RDX    0x88
#define CONTEXT_RBX    0x90
#define CONTEXT_RSP    0x98
#define CONTEXT_RBP    0xa0
#define CONTEXT_RSI    0xa8
#define CONTEXT_RDI    0xb0
#define CONTEXT_R8     0xb8
#define CONTEXT_R9     0xc0
#define CONTEXT_R10    0xc8
#define CONTEXT_R11    0xd0
#define CONTEXT_R12    0xd8
#define CONTEXT_R13    0xe0
#define CONTEXT_R14    0xe8
#define CONTEXT_R15    0xf0
#define CONTEXT_RIP    0xf8
#define CONTEXT_FLOAT  0x100 /* 512 bytes as FXSAVE stores them */
#define CONTEXT_KINDS  0x10000f /* AMD64; control, integer, segments, floating point */

    .text
    .cfi_sections .debug_frame, .eh_frame

    /* VOID RtlCaptureContext(CONTEXT *): as the caller has them when this has returned. */
    .globl RtlCaptureContext
    .type RtlCaptureContext, @function
RtlCaptureContext:
    .cfi_startproc
    movq %rax, CONTEXT_RAX(%rcx)
    movq %rcx, CONTEXT_RCX(%rcx)
    movq %rdx, CONTEXT_RDX(%rcx)
    movq %rbx, CONTEXT_RBX(%rcx)
    movq %rbp, CONTEXT_RBP(%rcx)
    movq %rsi, CONTEXT_RSI(%rcx)
    movq %rdi, CONTEXT_RDI(%rcx)
    movq %r8, CONTEXT_R8(%rcx)
    movq %r9, CONTEXT_R9(%rcx)
    movq %r10, CONTEXT_R10(%rcx)
    movq %r11, CONTEXT_R11(%rcx)
    movq %r12, CONTEXT_R12(%rcx)
    movq %r13, CONTEXT_R13(%rcx)
    movq %r14, CONTEXT_R14(%rcx)
    movq %r15, CONTEXT_R15(%rcx)
    pushfq
    .cfi_adjust_cfa_offset 8
    popq %rax
    .cfi_adjust_cfa_offset -8
    movl %eax, CONTEXT_EFLAGS(%rcx)
    leaq 8(%rsp), %rax
    movq %rax, CONTEXT_RSP(%rcx)
    movq (%rsp), %rax
    movq %rax, CONTEXT_RIP(%rcx)
    movw %cs, CONTEXT_SEG_CS(%rcx)
    movw %ss, CONTEXT_SEG_SS(%rcx)
    stmxcsr CONTEXT_MXCSR(%rcx)
    fxsave64 CONTEXT_FLOAT(%rcx)
    movl $CONTEXT_KINDS, CONTEXT_FLAGS(%rcx)
    movq CONTEXT_RAX(%rcx), %rax
    ret
    .cfi_endproc
    .size RtlCaptureContext, . - RtlCaptureContext

    /* VOID RtlRestoreContext(CONTEXT *, EXCEPTION_RECORD *): goes on there. The CPU's own return switches all at once. */
    .globl RtlRestoreContext
    .type RtlRestoreContext, @function
RtlRestoreContext:
    .cfi_startproc
    fxrstor64 CONTEXT_FLOAT(%rcx)
    ldmxcsr CONTEXT_MXCSR(%rcx)
    xorl %eax, %eax
    movw %ss, %ax
    pushq %rax
    pushq CONTEXT_RSP(%rcx)
    movl CONTEXT_EFLAGS(%rcx), %eax
    pushq %rax
    xorl %eax, %eax
    movw %cs, %ax
    pushq %rax
    pushq CONTEXT_RIP(%rcx)
    .cfi_adjust_cfa_offset 40
    movq CONTEXT_RAX(%rcx), %rax
    movq CONTEXT_RDX(%rcx), %rdx
    movq CONTEXT_RBX(%rcx), %rbx
    movq CONTEXT_RBP(%rcx), %rbp
    movq CONTEXT_RSI(%rcx), %rsi
    movq CONTEXT_RDI(%rcx), %rdi
    movq CONTEXT_R8(%rcx), %r8
    movq CONTEXT_R9(%rcx), %r9
    movq CONTEXT_R10(%rcx), %r10
    movq CONTEXT_R11(%rcx), %r11
    movq CONTEXT_R12(%rcx), %r12
    movq CONTEXT_R13(%rcx), %r13
    movq CONTEXT_R14(%rcx), %r14
    movq CONTEXT_R15(%rcx), %r15
    movq CONTEXT_RCX(%rcx), %rcx
    iretq
    .cfi_endproc
    .size RtlRestoreContext, . - RtlRestoreContext

    .section .note.GNU-stack, "", @progbits
