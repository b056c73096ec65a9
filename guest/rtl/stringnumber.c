/* SPDX-License-Identifier: Apache-2.0 */
/* Between numbers and counted strings. Base 0: ten, or by the prefix 0x, 0o, 0b. Other bases than 0, 2, 8, 10, 16 are not known. */
#include "crt.h"
#include "strings.h"
#include "text.h"

#include "../include/export.h"

static BOOLEAN RtlpKnownBase(ULONG base) {
    return base == 0 || base == 2 || base == 8 || base == 10 || base == 16;
}

/* A NUL follows where there is room for it. */
static NTSTATUS RtlpPutInteger(ULONG64 value, ULONG base, PUNICODE_STRING string) {
    char digits[RTLP_MAXIMUM_DIGITS];
    if (!RtlpKnownBase(base)) {
        return STATUS_INVALID_PARAMETER;
    }
    ULONG count = RtlpDigits(value, base == 0 ? 10 : base, TRUE, digits);
    if (count * sizeof(WCHAR) > string->MaximumLength) {
        return STATUS_BUFFER_OVERFLOW;
    }
    for (ULONG i = 0; i < count; i++) {
        string->Buffer[i] = (UCHAR)digits[count - 1 - i];
    }
    string->Length = (USHORT)(count * sizeof(WCHAR));
    if (string->Length + sizeof(WCHAR) <= string->MaximumLength) {
        string->Buffer[count] = 0;
    }
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI RtlIntegerToUnicodeString(ULONG Value, ULONG Base, PUNICODE_STRING String) {
    return RtlpPutInteger(Value, Base, String);
}
NT_EXPORT(RtlIntegerToUnicodeString);

NTSTATUS NTAPI RtlInt64ToUnicodeString(ULONGLONG Value, ULONG Base, PUNICODE_STRING String) {
    return RtlpPutInteger(Value, Base, String);
}
NT_EXPORT(RtlInt64ToUnicodeString);

/* Past the end: a NUL. */
static WCHAR RtlpAt(const VOID *text, ULONG index, ULONG length, BOOLEAN wide) {
    if (index >= length) {
        return 0;
    }
    return wide ? ((const WCHAR *)text)[index] : ((const UCHAR *)text)[index];
}

static ULONG RtlpReadInteger(const VOID *text, ULONG length, BOOLEAN wide, ULONG base) {
    ULONG i = 0;
    ULONG value = 0;
    while (i < length && RtlpAt(text, i, length, wide) != 0 && RtlpAt(text, i, length, wide) <= ' ') {
        i++;
    }
    BOOLEAN negative = RtlpAt(text, i, length, wide) == '-';
    if (negative || RtlpAt(text, i, length, wide) == '+') {
        i++;
    }
    if (base == 0) {
        WCHAR prefix = RtlpAt(text, i, length, wide) == '0' ? RtlpAt(text, i + 1, length, wide) : 0;
        base = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 10;
        i += base == 10 ? 0 : 2;
    }
    for (; RtlpDigit(RtlpAt(text, i, length, wide)) < base; i++) {
        value = value * base + RtlpDigit(RtlpAt(text, i, length, wide));
    }
    return negative ? 0 - value : value;
}

NTSTATUS NTAPI RtlUnicodeStringToInteger(PCUNICODE_STRING String, ULONG Base, PULONG Value) {
    if (String->Length < sizeof(WCHAR) || !RtlpKnownBase(Base)) {
        return STATUS_INVALID_PARAMETER;
    }
    *Value = RtlpReadInteger(String->Buffer, String->Length / sizeof(WCHAR), TRUE, Base);
    return STATUS_SUCCESS;
}
NT_EXPORT(RtlUnicodeStringToInteger);

NTSTATUS NTAPI RtlCharToInteger(PCSZ String, ULONG Base, PULONG Value) {
    if (!RtlpKnownBase(Base)) {
        return STATUS_INVALID_PARAMETER;
    }
    *Value = RtlpReadInteger(String, (ULONG)strnlen(String, MAXUSHORT), FALSE, Base);
    return STATUS_SUCCESS;
}
NT_EXPORT(RtlCharToInteger);
