/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that are given once: identifiers (UUIDs of version 4), locally unique ones. And small questions about the system. */
#include "ex.h"

#include "../include/export.h"

#define LUID_FIRST 1000 /* lower ones are reserved to the system */

static ULONG64 ExpUnique; /* how many were made */

/* A number is mixed (the finaliser of SplitMix64), so that consecutive ones look unrelated. */
static ULONG64 ExpMix(ULONG64 value) {
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
    value = (value ^ value >> 27) * 0x94d049bb133111ebull;
    return value ^ value >> 31;
}

/* Unique on this machine since its start; as good as random only where the time of the start is. */
NTSTATUS NTAPI ExUuidCreate(UUID *Uuid) {
    LARGE_INTEGER now = {.QuadPart = 0};
    UCHAR *bytes = (UCHAR *)Uuid;
    KeQuerySystemTime(&now);
    /* Relaxed: the numbers order nothing else. */
    ULONG64 count = __atomic_add_fetch(&ExpUnique, 1, __ATOMIC_RELAXED);
    ULONG64 half = ExpMix(count * 0x9e3779b97f4a7c15ull);
    RtlCopyMemory(bytes, &half, sizeof half);
    half = ExpMix((ULONG64)now.QuadPart ^ half);
    RtlCopyMemory(bytes + sizeof half, &half, sizeof half);
    bytes[7] = (UCHAR)((bytes[7] & 0x0f) | 0x40); /* the version, in the high byte of a little-endian word */
    bytes[8] = (UCHAR)((bytes[8] & 0x3f) | 0x80); /* the variant */
    return STATUS_SUCCESS;
}
NT_EXPORT(ExUuidCreate);

NTSTATUS NTAPI ZwAllocateLocallyUniqueId(PLUID Luid) {
    static ULONG64 next = LUID_FIRST;
    ULONG64 value = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED);
    Luid->LowPart = (ULONG)value;
    Luid->HighPart = (LONG)(value >> 32);
    return STATUS_SUCCESS;
}
NT_EXPORT(ZwAllocateLocallyUniqueId);

/* What every x64 processor has, as far as drivers here may use it. */
BOOLEAN NTAPI ExIsProcessorFeaturePresent(ULONG ProcessorFeature) {
    switch (ProcessorFeature) {
    case PF_COMPARE_EXCHANGE_DOUBLE:
    case PF_MMX_INSTRUCTIONS_AVAILABLE:
    case PF_XMMI_INSTRUCTIONS_AVAILABLE:
    case PF_XMMI64_INSTRUCTIONS_AVAILABLE:
    case PF_RDTSC_INSTRUCTION_AVAILABLE:
    case PF_PAE_ENABLED:
    case PF_NX_ENABLED:
        return TRUE;
    default:
        return FALSE;
    }
}
NT_EXPORT(ExIsProcessorFeaturePresent);

BOOLEAN NTAPI ExVerifySuite(SUITE_TYPE SuiteType) {
    UNREFERENCED_PARAMETER(SuiteType); /* none is installed */
    return FALSE;
}
NT_EXPORT(ExVerifySuite);

/* The clock's interval is one for the whole run (a boot option): what it is stays, and is what is returned. */
ULONG NTAPI ExSetTimerResolution(ULONG DesiredTime, BOOLEAN SetResolution) {
    UNREFERENCED_PARAMETER(DesiredTime);
    UNREFERENCED_PARAMETER(SetResolution);
    return KeQueryTimeIncrement();
}
NT_EXPORT(ExSetTimerResolution);
NT_PARTIAL(ExSetTimerResolution, "the clock keeps the interval that the machine was started with");
