/* SPDX-License-Identifier: Apache-2.0 */
/* The executive's own face towards the floors above it; the documented routines are in ../include/nt.h. */
#pragma once

#include "../include/ddk.h"

/* ex/pool.c. Any IRQL. */
ULONG64 ExCountPoolBlocks(VOID); /* blocks that are allocated now */
