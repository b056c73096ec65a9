/* SPDX-License-Identifier: Apache-2.0 */
/* The output half of the formatter: characters, texts and numbers with their width and precision, narrow or wide. */
#include "text.h"

VOID RtlpPut(RTLP_OUTPUT *output, WCHAR c) {
    if (output->Length < output->Size) {
        if (output->Wide) {
            ((WCHAR *)output->Text)[output->Length] = c;
        } else {
            ((UCHAR *)output->Text)[output->Length] = (UCHAR)c;
        }
    }
    output->Length++;
}

static VOID RtlpPad(RTLP_OUTPUT *output, ULONG64 width, ULONG64 used, WCHAR c) {
    for (; used < width; used++) {
        RtlpPut(output, c);
    }
}

VOID RtlpPutText(RTLP_OUTPUT *output, const RTLP_SPEC *spec, const VOID *text, ULONG64 length) {
    ULONG64 shown = spec->HasPrecision && spec->Precision < length ? spec->Precision : length;
    if (!spec->Left) {
        RtlpPad(output, spec->Width, shown, spec->Zero ? '0' : ' ');
    }
    for (ULONG64 i = 0; i < shown; i++) {
        if (spec->Wide) {
            WCHAR c = ((const WCHAR *)text)[i];
            RtlpPut(output, output->Wide ? c : RtlpToAnsi(c));
        } else {
            UCHAR c = ((const UCHAR *)text)[i];
            RtlpPut(output, output->Wide ? RtlpFromAnsi(c) : c);
        }
    }
    if (spec->Left) {
        RtlpPad(output, spec->Width, shown, ' ');
    }
}

ULONG RtlpDigits(ULONG64 value, ULONG base, BOOLEAN upper, char *digits) {
    ULONG count = 0;
    do {
        ULONG digit = (ULONG)(value % base);
        digits[count++] = (char)(digit < 10 ? '0' + digit : (upper ? 'A' : 'a') + digit - 10);
        value /= base;
    } while (value != 0);
    return count;
}

VOID RtlpPutNumber(RTLP_OUTPUT *output, const RTLP_SPEC *spec, ULONG64 value, ULONG base, BOOLEAN upper,
                   const char *prefix) {
    char digits[RTLP_MAXIMUM_DIGITS];
    ULONG count = value == 0 && spec->HasPrecision && spec->Precision == 0 ? 0 : RtlpDigits(value, base, upper, digits);
    ULONG prefix_length = 0;
    while (prefix[prefix_length] != 0) {
        prefix_length++;
    }
    ULONG zeros = spec->HasPrecision && spec->Precision > count ? spec->Precision - count : 0;
    if (spec->Zero && !spec->Left && !spec->HasPrecision && spec->Width > count + prefix_length) {
        zeros = spec->Width - count - prefix_length;
    }
    ULONG64 used = (ULONG64)prefix_length + zeros + count;
    if (!spec->Left) {
        RtlpPad(output, spec->Width, used, ' ');
    }
    for (ULONG i = 0; i < prefix_length; i++) {
        RtlpPut(output, (UCHAR)prefix[i]);
    }
    RtlpPad(output, zeros, 0, '0');
    while (count != 0) {
        RtlpPut(output, (UCHAR)digits[--count]);
    }
    if (spec->Left) {
        RtlpPad(output, spec->Width, used, ' ');
    }
}
