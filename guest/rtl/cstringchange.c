/* SPDX-License-Identifier: Apache-2.0 */
/* The C library's names for strings of bytes that write: copies, in the checked forms too, and changes in place. */
#include "crt.h"

#include "../include/export.h"

/* NOLINTBEGIN(clang-analyzer-security.insecureAPI.strcpy): it is what is made here */

char *strcpy(char *destination, const char *source) {
    char *next = destination;
    while ((*next++ = *source++) != 0) {
    }
    return destination;
}
NT_EXPORT(strcpy);

/* Fills up with NULs, and has none where the source is as long as the count. */
char *strncpy(char *destination, const char *source, size_t count) {
    size_t i = 0;
    for (; i < count && source[i] != 0; i++) {
        destination[i] = source[i];
    }
    for (; i < count; i++) {
        destination[i] = 0;
    }
    return destination;
}
NT_EXPORT(strncpy);

char *strcat(char *destination, const char *source) {
    strcpy(destination + strlen(destination), source);
    return destination;
}
NT_EXPORT(strcat);

char *strncat(char *destination, const char *source, size_t count) {
    char *next = destination + strlen(destination);
    for (; count != 0 && *source != 0; count--) {
        *next++ = *source++;
    }
    *next = 0;
    return destination;
}
NT_EXPORT(strncat);

char *_strlwr(char *string) {
    for (char *next = string; *next != 0; next++) {
        *next = (char)tolower((UCHAR)*next);
    }
    return string;
}
NT_EXPORT(_strlwr);

char *_strupr(char *string) {
    for (char *next = string; *next != 0; next++) {
        *next = (char)toupper((UCHAR)*next);
    }
    return string;
}
NT_EXPORT(_strupr);

char *_strrev(char *string) {
    size_t length = strlen(string);
    for (size_t i = 0; i < length / 2; i++) {
        char c = string[i];
        string[i] = string[length - 1 - i];
        string[length - 1 - i] = c;
    }
    return string;
}
NT_EXPORT(_strrev);

char *_strnset(char *string, int c, size_t count) {
    for (size_t i = 0; i < count && string[i] != 0; i++) {
        string[i] = (char)c;
    }
    return string;
}
NT_EXPORT(_strnset);

char *_strset(char *string, int c) {
    return _strnset(string, c, ~(size_t)0);
}
NT_EXPORT(_strset);

/* count characters of source, or up to its NUL, to where `used` characters of the destination stand already. */
static int CrtPutNarrow(char *destination, size_t size, size_t used, const char *source, size_t count) {
    if (destination == NULL || size == 0) {
        return CRT_EINVAL;
    }
    if (source == NULL && count != 0) {
        destination[0] = 0;
        return CRT_EINVAL;
    }
    size_t length = count == 0 ? 0 : strnlen(source, count);
    BOOLEAN cut = FALSE;
    if (used < size && length >= size - used && count == CRT_TRUNCATE) {
        length = size - used - 1;
        cut = TRUE;
    }
    if (used >= size || length >= size - used) {
        destination[0] = 0;
        return used >= size ? CRT_EINVAL : CRT_ERANGE;
    }
    memcpy(destination + used, source, length * sizeof(char));
    destination[used + length] = 0;
    return cut ? CRT_STRUNCATE : 0;
}

int strncpy_s(char *destination, size_t size, const char *source, size_t count) {
    return CrtPutNarrow(destination, size, 0, source, count);
}
NT_EXPORT(strncpy_s);

int strncat_s(char *destination, size_t size, const char *source, size_t count) {
    return CrtPutNarrow(destination, size, destination == NULL ? 0 : strnlen(destination, size), source, count);
}
NT_EXPORT(strncat_s);

/* One less than "as much as fits": what is too long is an error. */
int strcpy_s(char *destination, size_t size, const char *source) {
    return strncpy_s(destination, size, source, CRT_TRUNCATE - 1);
}
NT_EXPORT(strcpy_s);

int strcat_s(char *destination, size_t size, const char *source) {
    return strncat_s(destination, size, source, CRT_TRUNCATE - 1);
}
NT_EXPORT(strcat_s);

/* NOLINTEND(clang-analyzer-security.insecureAPI.strcpy) */
