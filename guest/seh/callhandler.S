/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls a driver's language handler (R9: dispatcher context, LanguageHandler in it), for an exception and for an unwind. A walk that
 * meets one of these frames knows by it which handler is under way; the dispatcher context is at SEH_HANDLER_DISPATCH.
 */
#define DISPATCH_LANGUAGE_HANDLER 0x30

    .text
    .cfi_sections .debug_frame, .eh_frame

    .macro CALLER name
    .globl \name
    .globl \name\()End
    .type \name, @function
\name:
    .cfi_startproc
    pushq %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    movq %rsp, %rbp
    .cfi_def_cfa_register %rbp
    subq $48, %rsp
    movq %r9, 32(%rsp)
    call *DISPATCH_LANGUAGE_HANDLER(%r9)
    nop
    leave
    .cfi_def_cfa %rsp, 8
    ret
\name\()End:
    .cfi_endproc
    .size \name, . - \name
    .endm

    CALLER SehCallHandler
    CALLER SehCallUnwindHandler

    .section .note.GNU-stack, "", @progbits
