/* SPDX-License-Identifier: Apache-2.0 */
/* The memory routines that compiled code expects to exist; the compiler may call them on its own account. */
#include "crt.h"

#include "../include/export.h"

void *memcpy(void *destination, const void *source, size_t count) {
    void *start = destination;
    __asm__ volatile("rep movsb" : "+D"(destination), "+S"(source), "+c"(count) : : "memory");
    return start;
}
NT_EXPORT(memcpy);

void *memmove(void *destination, const void *source, size_t count) {
    void *start = destination;
    if ((ULONG64)destination - (ULONG64)source >= count) {
        return memcpy(destination, source, count);
    }
    const char *last_source = (const char *)source + count - 1;
    char *last = (char *)destination + count - 1;
    __asm__ volatile("std; rep movsb; cld" : "+D"(last), "+S"(last_source), "+c"(count) : : "memory");
    return start;
}
NT_EXPORT(memmove);

void *memset(void *destination, int value, size_t count) {
    void *start = destination;
    size_t words = count / 8;
    size_t rest = count % 8;
    ULONG64 pattern = (UCHAR)value * 0x0101010101010101ull;
    __asm__ volatile("rep stosq" : "+D"(destination), "+c"(words) : "a"(pattern) : "memory");
    __asm__ volatile("rep stosb" : "+D"(destination), "+c"(rest) : "a"(value) : "memory");
    return start;
}
NT_EXPORT(memset);

int memcmp(const void *left, const void *right, size_t count) {
    const UCHAR *a = left;
    const UCHAR *b = right;
    for (size_t i = 0; i < count; i++) {
        if (a[i] != b[i]) {
            return a[i] < b[i] ? -1 : 1;
        }
    }
    return 0;
}
NT_EXPORT(memcmp);
