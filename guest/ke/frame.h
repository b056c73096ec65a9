/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets into KI_TRAP_FRAME for the trap stubs; ke/trap.c asserts that they are the structure's own. */
#pragma once

#define KI_FRAME_MXCSR 0x10
#define KI_FRAME_XMM   0x20
#define KI_FRAME_LINK  0x80
#define KI_FRAME_R15   0x90
#define KI_FRAME_RIP   0x118
#define KI_FRAME_BYTES 0x140

/* The same of KI_SWITCH_FRAME and KTHREAD for ke/swap.S; ke/threads.c asserts these. */
#define KI_SWITCH_MXCSR         0xa0
#define KI_SWITCH_BYTES         0xa8
#define KI_THREAD_STACK_POINTER 0x18
