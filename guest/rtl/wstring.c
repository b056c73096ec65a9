/* SPDX-License-Identifier: Apache-2.0 */
/* The C library's names for UTF-16 strings that only look: lengths, comparisons, searches. */
#include "crt.h"

#include "../include/export.h"

size_t wcslen(const WCHAR *string) {
    size_t length = 0;
    while (string[length] != 0) {
        length++;
    }
    return length;
}
NT_EXPORT(wcslen);

size_t wcsnlen(const WCHAR *string, size_t limit) {
    size_t length = 0;
    while (length < limit && string[length] != 0) {
        length++;
    }
    return length;
}
NT_EXPORT(wcsnlen);

int wcsncmp(const WCHAR *left, const WCHAR *right, size_t count) {
    for (; count != 0; left++, right++, count--) {
        if (*left != *right || *left == 0) {
            return *left - *right;
        }
    }
    return 0;
}
NT_EXPORT(wcsncmp);

int wcscmp(const WCHAR *left, const WCHAR *right) {
    return wcsncmp(left, right, ~(size_t)0);
}
NT_EXPORT(wcscmp);

int _wcsnicmp(const WCHAR *left, const WCHAR *right, size_t count) {
    for (; count != 0; left++, right++, count--) {
        int a = towlower(*left);
        int b = towlower(*right);
        if (a != b || a == 0) {
            return a - b;
        }
    }
    return 0;
}
NT_EXPORT(_wcsnicmp);

int _wcsicmp(const WCHAR *left, const WCHAR *right) {
    return _wcsnicmp(left, right, ~(size_t)0);
}
NT_EXPORT(_wcsicmp);

WCHAR *wcschr(const WCHAR *string, WCHAR c) {
    for (;; string++) {
        if (*string == c) {
            return (WCHAR *)string;
        }
        if (*string == 0) {
            return NULL;
        }
    }
}
NT_EXPORT(wcschr);

WCHAR *wcsrchr(const WCHAR *string, WCHAR c) {
    const WCHAR *found = NULL;
    for (;; string++) {
        if (*string == c) {
            found = string;
        }
        if (*string == 0) {
            return (WCHAR *)found;
        }
    }
}
NT_EXPORT(wcsrchr);

WCHAR *wcsstr(const WCHAR *string, const WCHAR *part) {
    size_t length = wcslen(part);
    for (;; string++) {
        if (wcsncmp(string, part, length) == 0) {
            return (WCHAR *)string;
        }
        if (*string == 0) {
            return NULL;
        }
    }
}
NT_EXPORT(wcsstr);

size_t wcsspn(const WCHAR *string, const WCHAR *set) {
    size_t length = 0;
    while (string[length] != 0 && wcschr(set, string[length]) != NULL) {
        length++;
    }
    return length;
}
NT_EXPORT(wcsspn);

size_t wcscspn(const WCHAR *string, const WCHAR *set) {
    size_t length = 0;
    while (string[length] != 0 && wcschr(set, string[length]) == NULL) {
        length++;
    }
    return length;
}
NT_EXPORT(wcscspn);
