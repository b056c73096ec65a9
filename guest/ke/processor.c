/* SPDX-License-Identifier: Apache-2.0 */
/* What drivers may ask about processors. */
#include "ki.h"

static CCHAR KiNumberProcessorsExport = 1;
NT_EXPORT_AS(&KiNumberProcessorsExport, KeNumberProcessors);

VOID KiPublishProcessorCount(VOID) {
    KiNumberProcessorsExport = (CCHAR)KiProcessorCount;
}

static KAFFINITY KiActiveProcessors(VOID) {
    return KiProcessorCount == 64 ? ~(KAFFINITY)0 : ((KAFFINITY)1 << KiProcessorCount) - 1;
}

KAFFINITY NTAPI KeQueryActiveProcessors(VOID) {
    return KiActiveProcessors();
}
NT_EXPORT(KeQueryActiveProcessors);

ULONG NTAPI KeQueryActiveProcessorCount(PKAFFINITY ActiveProcessors) {
    if (ActiveProcessors != NULL) {
        *ActiveProcessors = KiActiveProcessors();
    }
    return KiProcessorCount;
}
NT_EXPORT(KeQueryActiveProcessorCount);

ULONG NTAPI KeQueryMaximumProcessorCount(VOID) {
    return KiProcessorCount;
}
NT_EXPORT(KeQueryMaximumProcessorCount);

static ULONG NTAPI KiExportedCurrentProcessorNumber(VOID) {
    return KiCurrentPrcb()->Number;
}
NT_EXPORT_AS(KiExportedCurrentProcessorNumber, KeGetCurrentProcessorNumber);
