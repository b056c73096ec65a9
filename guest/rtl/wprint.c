/* SPDX-License-Identifier: Apache-2.0 */
/* The printf family for UTF-16 strings. */
#include "crt.h"

#include "text.h"

#include "../include/export.h"

int _vswprintf(WCHAR *text, const WCHAR *format, va_list arguments) {
    return CrtFormat(text, RTLP_UNBOUNDED, TRUE, format, arguments);
}
NT_EXPORT(_vswprintf);

int swprintf(WCHAR *text, const WCHAR *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = _vswprintf(text, format, arguments);
    va_end(arguments);
    return length;
}
NT_EXPORT(swprintf);

int _swprintf(WCHAR *text, const WCHAR *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = _vswprintf(text, format, arguments);
    va_end(arguments);
    return length;
}
NT_EXPORT(_swprintf);

int _vsnwprintf(WCHAR *text, size_t count, const WCHAR *format, va_list arguments) {
    return CrtFormat(text, count, TRUE, format, arguments);
}
NT_EXPORT(_vsnwprintf);

int _snwprintf(WCHAR *text, size_t count, const WCHAR *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = _vsnwprintf(text, count, format, arguments);
    va_end(arguments);
    return length;
}
NT_EXPORT(_snwprintf);

int vswprintf_s(WCHAR *text, size_t size, const WCHAR *format, va_list arguments) {
    return CrtFormatChecked(text, size, CRT_TRUNCATE - 1, TRUE, format, arguments);
}
NT_EXPORT(vswprintf_s);

int swprintf_s(WCHAR *text, size_t size, const WCHAR *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vswprintf_s(text, size, format, arguments);
    va_end(arguments);
    return length;
}
NT_EXPORT(swprintf_s);

int _vsnwprintf_s(WCHAR *text, size_t size, size_t count, const WCHAR *format, va_list arguments) {
    return CrtFormatChecked(text, size, count, TRUE, format, arguments);
}
NT_EXPORT(_vsnwprintf_s);

int _snwprintf_s(WCHAR *text, size_t size, size_t count, const WCHAR *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = _vsnwprintf_s(text, size, count, format, arguments);
    va_end(arguments);
    return length;
}
NT_EXPORT(_snwprintf_s);
