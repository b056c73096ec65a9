/* SPDX-License-Identifier: Apache-2.0 */
/* The C library's names for strings of bytes that only look: lengths, comparisons, searches. */
#include "crt.h"

#include "../include/export.h"

size_t strlen(const char *string) {
    size_t length = 0;
    while (string[length] != 0) {
        length++;
    }
    return length;
}
NT_EXPORT(strlen);

size_t strnlen(const char *string, size_t limit) {
    size_t length = 0;
    while (length < limit && string[length] != 0) {
        length++;
    }
    return length;
}
NT_EXPORT(strnlen);

int strncmp(const char *left, const char *right, size_t count) {
    for (; count != 0; left++, right++, count--) {
        if (*left != *right || *left == 0) {
            return (UCHAR)*left - (UCHAR)*right;
        }
    }
    return 0;
}
NT_EXPORT(strncmp);

int strcmp(const char *left, const char *right) {
    return strncmp(left, right, ~(size_t)0);
}
NT_EXPORT(strcmp);

int _strnicmp(const char *left, const char *right, size_t count) {
    for (; count != 0; left++, right++, count--) {
        int a = tolower((UCHAR)*left);
        int b = tolower((UCHAR)*right);
        if (a != b || a == 0) {
            return a - b;
        }
    }
    return 0;
}
NT_EXPORT(_strnicmp);

int _stricmp(const char *left, const char *right) {
    return _strnicmp(left, right, ~(size_t)0);
}
NT_EXPORT(_stricmp);

char *strchr(const char *string, int c) {
    for (;; string++) {
        if (*string == (char)c) {
            return (char *)string;
        }
        if (*string == 0) {
            return NULL;
        }
    }
}
NT_EXPORT(strchr);

char *strrchr(const char *string, int c) {
    const char *found = NULL;
    for (;; string++) {
        if (*string == (char)c) {
            found = string;
        }
        if (*string == 0) {
            return (char *)found;
        }
    }
}
NT_EXPORT(strrchr);

char *strstr(const char *string, const char *part) {
    size_t length = strlen(part);
    for (;; string++) {
        if (strncmp(string, part, length) == 0) {
            return (char *)string;
        }
        if (*string == 0) {
            return NULL;
        }
    }
}
NT_EXPORT(strstr);

size_t strspn(const char *string, const char *set) {
    size_t length = 0;
    while (string[length] != 0 && strchr(set, string[length]) != NULL) {
        length++;
    }
    return length;
}
NT_EXPORT(strspn);
