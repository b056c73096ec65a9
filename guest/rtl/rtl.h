/* SPDX-License-Identifier: Apache-2.0 */
/* Run-time library of the executive. Any IRQL; no locks, no waiting. */
#pragma once

#include <stdarg.h>

#include "../include/ddk.h"

ULONG RtlpCrc32(const VOID *data, ULONG bytes); /* CRC-32 of IEEE 802.3, as in HOST_FRAME */

/*
 * Formats like the documented DbgPrint (format.c). Text past the size is cut, the result always ends in NUL. Returns the characters
 * stored, without the NUL.
 */
ULONG RtlpFormat(char *text, ULONG size, const char *format, va_list arguments);
