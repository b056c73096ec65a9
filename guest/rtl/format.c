/* SPDX-License-Identifier: Apache-2.0 */
/* Formatted text for DbgPrint and the console: the documented conversions that kernel code uses, floating point excepted. */
#include "rtl.h"

#define FORMAT_DIGITS 24 /* 64 bits in octal, with room */

typedef struct _FORMAT_OUTPUT {
    char *Text;
    ULONG Size;
    ULONG Length;
} FORMAT_OUTPUT;

typedef struct _FORMAT_SPEC {
    BOOLEAN Left, Zero, Plus, Space, Alternate, HasPrecision, Wide;
    ULONG Width, Precision;
    ULONG Bytes; /* size of an integer argument */
} FORMAT_SPEC;

static VOID put(FORMAT_OUTPUT *output, char c) {
    if (output->Length + 1 < output->Size) {
        output->Text[output->Length++] = c;
    }
}

static VOID pad(FORMAT_OUTPUT *output, ULONG width, ULONG used, char c) {
    for (; used < width; used++) {
        put(output, c);
    }
}

static VOID put_text(FORMAT_OUTPUT *output, const FORMAT_SPEC *spec, const VOID *text, ULONG length) {
    ULONG shown = spec->HasPrecision && spec->Precision < length ? spec->Precision : length;
    if (!spec->Left) {
        pad(output, spec->Width, shown, ' ');
    }
    for (ULONG i = 0; i < shown; i++) {
        WCHAR c = spec->Wide ? ((const WCHAR *)text)[i] : (WCHAR)((const UCHAR *)text)[i];
        put(output, c < 0x80 ? (char)c : '?');
    }
    if (spec->Left) {
        pad(output, spec->Width, shown, ' ');
    }
}

static VOID put_number(FORMAT_OUTPUT *output, const FORMAT_SPEC *spec, ULONG64 value, ULONG base, BOOLEAN upper,
                       const char *prefix) {
    char digits[FORMAT_DIGITS];
    ULONG count = 0;
    ULONG prefix_length = 0;
    while (prefix[prefix_length] != 0) {
        prefix_length++;
    }
    do {
        digits[count++] = (upper ? "0123456789ABCDEF" : "0123456789abcdef")[value % base];
        value /= base;
    } while (value != 0);
    ULONG zeros = spec->HasPrecision && spec->Precision > count ? spec->Precision - count : 0;
    if (spec->Zero && !spec->Left && !spec->HasPrecision && spec->Width > count + prefix_length) {
        zeros = spec->Width - count - prefix_length;
    }
    ULONG used = prefix_length + zeros + count;
    if (!spec->Left) {
        pad(output, spec->Width, used, ' ');
    }
    for (ULONG i = 0; i < prefix_length; i++) {
        put(output, prefix[i]);
    }
    pad(output, zeros, 0, '0');
    while (count != 0) {
        put(output, digits[--count]);
    }
    if (spec->Left) {
        pad(output, spec->Width, used, ' ');
    }
}

static ULONG read_number(const char **format) {
    ULONG value = 0;
    while (**format >= '0' && **format <= '9') {
        value = value * 10 + (ULONG)(*(*format)++ - '0');
    }
    return value;
}

static VOID read_flags(const char **format, FORMAT_SPEC *spec) {
    for (;; (*format)++) {
        switch (**format) {
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

static VOID read_size(const char **format, FORMAT_SPEC *spec) {
    const char *f = *format;
    spec->Bytes = 4; /* LONG, as the Microsoft convention has it */
    if (f[0] == 'I' && f[1] == '6' && f[2] == '4') {
        spec->Bytes = 8;
        f += 3;
    } else if (f[0] == 'l' && f[1] == 'l') {
        spec->Bytes = 8;
        f += 2;
    } else if (f[0] == 'I' || f[0] == 'z') {
        spec->Bytes = 8;
        f++;
    } else if (f[0] == 'h') {
        spec->Bytes = 2;
        f++;
    } else if (f[0] == 'l' || f[0] == 'w') {
        spec->Wide = TRUE; /* matters to %s and %Z only */
        f++;
    }
    *format = f;
}

static ULONG64 take_unsigned(const FORMAT_SPEC *spec, va_list *arguments) {
    ULONG64 value = va_arg(*arguments, ULONG64);
    return spec->Bytes == 8 ? value : spec->Bytes == 2 ? (USHORT)value : (ULONG)value;
}

static VOID convert_signed(FORMAT_OUTPUT *output, const FORMAT_SPEC *spec, va_list *arguments) {
    ULONG64 raw = take_unsigned(spec, arguments);
    LONG64 value = spec->Bytes == 8 ? (LONG64)raw : spec->Bytes == 2 ? (SHORT)raw : (LONG)raw;
    const char *prefix = value < 0 ? "-" : spec->Plus ? "+" : spec->Space ? " " : "";
    put_number(output, spec, value < 0 ? 0 - (ULONG64)value : (ULONG64)value, 10, FALSE, prefix);
}

static VOID convert_string(FORMAT_OUTPUT *output, const FORMAT_SPEC *spec, const VOID *text) {
    ULONG length = 0;
    if (text == NULL) {
        FORMAT_SPEC narrow = *spec;
        narrow.Wide = FALSE;
        put_text(output, &narrow, "(null)", 6);
        return;
    }
    while (!(spec->HasPrecision && length == spec->Precision) &&
           (spec->Wide ? ((const WCHAR *)text)[length] : (WCHAR)((const char *)text)[length]) != 0) {
        length++;
    }
    put_text(output, spec, text, length);
}

static VOID convert_counted(FORMAT_OUTPUT *output, const FORMAT_SPEC *spec, const UNICODE_STRING *string) {
    if (string == NULL || string->Buffer == NULL) {
        convert_string(output, spec, NULL);
    } else {
        put_text(output, spec, string->Buffer, spec->Wide ? string->Length / sizeof(WCHAR) : string->Length);
    }
}

static VOID convert(FORMAT_OUTPUT *output, char kind, FORMAT_SPEC *spec, va_list *arguments) {
    char c;
    switch (kind) {
    case 'd':
    case 'i':
        convert_signed(output, spec, arguments);
        break;
    case 'u':
        put_number(output, spec, take_unsigned(spec, arguments), 10, FALSE, "");
        break;
    case 'o':
        put_number(output, spec, take_unsigned(spec, arguments), 8, FALSE, "");
        break;
    case 'x':
        put_number(output, spec, take_unsigned(spec, arguments), 16, FALSE, spec->Alternate ? "0x" : "");
        break;
    case 'X':
        put_number(output, spec, take_unsigned(spec, arguments), 16, TRUE, spec->Alternate ? "0X" : "");
        break;
    case 'p':
        spec->HasPrecision = TRUE;
        spec->Precision = 16;
        put_number(output, spec, va_arg(*arguments, ULONG64), 16, TRUE, "");
        break;
    case 'c':
        c = (char)va_arg(*arguments, ULONG64);
        spec->Wide = FALSE;
        put_text(output, spec, &c, 1);
        break;
    case 'S':
        spec->Wide = TRUE;
        __attribute__((fallthrough));
    case 's':
        convert_string(output, spec, va_arg(*arguments, PVOID));
        break;
    case 'Z':
        convert_counted(output, spec, va_arg(*arguments, PVOID));
        break;
    case '%':
        put(output, '%');
        break;
    default: /* not a conversion: shown as it stands, so that the mistake is seen */
        put(output, '%');
        put(output, kind);
        break;
    }
}

ULONG RtlpFormat(char *text, ULONG size, const char *format, va_list arguments) {
    FORMAT_OUTPUT output = {text, size, 0};
    va_list rest;
    va_copy(rest, arguments);
    while (*format != 0) {
        if (*format != '%') {
            put(&output, *format++);
            continue;
        }
        FORMAT_SPEC spec = {0};
        format++;
        read_flags(&format, &spec);
        if (*format == '*') {
            spec.Width = (ULONG)va_arg(rest, ULONG64);
            format++;
        } else {
            spec.Width = read_number(&format);
        }
        if (*format == '.') {
            format++;
            spec.HasPrecision = TRUE;
            spec.Precision = *format == '*' ? (format++, (ULONG)va_arg(rest, ULONG64)) : read_number(&format);
        }
        read_size(&format, &spec);
        if (*format == 0) {
            break;
        }
        convert(&output, *format++, &spec, &rest);
    }
    va_end(rest);
    if (size != 0) {
        text[output.Length] = 0;
    }
    return output.Length;
}
