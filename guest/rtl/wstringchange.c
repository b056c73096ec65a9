/* SPDX-License-Identifier: Apache-2.0 */
/* The C library's names for UTF-16 strings that write: copies, in the checked forms too, and changes in place. */
#include "crt.h"

#include "../include/export.h"

WCHAR *wcscpy(WCHAR *destination, const WCHAR *source) {
    WCHAR *next = destination;
    while ((*next++ = *source++) != 0) {
    }
    return destination;
}
NT_EXPORT(wcscpy);

/* Fills up with NULs, and has none where the source is as long as the count. */
WCHAR *wcsncpy(WCHAR *destination, const WCHAR *source, size_t count) {
    size_t i = 0;
    for (; i < count && source[i] != 0; i++) {
        destination[i] = source[i];
    }
    for (; i < count; i++) {
        destination[i] = 0;
    }
    return destination;
}
NT_EXPORT(wcsncpy);

WCHAR *wcscat(WCHAR *destination, const WCHAR *source) {
    wcscpy(destination + wcslen(destination), source);
    return destination;
}
NT_EXPORT(wcscat);

WCHAR *wcsncat(WCHAR *destination, const WCHAR *source, size_t count) {
    WCHAR *next = destination + wcslen(destination);
    for (; count != 0 && *source != 0; count--) {
        *next++ = *source++;
    }
    *next = 0;
    return destination;
}
NT_EXPORT(wcsncat);

WCHAR *_wcslwr(WCHAR *string) {
    for (WCHAR *next = string; *next != 0; next++) {
        *next = towlower(*next);
    }
    return string;
}
NT_EXPORT(_wcslwr);

WCHAR *_wcsupr(WCHAR *string) {
    for (WCHAR *next = string; *next != 0; next++) {
        *next = towupper(*next);
    }
    return string;
}
NT_EXPORT(_wcsupr);

WCHAR *_wcsrev(WCHAR *string) {
    size_t length = wcslen(string);
    for (size_t i = 0; i < length / 2; i++) {
        WCHAR c = string[i];
        string[i] = string[length - 1 - i];
        string[length - 1 - i] = c;
    }
    return string;
}
NT_EXPORT(_wcsrev);

WCHAR *_wcsnset(WCHAR *string, WCHAR c, size_t count) {
    for (size_t i = 0; i < count && string[i] != 0; i++) {
        string[i] = c;
    }
    return string;
}
NT_EXPORT(_wcsnset);

/* count characters of source, or up to its NUL, to where `used` characters of the destination stand already. */
static int CrtPutWide(WCHAR *destination, size_t size, size_t used, const WCHAR *source, size_t count) {
    if (destination == NULL || size == 0) {
        return CRT_EINVAL;
    }
    if (source == NULL && count != 0) {
        destination[0] = 0;
        return CRT_EINVAL;
    }
    size_t length = count == 0 ? 0 : wcsnlen(source, count);
    BOOLEAN cut = FALSE;
    if (used < size && length >= size - used && count == CRT_TRUNCATE) {
        length = size - used - 1;
        cut = TRUE;
    }
    if (used >= size || length >= size - used) {
        destination[0] = 0;
        return used >= size ? CRT_EINVAL : CRT_ERANGE;
    }
    memcpy(destination + used, source, length * sizeof(WCHAR));
    destination[used + length] = 0;
    return cut ? CRT_STRUNCATE : 0;
}

int wcsncpy_s(WCHAR *destination, size_t size, const WCHAR *source, size_t count) {
    return CrtPutWide(destination, size, 0, source, count);
}
NT_EXPORT(wcsncpy_s);

int wcsncat_s(WCHAR *destination, size_t size, const WCHAR *source, size_t count) {
    return CrtPutWide(destination, size, destination == NULL ? 0 : wcsnlen(destination, size), source, count);
}
NT_EXPORT(wcsncat_s);

/* One less than "as much as fits": what is too long is an error. */
int wcscpy_s(WCHAR *destination, size_t size, const WCHAR *source) {
    return wcsncpy_s(destination, size, source, CRT_TRUNCATE - 1);
}
NT_EXPORT(wcscpy_s);

int wcscat_s(WCHAR *destination, size_t size, const WCHAR *source) {
    return wcsncat_s(destination, size, source, CRT_TRUNCATE - 1);
}
NT_EXPORT(wcscat_s);
