/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets into KI_TRAP_FRAME for the trap stubs; ke/trap.c asserts that they are the structure's own. */
#pragma once

#define KI_FRAME_MXCSR 0x10
#define KI_FRAME_XMM   0x20
#define KI_FRAME_LINK  0x80
#define KI_FRAME_R15   0x90
#define KI_FRAME_RIP   0x118
#define KI_FRAME_BYTES 0x140
