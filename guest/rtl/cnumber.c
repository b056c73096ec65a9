/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers out of text: the C library's names. */
#include "crt.h"

#include "text.h"

#include "../include/export.h"

typedef struct _CRT_NUMBER {
    ULONG64 Value; /* its magnitude; the largest there is where that is larger */
    BOOLEAN Negative;
    const VOID *End; /* where the number ends; the start of the text where there is none */
} CRT_NUMBER;

static WCHAR at(const VOID *text, SIZE_T index, BOOLEAN wide) {
    return wide ? ((const WCHAR *)text)[index] : ((const UCHAR *)text)[index];
}

static const VOID *address(const VOID *text, SIZE_T index, BOOLEAN wide) {
    return (const UCHAR *)text + (wide ? index * sizeof(WCHAR) : index);
}

static CRT_NUMBER read(const VOID *text, ULONG base, BOOLEAN wide) {
    CRT_NUMBER number = {0, FALSE, text};
    SIZE_T i = 0;
    while (isspace(at(text, i, wide))) {
        i++;
    }
    if (at(text, i, wide) == '-' || at(text, i, wide) == '+') {
        number.Negative = at(text, i++, wide) == '-';
    }
    BOOLEAN hexadecimal =
        at(text, i, wide) == '0' && (at(text, i + 1, wide) | 0x20) == 'x' && RtlpDigit(at(text, i + 2, wide)) < 16;
    if (hexadecimal && (base == 0 || base == 16)) {
        base = 16;
        i += 2;
    } else if (base == 0) {
        base = at(text, i, wide) == '0' ? 8 : 10;
    }
    for (ULONG digit; (digit = RtlpDigit(at(text, i, wide))) < base; i++) {
        BOOLEAN fits = number.Value <= (MAXULONG64 - digit) / base;
        number.Value = fits ? number.Value * base + digit : MAXULONG64;
        number.End = address(text, i + 1, wide);
    }
    return number;
}

static LONG64 to_signed(CRT_NUMBER number, LONG64 least, LONG64 most) {
    if (number.Negative) {
        return number.Value >= 0 - (ULONG64)least ? least : -(LONG64)number.Value;
    }
    return number.Value > (ULONG64)most ? most : (LONG64)number.Value;
}

static ULONG64 to_unsigned(CRT_NUMBER number, ULONG64 most) {
    ULONG64 value = number.Value > most ? most : number.Value;
    return number.Negative && value != most ? 0 - value : value;
}

LONG strtol(const char *string, char **end, int base) {
    CRT_NUMBER number = read(string, (ULONG)base, FALSE);
    if (end != NULL) {
        *end = (char *)number.End;
    }
    return (LONG)to_signed(number, MINLONG, MAXLONG);
}
NT_EXPORT(strtol);

ULONG strtoul(const char *string, char **end, int base) {
    CRT_NUMBER number = read(string, (ULONG)base, FALSE);
    if (end != NULL) {
        *end = (char *)number.End;
    }
    return (ULONG)to_unsigned(number, MAXULONG);
}
NT_EXPORT(strtoul);

ULONG64 _strtoui64(const char *string, char **end, int base) {
    CRT_NUMBER number = read(string, (ULONG)base, FALSE);
    if (end != NULL) {
        *end = (char *)number.End;
    }
    return to_unsigned(number, MAXULONG64);
}
NT_EXPORT(_strtoui64);

ULONG wcstoul(const WCHAR *string, WCHAR **end, int base) {
    CRT_NUMBER number = read(string, (ULONG)base, TRUE);
    if (end != NULL) {
        *end = (WCHAR *)number.End;
    }
    return (ULONG)to_unsigned(number, MAXULONG);
}
NT_EXPORT(wcstoul);

LONG atol(const char *string) {
    return strtol(string, NULL, 10);
}
NT_EXPORT(atol);

int atoi(const char *string) {
    return strtol(string, NULL, 10);
}
NT_EXPORT(atoi);

LONG64 _atoi64(const char *string) {
    return to_signed(read(string, 10, FALSE), MINLONG64, MAXLONG64);
}
NT_EXPORT(_atoi64);

LONG _wtol(const WCHAR *string) {
    return (LONG)to_signed(read(string, 10, TRUE), MINLONG, MAXLONG);
}
NT_EXPORT(_wtol);

int _wtoi(const WCHAR *string) {
    return _wtol(string);
}
NT_EXPORT(_wtoi);
