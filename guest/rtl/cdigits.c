/* SPDX-License-Identifier: Apache-2.0 */
/* Text out of numbers: the C library's names. */
#include "crt.h"

#include "text.h"

#include "../include/export.h"

/* size: characters of the text, its NUL among them. */
static int put(ULONG64 value, BOOLEAN negative, PVOID text, SIZE_T size, ULONG base, BOOLEAN wide) {
    char digits[RTLP_MAXIMUM_DIGITS];
    if (text == NULL || size == 0) {
        return CRT_EINVAL;
    }
    RTLP_OUTPUT output = {text, size, 0, wide};
    int error = base < 2 || base > 36 ? CRT_EINVAL : 0;
    if (error == 0) {
        ULONG count = RtlpDigits(negative ? 0 - value : value, base, FALSE, digits);
        error = count + negative >= size ? CRT_ERANGE : 0;
        if (error == 0 && negative) {
            RtlpPut(&output, '-');
        }
        while (error == 0 && count != 0) {
            RtlpPut(&output, (UCHAR)digits[--count]);
        }
    }
    RtlpPut(&output, 0);
    return error;
}

static int put_signed(LONG64 value, ULONG64 bits, PVOID text, SIZE_T size, int base, BOOLEAN wide) {
    BOOLEAN negative = base == 10 && value < 0;
    return put(negative ? (ULONG64)value : (ULONG64)value & bits, negative, text, size, (ULONG)base, wide);
}

char *_itoa(int value, char *text, int base) {
    put_signed(value, MAXULONG, text, RTLP_UNBOUNDED, base, FALSE);
    return text;
}
NT_EXPORT(_itoa);

WCHAR *_itow(int value, WCHAR *text, int base) {
    put_signed(value, MAXULONG, text, RTLP_UNBOUNDED, base, TRUE);
    return text;
}
NT_EXPORT(_itow);

int _itoa_s(int value, char *text, size_t size, int base) {
    return put_signed(value, MAXULONG, text, size, base, FALSE);
}
NT_EXPORT(_itoa_s);

int _itow_s(int value, WCHAR *text, size_t size, int base) {
    return put_signed(value, MAXULONG, text, size, base, TRUE);
}
NT_EXPORT(_itow_s);

int _ltoa_s(LONG value, char *text, size_t size, int base) {
    return put_signed(value, MAXULONG, text, size, base, FALSE);
}
NT_EXPORT(_ltoa_s);

int _ltow_s(LONG value, WCHAR *text, size_t size, int base) {
    return put_signed(value, MAXULONG, text, size, base, TRUE);
}
NT_EXPORT(_ltow_s);

int _ultoa_s(ULONG value, char *text, size_t size, int base) {
    return put(value, FALSE, text, size, (ULONG)base, FALSE);
}
NT_EXPORT(_ultoa_s);

int _ultow_s(ULONG value, WCHAR *text, size_t size, int base) {
    return put(value, FALSE, text, size, (ULONG)base, TRUE);
}
NT_EXPORT(_ultow_s);

int _i64toa_s(LONG64 value, char *text, size_t size, int base) {
    return put_signed(value, MAXULONG64, text, size, base, FALSE);
}
NT_EXPORT(_i64toa_s);

int _i64tow_s(LONG64 value, WCHAR *text, size_t size, int base) {
    return put_signed(value, MAXULONG64, text, size, base, TRUE);
}
NT_EXPORT(_i64tow_s);

int _ui64toa_s(ULONG64 value, char *text, size_t size, int base) {
    return put(value, FALSE, text, size, (ULONG)base, FALSE);
}
NT_EXPORT(_ui64toa_s);

int _ui64tow_s(ULONG64 value, WCHAR *text, size_t size, int base) {
    return put(value, FALSE, text, size, (ULONG)base, TRUE);
}
NT_EXPORT(_ui64tow_s);
