/* SPDX-License-Identifier: Apache-2.0 */
/* Memory by the Rtl names, which the DDK makes macros, and the C library's checked forms. */
#include "crt.h"

#include "../include/export.h"

void *memchr(const void *memory, int value, size_t count) {
    const UCHAR *next = memory;
    for (; count != 0; next++, count--) {
        if (*next == (UCHAR)value) {
            return (void *)next;
        }
    }
    return NULL;
}
NT_EXPORT(memchr);

int memmove_s(void *destination, size_t size, const void *source, size_t count) {
    if (count != 0 && (destination == NULL || source == NULL)) {
        return CRT_EINVAL;
    }
    if (count > size) {
        return CRT_ERANGE;
    }
    memmove(destination, source, count);
    return 0;
}
NT_EXPORT(memmove_s);

int memcpy_s(void *destination, size_t size, const void *source, size_t count) {
    if (destination != NULL && (source == NULL || count > size)) {
        memset(destination, 0, size);
    }
    return memmove_s(destination, size, source, count);
}
NT_EXPORT(memcpy_s);

#undef RtlMoveMemory
#undef RtlCopyMemory
#undef RtlFillMemory
#undef RtlZeroMemory
#undef RtlCopyMemoryNonTemporal

static VOID NTAPI RtlpMoveMemory(PVOID destination, const VOID *source, SIZE_T length) {
    memmove(destination, source, length);
}
NT_EXPORT_AS(RtlpMoveMemory, RtlMoveMemory);
NT_EXPORT_AS(RtlpMoveMemory, RtlCopyMemory);
NT_EXPORT_AS(RtlpMoveMemory, RtlCopyMemoryNonTemporal);

static VOID NTAPI RtlpFillMemory(PVOID destination, SIZE_T length, UCHAR fill) {
    memset(destination, fill, length);
}
NT_EXPORT_AS(RtlpFillMemory, RtlFillMemory);

static VOID NTAPI RtlpZeroMemory(PVOID destination, SIZE_T length) {
    memset(destination, 0, length);
}
NT_EXPORT_AS(RtlpZeroMemory, RtlZeroMemory);

SIZE_T NTAPI RtlCompareMemory(const VOID *Source1, const VOID *Source2, SIZE_T Length) {
    SIZE_T equal = 0;
    while (equal < Length && ((const UCHAR *)Source1)[equal] == ((const UCHAR *)Source2)[equal]) {
        equal++;
    }
    return equal;
}
NT_EXPORT(RtlCompareMemory);

SIZE_T NTAPI RtlCompareMemoryUlong(PVOID Source, SIZE_T Length, ULONG Pattern) {
    SIZE_T words = Length / sizeof(ULONG);
    SIZE_T equal = 0;
    while (equal < words && ((const ULONG *)Source)[equal] == Pattern) {
        equal++;
    }
    return equal * sizeof(ULONG);
}
NT_EXPORT(RtlCompareMemoryUlong);

VOID FASTCALL RtlPrefetchMemoryNonTemporal(PVOID Source, SIZE_T Length) {
    for (SIZE_T at = 0; at < Length; at += SYSTEM_CACHE_ALIGNMENT_SIZE) {
        __builtin_prefetch((const UCHAR *)Source + at, 0, 0);
    }
}
NT_EXPORT(RtlPrefetchMemoryNonTemporal);
