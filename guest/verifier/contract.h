/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets that thunk.S shares with contract.c. Only numbers. */
#pragma once

#define VI_CONTRACT_TARGET 0 /* in VI_CONTRACT_RULE */
