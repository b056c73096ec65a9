/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text inside the run-time library: one formatter for DbgPrint, the C library and the console, and the two character sets. ANSI is
 * code page 1252, OEM is the same; no code page here has characters of more than one byte. Any IRQL, no locks.
 */
#pragma once

#include <stdarg.h>

#include "../include/ddk.h"

#define RTLP_UNBOUNDED (~0ull)

/* What has been formatted: Size characters of Text are written at most, Length counts on. Text has no NUL of its own. */
typedef struct _RTLP_OUTPUT {
    PVOID Text;
    ULONG64 Size;
    ULONG64 Length;
    BOOLEAN Wide; /* Text and the format are UTF-16 */
} RTLP_OUTPUT;

typedef struct _RTLP_SPEC {
    BOOLEAN Left, Zero, Plus, Space, Alternate, HasPrecision;
    BOOLEAN Wide; /* the argument is UTF-16 */
    ULONG Width, Precision;
    ULONG Bytes; /* size of an integer argument */
    WCHAR Size;  /* of text: 'h' narrow, 'w' wide, 0 as the routine is */
} RTLP_SPEC;

VOID RtlpFormatTo(RTLP_OUTPUT *output, const VOID *format, va_list arguments);

/* formattext.c: into the output, with width and precision. */
VOID RtlpPut(RTLP_OUTPUT *output, WCHAR c); /* c is of the output's own character set */
VOID RtlpPutText(RTLP_OUTPUT *output, const RTLP_SPEC *spec, const VOID *text, ULONG64 length);
VOID RtlpPutNumber(RTLP_OUTPUT *output, const RTLP_SPEC *spec, ULONG64 value, ULONG base, BOOLEAN upper,
                   const char *prefix);

WCHAR RtlpFromAnsi(UCHAR c);
UCHAR RtlpToAnsi(WCHAR c); /* '?': there is none */

/* A digit's value in bases up to 36; more than 35: none. */
ULONG RtlpDigit(WCHAR c);
/* Digits of value, the lowest first, in a base from 2 to 36; returns how many. */
ULONG RtlpDigits(ULONG64 value, ULONG base, BOOLEAN upper, char *digits);
#define RTLP_MAXIMUM_DIGITS 64
