/* SPDX-License-Identifier: Apache-2.0 */
/* Sorting, searching and the C library's random numbers. */
#include "crt.h"

#include "../include/export.h"

static VOID swap(UCHAR *left, UCHAR *right, SIZE_T size) {
    for (SIZE_T i = 0; i < size; i++) {
        UCHAR byte = left[i];
        left[i] = right[i];
        right[i] = byte;
    }
}

/* The part below the pivot, then the pivot, then the rest: returns where the pivot is. The middle one is taken for it. */
static SIZE_T partition(UCHAR *base, SIZE_T count, SIZE_T size, CRT_COMPARE *compare) {
    UCHAR *last = base + (count - 1) * size;
    SIZE_T kept = 0;
    swap(base + count / 2 * size, last, size);
    for (SIZE_T i = 0; i + 1 < count; i++) {
        if (compare(base + i * size, last) < 0) {
            swap(base + i * size, base + kept * size, size);
            kept++;
        }
    }
    swap(base + kept * size, last, size);
    return kept;
}

/* NOLINTNEXTLINE(misc-no-recursion): no deeper than a count can be halved */
void qsort(void *base, size_t count, size_t size, CRT_COMPARE *compare) {
    UCHAR *first = base;
    while (count > 1) {
        SIZE_T below = partition(first, count, size, compare);
        SIZE_T above = count - below - 1;
        UCHAR *next = first + (below + 1) * size;
        /* It calls itself for the smaller part only: each call at least halves the count. */
        if (below < above) {
            qsort(first, below, size, compare);
            first = next;
            count = above;
        } else {
            qsort(next, above, size, compare);
            count = below;
        }
    }
}
NT_EXPORT(qsort);

void *bsearch(const void *key, const void *base, size_t count, size_t size, CRT_COMPARE *compare) {
    const UCHAR *first = base;
    while (count != 0) {
        const UCHAR *middle = first + count / 2 * size;
        int order = compare(key, middle);
        if (order == 0) {
            return (void *)middle;
        }
        if (order > 0) {
            first = middle + size;
            count -= count / 2 + 1;
        } else {
            count /= 2;
        }
    }
    return NULL;
}
NT_EXPORT(bsearch);

static ULONG CrtRandom = 1;

/* A linear congruential generator (the constants of Numerical Recipes), of which the upper bits are returned. */
int rand(void) {
    ULONG seen = __atomic_load_n(&CrtRandom, __ATOMIC_RELAXED);
    ULONG next;
    do {
        next = seen * 1664525u + 1013904223u;
        /* Relaxed: the numbers order nothing else. */
    } while (!__atomic_compare_exchange_n(&CrtRandom, &seen, next, FALSE, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return (int)(next >> 17);
}
NT_EXPORT(rand);

void srand(unsigned int seed) {
    __atomic_store_n(&CrtRandom, seed, __ATOMIC_RELAXED);
}
NT_EXPORT(srand);
