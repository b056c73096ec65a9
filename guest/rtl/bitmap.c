/* SPDX-License-Identifier: Apache-2.0 */
/* Bitmaps: bits set, cleared, tested and counted. Bit 0 is the lowest of the first ULONG. */
#include "bitmap.h"

#include "../include/export.h"

BOOLEAN RtlpBit(const RTL_BITMAP *map, ULONG index) {
    return (map->Buffer[index / 32] >> index % 32 & 1) != 0;
}

ULONG RtlpRun(const RTL_BITMAP *map, ULONG index, BOOLEAN value) {
    ULONG end = index;
    while (end < map->SizeOfBitMap && RtlpBit(map, end) == value) {
        end++;
    }
    return end - index;
}

static VOID RtlpPutBits(PRTL_BITMAP map, ULONG index, ULONG count, BOOLEAN value) {
    while (count != 0) { /* a word, or the part of one, at a time */
        ULONG part = min(count, 32 - index % 32);
        ULONG mask = (part == 32 ? MAXULONG : (1u << part) - 1) << index % 32;
        map->Buffer[index / 32] = value ? map->Buffer[index / 32] | mask : map->Buffer[index / 32] & ~mask;
        index += part;
        count -= part;
    }
}

VOID NTAPI RtlInitializeBitMap(PRTL_BITMAP BitMapHeader, PULONG BitMapBuffer, ULONG SizeOfBitMap) {
    BitMapHeader->SizeOfBitMap = SizeOfBitMap;
    BitMapHeader->Buffer = BitMapBuffer;
}
NT_EXPORT(RtlInitializeBitMap);

VOID NTAPI RtlSetBits(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG NumberToSet) {
    RtlpPutBits(BitMapHeader, StartingIndex, NumberToSet, TRUE);
}
NT_EXPORT(RtlSetBits);

VOID NTAPI RtlClearBits(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG NumberToClear) {
    RtlpPutBits(BitMapHeader, StartingIndex, NumberToClear, FALSE);
}
NT_EXPORT(RtlClearBits);

VOID NTAPI RtlSetBit(PRTL_BITMAP BitMapHeader, ULONG BitNumber) {
    RtlpPutBits(BitMapHeader, BitNumber, 1, TRUE);
}
NT_EXPORT(RtlSetBit);

VOID NTAPI RtlClearBit(PRTL_BITMAP BitMapHeader, ULONG BitNumber) {
    RtlpPutBits(BitMapHeader, BitNumber, 1, FALSE);
}
NT_EXPORT(RtlClearBit);

VOID NTAPI RtlSetAllBits(PRTL_BITMAP BitMapHeader) {
    RtlpPutBits(BitMapHeader, 0, BitMapHeader->SizeOfBitMap, TRUE);
}
NT_EXPORT(RtlSetAllBits);

VOID NTAPI RtlClearAllBits(PRTL_BITMAP BitMapHeader) {
    RtlpPutBits(BitMapHeader, 0, BitMapHeader->SizeOfBitMap, FALSE);
}
NT_EXPORT(RtlClearAllBits);

BOOLEAN NTAPI RtlTestBit(PRTL_BITMAP BitMapHeader, ULONG BitNumber) {
    return RtlpBit(BitMapHeader, BitNumber);
}
NT_EXPORT(RtlTestBit);

static BOOLEAN RtlpAreBits(const RTL_BITMAP *map, ULONG index, ULONG count, BOOLEAN value) {
    BOOLEAN within = count != 0 && index < map->SizeOfBitMap && count <= map->SizeOfBitMap - index;
    return within && RtlpRun(map, index, value) >= count;
}

BOOLEAN NTAPI RtlAreBitsSet(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG Length) {
    return RtlpAreBits(BitMapHeader, StartingIndex, Length, TRUE);
}
NT_EXPORT(RtlAreBitsSet);

BOOLEAN NTAPI RtlAreBitsClear(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG Length) {
    return RtlpAreBits(BitMapHeader, StartingIndex, Length, FALSE);
}
NT_EXPORT(RtlAreBitsClear);

ULONG NTAPI RtlNumberOfSetBits(PRTL_BITMAP BitMapHeader) {
    ULONG count = 0;
    for (ULONG i = 0; i < BitMapHeader->SizeOfBitMap; i++) {
        count += RtlpBit(BitMapHeader, i);
    }
    return count;
}
NT_EXPORT(RtlNumberOfSetBits);

ULONG NTAPI RtlNumberOfClearBits(PRTL_BITMAP BitMapHeader) {
    return BitMapHeader->SizeOfBitMap - RtlNumberOfSetBits(BitMapHeader);
}
NT_EXPORT(RtlNumberOfClearBits);

ULONG NTAPI RtlNumberOfSetBitsUlongPtr(ULONG_PTR Target) {
    ULONG count = 0;
    for (; Target != 0; Target &= Target - 1) {
        count++;
    }
    return count;
}
NT_EXPORT(RtlNumberOfSetBitsUlongPtr);

CCHAR NTAPI RtlFindMostSignificantBit(ULONGLONG Set) {
    return (CCHAR)(Set == 0 ? -1 : 63 - __builtin_clzll(Set));
}
NT_EXPORT(RtlFindMostSignificantBit);

CCHAR NTAPI RtlFindLeastSignificantBit(ULONGLONG Set) {
    return (CCHAR)(Set == 0 ? -1 : __builtin_ctzll(Set));
}
NT_EXPORT(RtlFindLeastSignificantBit);
