/* SPDX-License-Identifier: Apache-2.0 */
/* Bitmaps: runs of bits found, and taken. */
#include "bitmap.h"

#include "../include/export.h"

#define BITMAP_NONE MAXULONG

/* The first run of so many in [from, to), of which only the beginning need lie before `to`. */
static ULONG RtlpFindIn(const RTL_BITMAP *map, ULONG from, ULONG to, ULONG count, BOOLEAN value) {
    while (from < to) {
        ULONG run = RtlpRun(map, from, value);
        if (run >= count) {
            return from;
        }
        from += run;
        from += RtlpRun(map, from, !value);
    }
    return BITMAP_NONE;
}

/* From the hint on, then from the start. */
static ULONG RtlpFind(const RTL_BITMAP *map, ULONG count, ULONG hint, BOOLEAN value) {
    hint = hint < map->SizeOfBitMap ? hint : 0;
    if (count == 0) {
        return hint;
    }
    ULONG found = RtlpFindIn(map, hint, map->SizeOfBitMap, count, value);
    return found != BITMAP_NONE ? found : RtlpFindIn(map, 0, hint, count, value);
}

ULONG NTAPI RtlFindClearBits(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex) {
    return RtlpFind(BitMapHeader, NumberToFind, HintIndex, FALSE);
}
NT_EXPORT(RtlFindClearBits);

ULONG NTAPI RtlFindSetBits(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex) {
    return RtlpFind(BitMapHeader, NumberToFind, HintIndex, TRUE);
}
NT_EXPORT(RtlFindSetBits);

ULONG NTAPI RtlFindClearBitsAndSet(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex) {
    ULONG found = RtlFindClearBits(BitMapHeader, NumberToFind, HintIndex);
    if (found != BITMAP_NONE) {
        RtlSetBits(BitMapHeader, found, NumberToFind);
    }
    return found;
}
NT_EXPORT(RtlFindClearBitsAndSet);

ULONG NTAPI RtlFindSetBitsAndClear(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex) {
    ULONG found = RtlFindSetBits(BitMapHeader, NumberToFind, HintIndex);
    if (found != BITMAP_NONE) {
        RtlClearBits(BitMapHeader, found, NumberToFind);
    }
    return found;
}
NT_EXPORT(RtlFindSetBitsAndClear);

ULONG NTAPI RtlFindNextForwardRunClear(PRTL_BITMAP BitMapHeader, ULONG FromIndex, PULONG StartingRunIndex) {
    ULONG start = min(FromIndex, BitMapHeader->SizeOfBitMap);
    start += RtlpRun(BitMapHeader, start, TRUE);
    *StartingRunIndex = start;
    return RtlpRun(BitMapHeader, start, FALSE);
}
NT_EXPORT(RtlFindNextForwardRunClear);

ULONG NTAPI RtlFindFirstRunClear(PRTL_BITMAP BitMapHeader, PULONG StartingIndex) {
    return RtlFindNextForwardRunClear(BitMapHeader, 0, StartingIndex);
}
NT_EXPORT(RtlFindFirstRunClear);

/* The run that ends last at or before FromIndex; it begins at *StartingRunIndex. */
ULONG NTAPI RtlFindLastBackwardRunClear(PRTL_BITMAP BitMapHeader, ULONG FromIndex, PULONG StartingRunIndex) {
    ULONG end = BitMapHeader->SizeOfBitMap == 0 ? 0 : min(FromIndex, BitMapHeader->SizeOfBitMap - 1) + 1;
    while (end != 0 && RtlpBit(BitMapHeader, end - 1)) {
        end--;
    }
    ULONG start = end;
    while (start != 0 && !RtlpBit(BitMapHeader, start - 1)) {
        start--;
    }
    *StartingRunIndex = start;
    return end - start;
}
NT_EXPORT(RtlFindLastBackwardRunClear);

/* Keeps the array in order, the longest first; what does not fit falls out at its end. */
static ULONG RtlpKeepLongest(PRTL_BITMAP_RUN runs, ULONG count, ULONG size, RTL_BITMAP_RUN run) {
    ULONG at = count < size ? count : size - 1;
    if (count == size && runs[at].NumberOfBits >= run.NumberOfBits) {
        return count;
    }
    for (; at != 0 && runs[at - 1].NumberOfBits < run.NumberOfBits; at--) {
        runs[at] = runs[at - 1];
    }
    runs[at] = run;
    return min(count + 1, size);
}

ULONG NTAPI RtlFindClearRuns(PRTL_BITMAP BitMapHeader, PRTL_BITMAP_RUN RunArray, ULONG SizeOfRunArray,
                             BOOLEAN LocateLongestRuns) {
    ULONG count = 0;
    RTL_BITMAP_RUN run = {0, 0};
    while (SizeOfRunArray != 0) {
        run.NumberOfBits = RtlFindNextForwardRunClear(BitMapHeader, run.StartingIndex, &run.StartingIndex);
        if (run.NumberOfBits == 0 || (!LocateLongestRuns && count == SizeOfRunArray)) {
            break;
        }
        if (LocateLongestRuns) {
            count = RtlpKeepLongest(RunArray, count, SizeOfRunArray, run);
        } else {
            RunArray[count++] = run;
        }
        run.StartingIndex += run.NumberOfBits;
    }
    return count;
}
NT_EXPORT(RtlFindClearRuns);

ULONG NTAPI RtlFindLongestRunClear(PRTL_BITMAP BitMapHeader, PULONG StartingIndex) {
    RTL_BITMAP_RUN longest = {0, 0};
    RtlFindClearRuns(BitMapHeader, &longest, 1, TRUE);
    *StartingIndex = longest.StartingIndex;
    return longest.NumberOfBits;
}
NT_EXPORT(RtlFindLongestRunClear);
