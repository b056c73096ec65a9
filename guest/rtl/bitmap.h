/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the bitmap routines share. */
#pragma once

#include "../include/nt/rtl.h"

BOOLEAN RtlpBit(const RTL_BITMAP *map, ULONG index);
/* How many bits from this one on have the value; 0 at the end of the map. */
ULONG RtlpRun(const RTL_BITMAP *map, ULONG index, BOOLEAN value);
