/* SPDX-License-Identifier: Apache-2.0 */
/* Code page 1252: what is not Latin-1 in it stands in one table; its five unused bytes are the controls of the same number. */
#include "rtl.h"

#include "text.h"

#define CODEPAGE_FIRST 0x80
#define CODEPAGE_COUNT 32

static const WCHAR CodePageHigh[CODEPAGE_COUNT] = {
    0x20ac, 0x0081, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x008d, 0x017d, 0x008f, 0x0090, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x009d, 0x017e, 0x0178,
};

WCHAR RtlpFromAnsi(UCHAR c) {
    return c >= CODEPAGE_FIRST && c < CODEPAGE_FIRST + CODEPAGE_COUNT ? CodePageHigh[c - CODEPAGE_FIRST] : c;
}

UCHAR RtlpToAnsi(WCHAR c) {
    if (c < CODEPAGE_FIRST || (c >= CODEPAGE_FIRST + CODEPAGE_COUNT && c <= 0xff)) {
        return (UCHAR)c;
    }
    for (ULONG i = 0; i < CODEPAGE_COUNT; i++) {
        if (CodePageHigh[i] == c) {
            return (UCHAR)(CODEPAGE_FIRST + i);
        }
    }
    return '?';
}
