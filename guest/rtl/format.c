/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Formatted text for DbgPrint, the C library's names and the console: what the documented format specification fields have,
 * floating point and %n excepted. Those take their argument and are shown as they stand, so that the mistake is seen.
 */
#include "rtl.h"

#include "text.h"

typedef struct _FORMAT_READER {
    const VOID *Next;
    BOOLEAN Wide;
} FORMAT_READER;

static WCHAR peek(const FORMAT_READER *reader, ULONG ahead) {
    return reader->Wide ? ((const WCHAR *)reader->Next)[ahead] : ((const UCHAR *)reader->Next)[ahead];
}

static VOID skip(FORMAT_READER *reader, ULONG count) {
    reader->Next = (const UCHAR *)reader->Next + (reader->Wide ? count * sizeof(WCHAR) : count);
}

static BOOLEAN take(FORMAT_READER *reader, const char *text) {
    ULONG length = 0;
    for (; text[length] != 0; length++) {
        if (peek(reader, length) != (UCHAR)text[length]) {
            return FALSE;
        }
    }
    skip(reader, length);
    return TRUE;
}

static ULONG read_number(FORMAT_READER *reader) {
    ULONG value = 0;
    for (; peek(reader, 0) >= '0' && peek(reader, 0) <= '9'; skip(reader, 1)) {
        value = value * 10 + (ULONG)(peek(reader, 0) - '0');
    }
    return value;
}

static VOID read_flags(FORMAT_READER *reader, RTLP_SPEC *spec) {
    for (;; skip(reader, 1)) {
        switch (peek(reader, 0)) {
        case '-':
            spec->Left = TRUE;
            break;
        case '0':
            spec->Zero = TRUE;
            break;
        case '+':
            spec->Plus = TRUE;
            break;
        case ' ':
            spec->Space = TRUE;
            break;
        case '#':
            spec->Alternate = TRUE;
            break;
        default:
            return;
        }
    }
}

static VOID read_width(FORMAT_READER *reader, RTLP_SPEC *spec, va_list *arguments) {
    if (!take(reader, "*")) {
        spec->Width = read_number(reader);
        return;
    }
    LONG width = (LONG)va_arg(*arguments, ULONG64);
    spec->Left = spec->Left || width < 0;
    spec->Width = width < 0 ? 0 - (ULONG)width : (ULONG)width;
}

static VOID read_precision(FORMAT_READER *reader, RTLP_SPEC *spec, va_list *arguments) {
    if (!take(reader, ".")) {
        return;
    }
    LONG precision = take(reader, "*") ? (LONG)va_arg(*arguments, ULONG64) : (LONG)read_number(reader);
    spec->HasPrecision = precision >= 0; /* a negative one is none */
    spec->Precision = (ULONG)precision;
}

static VOID read_size(FORMAT_READER *reader, RTLP_SPEC *spec) {
    spec->Bytes = sizeof(LONG); /* of a long, too: the Microsoft convention */
    if (take(reader, "I32")) {
        return;
    }
    if (take(reader, "I64") || take(reader, "ll") || take(reader, "I") || take(reader, "z") || take(reader, "j") ||
        take(reader, "t")) {
        spec->Bytes = 8;
    } else if (take(reader, "hh")) {
        spec->Bytes = 1;
        spec->Size = 'h';
    } else if (take(reader, "h")) {
        spec->Bytes = 2;
        spec->Size = 'h';
    } else if (take(reader, "l") || take(reader, "w")) {
        spec->Size = 'w'; /* matters to text only */
    }
}

static ULONG64 take_unsigned(const RTLP_SPEC *spec, va_list *arguments) {
    ULONG64 value = va_arg(*arguments, ULONG64);
    ULONG bits = spec->Bytes * 8;
    return bits == 64 ? value : value & ((1ull << bits) - 1);
}

static VOID convert_signed(RTLP_OUTPUT *output, const RTLP_SPEC *spec, va_list *arguments) {
    ULONG unused = 64 - spec->Bytes * 8;
    LONG64 value = (LONG64)(take_unsigned(spec, arguments) << unused) >> unused;
    const char *prefix = value < 0 ? "-" : spec->Plus ? "+" : spec->Space ? " " : "";
    RtlpPutNumber(output, spec, value < 0 ? 0 - (ULONG64)value : (ULONG64)value, 10, FALSE, prefix);
}

static VOID convert_hexadecimal(RTLP_OUTPUT *output, const RTLP_SPEC *spec, va_list *arguments, BOOLEAN upper) {
    ULONG64 value = take_unsigned(spec, arguments);
    RtlpPutNumber(output, spec, value, 16, upper, !spec->Alternate || value == 0 ? "" : upper ? "0X" : "0x");
}

static VOID convert_string(RTLP_OUTPUT *output, RTLP_SPEC *spec, const VOID *text) {
    ULONG64 length = 0;
    if (text == NULL) {
        spec->Wide = FALSE;
        RtlpPutText(output, spec, "(null)", 6);
        return;
    }
    while (!(spec->HasPrecision && length == spec->Precision) &&
           (spec->Wide ? ((const WCHAR *)text)[length] : ((const UCHAR *)text)[length]) != 0) {
        length++;
    }
    RtlpPutText(output, spec, text, length);
}

static VOID convert_counted(RTLP_OUTPUT *output, RTLP_SPEC *spec, const UNICODE_STRING *string) {
    spec->Wide = spec->Size == 'w';
    if (string == NULL || string->Buffer == NULL) {
        convert_string(output, spec, NULL);
    } else {
        RtlpPutText(output, spec, string->Buffer, spec->Wide ? string->Length / sizeof(WCHAR) : string->Length);
    }
}

static VOID convert_character(RTLP_OUTPUT *output, const RTLP_SPEC *spec, va_list *arguments) {
    WCHAR c = (WCHAR)va_arg(*arguments, ULONG64);
    RTLP_SPEC one = *spec;
    one.HasPrecision = FALSE;
    RtlpPutText(output, &one, &c, 1);
}

static VOID convert(RTLP_OUTPUT *output, WCHAR kind, RTLP_SPEC *spec, va_list *arguments) {
    BOOLEAN other = kind == 'S' || kind == 'C'; /* the character set that is not the routine's own */
    spec->Wide = spec->Size != 0 ? spec->Size == 'w' : other != output->Wide;
    switch (kind) {
    case 'd':
    case 'i':
        convert_signed(output, spec, arguments);
        break;
    case 'u':
        RtlpPutNumber(output, spec, take_unsigned(spec, arguments), 10, FALSE, "");
        break;
    case 'o':
        RtlpPutNumber(output, spec, take_unsigned(spec, arguments), 8, FALSE, spec->Alternate ? "0" : "");
        break;
    case 'x':
    case 'X':
        convert_hexadecimal(output, spec, arguments, kind == 'X');
        break;
    case 'p':
        spec->HasPrecision = TRUE;
        spec->Precision = 2 * sizeof(PVOID);
        RtlpPutNumber(output, spec, va_arg(*arguments, ULONG64), 16, TRUE, spec->Alternate ? "0X" : "");
        break;
    case 'c':
    case 'C':
        convert_character(output, spec, arguments);
        break;
    case 's':
    case 'S':
        convert_string(output, spec, va_arg(*arguments, PVOID));
        break;
    case 'Z':
        convert_counted(output, spec, va_arg(*arguments, PVOID));
        break;
    case '%':
        RtlpPut(output, '%');
        break;
    case 'e':
    case 'E':
    case 'f':
    case 'g':
    case 'G':
    case 'a':
    case 'A':
    case 'n':
        (void)va_arg(*arguments, ULONG64);
        __attribute__((fallthrough));
    default:
        RtlpPut(output, '%');
        RtlpPut(output, kind);
        break;
    }
}

VOID RtlpFormatTo(RTLP_OUTPUT *output, const VOID *format, va_list arguments) {
    FORMAT_READER reader = {format, output->Wide};
    va_list rest;
    va_copy(rest, arguments);
    for (; peek(&reader, 0) != 0; skip(&reader, 1)) {
        if (peek(&reader, 0) != '%') {
            RtlpPut(output, peek(&reader, 0));
            continue;
        }
        RTLP_SPEC spec = {0};
        skip(&reader, 1);
        read_flags(&reader, &spec);
        read_width(&reader, &spec, &rest);
        read_precision(&reader, &spec, &rest);
        read_size(&reader, &spec);
        if (peek(&reader, 0) == 0) {
            break;
        }
        convert(output, peek(&reader, 0), &spec, &rest);
    }
    va_end(rest);
}

ULONG RtlpFormat(char *text, ULONG size, const char *format, va_list arguments) {
    RTLP_OUTPUT output = {text, size == 0 ? 0 : size - 1, 0, FALSE};
    RtlpFormatTo(&output, format, arguments);
    ULONG length = (ULONG)(output.Length < output.Size ? output.Length : output.Size);
    if (size != 0) {
        text[length] = 0;
    }
    return length;
}
