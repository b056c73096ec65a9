/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The common half of the contract thunks (contract.c): a thunk has put the address of its rule into RAX. The rule is checked,
 * and the routine itself is jumped to with every argument register and the stack as its caller left them.
 */
#include "contract.h"

    .text
    .globl ViCheckedCall
    .type ViCheckedCall, @function
ViCheckedCall:
    pushq %rbp
    movq %rsp, %rbp
    pushq %rax
    pushq %r9
    pushq %r8
    pushq %rdx
    pushq %rcx
    movq %rsp, %rdx             /* the arguments, in order */
    movq %rax, %rcx
    movq %rbp, %r8
    subq $40, %rsp              /* 32 for the callee, 8 to align */
    call ViCheckContract
    addq $40, %rsp
    popq %rcx
    popq %rdx
    popq %r8
    popq %r9
    popq %rax
    popq %rbp
    jmp *VI_CONTRACT_TARGET(%rax)
    .size ViCheckedCall, . - ViCheckedCall
