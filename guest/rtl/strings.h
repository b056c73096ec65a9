/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counted strings inside the run-time library. Those that the library allocates are paged pool, which lies on a higher floor: its
 * routines are set at the start (boot/startup.c).
 */
#pragma once

#include "../include/nt/rtl.h"

extern PVOID (*RtlpAllocateString)(SIZE_T bytes);
extern VOID (*RtlpFreeString)(PVOID buffer);

/* A place for so many bytes: allocated, or what the string has. STATUS_BUFFER_OVERFLOW: that is too small. */
NTSTATUS RtlpPrepareString(PUNICODE_STRING string, ULONG64 bytes, BOOLEAN allocate);

#define RTLP_MAXIMUM_STRING 0xfffeu /* bytes of a UTF-16 string: an even number that a USHORT holds */
