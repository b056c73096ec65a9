/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that look random, from a seed of the caller's: the multiplicative generator of Park and Miller with the factor 48271. */
#include "../include/nt/rtl.h"

#include "../include/export.h"

#define RANDOM_MODULUS 0x7fffffffull

ULONG NTAPI RtlRandomEx(PULONG Seed) {
    ULONG64 seed = *Seed % RANDOM_MODULUS;
    *Seed = (ULONG)((seed == 0 ? 1 : seed) * 48271 % RANDOM_MODULUS);
    return *Seed;
}
NT_EXPORT(RtlRandomEx);
NT_EXPORT_AS(RtlRandomEx, RtlRandom);

#undef RtlUshortByteSwap
#undef RtlUlongByteSwap
#undef RtlUlonglongByteSwap

static USHORT FASTCALL RtlpSwapShort(USHORT value) {
    return (USHORT)(value << 8 | value >> 8);
}
NT_EXPORT_AS(RtlpSwapShort, RtlUshortByteSwap);

static ULONG FASTCALL RtlpSwapLong(ULONG value) {
    return __builtin_bswap32(value);
}
NT_EXPORT_AS(RtlpSwapLong, RtlUlongByteSwap);

static ULONG64 FASTCALL RtlpSwapLongLong(ULONG64 value) {
    return __builtin_bswap64(value);
}
NT_EXPORT_AS(RtlpSwapLongLong, RtlUlonglongByteSwap);
