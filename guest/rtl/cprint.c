/* SPDX-License-Identifier: Apache-2.0 */
/* The printf family for strings of bytes, and what it shares with that for UTF-16 (wprint.c). */
#include "crt.h"

#include "text.h"

#include "../include/export.h"

static VOID end(const RTLP_OUTPUT *output, ULONG64 at) {
    if (output->Wide) {
        ((WCHAR *)output->Text)[at] = 0;
    } else {
        ((char *)output->Text)[at] = 0;
    }
}

int CrtFormat(PVOID text, SIZE_T count, BOOLEAN wide, const VOID *format, va_list arguments) {
    RTLP_OUTPUT output = {text, count, 0, wide};
    if (format == NULL || (text == NULL && count != 0)) {
        return -1;
    }
    RtlpFormatTo(&output, format, arguments);
    if (output.Length < count) {
        end(&output, output.Length);
    }
    /* Without a place for it a caller asks how long it would be. */
    return output.Length <= count || text == NULL ? (int)output.Length : -1;
}

int CrtFormatChecked(PVOID text, SIZE_T size, SIZE_T count, BOOLEAN wide, const VOID *format, va_list arguments) {
    RTLP_OUTPUT output = {text, size, 0, wide};
    if (text == NULL || size == 0 || format == NULL) {
        return -1;
    }
    output.Size = count < size ? count : size - 1;
    RtlpFormatTo(&output, format, arguments);
    if (output.Length <= output.Size) {
        end(&output, output.Length);
        return (int)output.Length;
    }
    /* Cut short where the caller asked for no more; else there is nothing that one could take for the text. */
    end(&output, count < size || count == CRT_TRUNCATE ? output.Size : 0);
    return -1;
}

int vsprintf(char *text, const char *format, va_list arguments) {
    return CrtFormat(text, RTLP_UNBOUNDED, FALSE, format, arguments);
}
NT_EXPORT(vsprintf);

int sprintf(char *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsprintf(text, format, arguments);
    va_end(arguments);
    return length;
}
NT_EXPORT(sprintf);

int _vsnprintf(char *text, size_t count, const char *format, va_list arguments) {
    return CrtFormat(text, count, FALSE, format, arguments);
}
NT_EXPORT(_vsnprintf);

int _snprintf(char *text, size_t count, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = _vsnprintf(text, count, format, arguments);
    va_end(arguments);
    return length;
}
NT_EXPORT(_snprintf);

int vsprintf_s(char *text, size_t size, const char *format, va_list arguments) {
    return CrtFormatChecked(text, size, CRT_TRUNCATE - 1, FALSE, format, arguments);
}
NT_EXPORT(vsprintf_s);

int sprintf_s(char *text, size_t size, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsprintf_s(text, size, format, arguments);
    va_end(arguments);
    return length;
}
NT_EXPORT(sprintf_s);

int _vsnprintf_s(char *text, size_t size, size_t count, const char *format, va_list arguments) {
    return CrtFormatChecked(text, size, count, FALSE, format, arguments);
}
NT_EXPORT(_vsnprintf_s);

int _snprintf_s(char *text, size_t size, size_t count, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = _vsnprintf_s(text, size, count, format, arguments);
    va_end(arguments);
    return length;
}
NT_EXPORT(_snprintf_s);
