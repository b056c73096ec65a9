/* SPDX-License-Identifier: Apache-2.0 */
/* Which system this is, to a driver that asks: Windows 10 (10.0.19041), a workstation, without a service pack. */
#include "../include/nt/rtl.h"

#include "../include/export.h"

#define VERSION_MAJOR 10
#define VERSION_MINOR 0
#define VERSION_BUILD 19041

#define VERSION_CONDITION_BITS 3

NTSTATUS NTAPI RtlGetVersion(PRTL_OSVERSIONINFOW lpVersionInformation) {
    ULONG size = lpVersionInformation->dwOSVersionInfoSize;
    if (size != sizeof(RTL_OSVERSIONINFOW) && size != sizeof(RTL_OSVERSIONINFOEXW)) {
        return STATUS_INVALID_PARAMETER;
    }
    RtlZeroMemory(lpVersionInformation, size);
    lpVersionInformation->dwOSVersionInfoSize = size;
    lpVersionInformation->dwMajorVersion = VERSION_MAJOR;
    lpVersionInformation->dwMinorVersion = VERSION_MINOR;
    lpVersionInformation->dwBuildNumber = VERSION_BUILD;
    lpVersionInformation->dwPlatformId = VER_PLATFORM_WIN32_NT;
    if (size == sizeof(RTL_OSVERSIONINFOEXW)) {
        ((PRTL_OSVERSIONINFOEXW)lpVersionInformation)->wProductType = VER_NT_WORKSTATION;
    }
    return STATUS_SUCCESS;
}
NT_EXPORT(RtlGetVersion);

/* All versions that this one is a successor of are available. */
static BOOLEAN NTAPI RtlpIsVersionAvailable(ULONG Version) {
    return Version <= (VERSION_MAJOR << 24 | VERSION_MINOR << 16) && (Version & 0xffff) == 0;
}
#undef RtlIsNtDdiVersionAvailable /* the name in a library that is linked to drivers */
NT_EXPORT_AS(RtlpIsVersionAvailable, RtlIsNtDdiVersionAvailable);

BOOLEAN NTAPI PsGetVersion(PULONG MajorVersion, PULONG MinorVersion, PULONG BuildNumber, PUNICODE_STRING CSDVersion) {
    if (MajorVersion != NULL) {
        *MajorVersion = VERSION_MAJOR;
    }
    if (MinorVersion != NULL) {
        *MinorVersion = VERSION_MINOR;
    }
    if (BuildNumber != NULL) {
        *BuildNumber = VERSION_BUILD;
    }
    if (CSDVersion != NULL) {
        RtlInitUnicodeString(CSDVersion, NULL);
    }
    return FALSE; /* not a checked build */
}
NT_EXPORT(PsGetVersion);

static ULONG RtlpBitNumber(ULONG bit) {
    return (ULONG)__builtin_ctz(bit);
}

ULONGLONG NTAPI VerSetConditionMask(ULONGLONG ConditionMask, ULONG TypeMask, UCHAR Condition) {
    if (TypeMask == 0 || Condition == 0) {
        return ConditionMask;
    }
    return ConditionMask | (ULONG64)(Condition & 7) << RtlpBitNumber(TypeMask) * VERSION_CONDITION_BITS;
}
NT_EXPORT(VerSetConditionMask);

static ULONG RtlpCondition(ULONG64 conditions, ULONG type) {
    return conditions >> RtlpBitNumber(type) * VERSION_CONDITION_BITS & 7;
}

static BOOLEAN RtlpHolds(ULONG condition, ULONG is, ULONG wanted) {
    switch (condition) {
    case VER_EQUAL:
        return is == wanted;
    case VER_GREATER:
        return is > wanted;
    case VER_GREATER_EQUAL:
        return is >= wanted;
    case VER_LESS:
        return is < wanted;
    case VER_LESS_EQUAL:
        return is <= wanted;
    default:
        return FALSE;
    }
}

/* From the major number to the service pack's minor one: the first that differs decides, else the last. */
static BOOLEAN RtlpVersionHolds(const RTL_OSVERSIONINFOEXW *wanted, ULONG types, ULONG64 conditions) {
    const struct {
        ULONG Type, Is, Wanted;
    } levels[] = {{VER_MAJORVERSION, VERSION_MAJOR, wanted->dwMajorVersion},
                  {VER_MINORVERSION, VERSION_MINOR, wanted->dwMinorVersion},
                  {VER_SERVICEPACKMAJOR, 0, wanted->wServicePackMajor},
                  {VER_SERVICEPACKMINOR, 0, wanted->wServicePackMinor}};
    BOOLEAN holds = TRUE;
    for (ULONG i = 0; i < RTL_NUMBER_OF(levels); i++) {
        if ((types & levels[i].Type) != 0) {
            holds = RtlpHolds(RtlpCondition(conditions, levels[i].Type), levels[i].Is, levels[i].Wanted);
            if (levels[i].Is != levels[i].Wanted) {
                break;
            }
        }
    }
    return holds;
}

NTSTATUS NTAPI RtlVerifyVersionInfo(PRTL_OSVERSIONINFOEXW VersionInfo, ULONG TypeMask, ULONGLONG ConditionMask) {
    ULONG known = VER_MINORVERSION | VER_MAJORVERSION | VER_BUILDNUMBER | VER_PLATFORMID | VER_SERVICEPACKMINOR |
        VER_SERVICEPACKMAJOR | VER_SUITENAME | VER_PRODUCT_TYPE;
    if (TypeMask == 0 || (TypeMask & ~known) != 0 || ConditionMask == 0) {
        return STATUS_INVALID_PARAMETER;
    }
    BOOLEAN holds = RtlpVersionHolds(VersionInfo, TypeMask, ConditionMask);
    if ((TypeMask & VER_BUILDNUMBER) != 0) {
        holds &= RtlpHolds(RtlpCondition(ConditionMask, VER_BUILDNUMBER), VERSION_BUILD, VersionInfo->dwBuildNumber);
    }
    if ((TypeMask & VER_PLATFORMID) != 0) {
        holds &=
            RtlpHolds(RtlpCondition(ConditionMask, VER_PLATFORMID), VER_PLATFORM_WIN32_NT, VersionInfo->dwPlatformId);
    }
    if ((TypeMask & VER_PRODUCT_TYPE) != 0) {
        holds &=
            RtlpHolds(RtlpCondition(ConditionMask, VER_PRODUCT_TYPE), VER_NT_WORKSTATION, VersionInfo->wProductType);
    }
    if ((TypeMask & VER_SUITENAME) != 0) { /* there are none: VER_AND of any fails, so does VER_OR */
        holds &= VersionInfo->wSuiteMask == 0;
    }
    return holds ? STATUS_SUCCESS : STATUS_REVISION_MISMATCH;
}
NT_EXPORT(RtlVerifyVersionInfo);
