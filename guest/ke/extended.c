/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floating point and vector registers. Each thread, DPC and ISR has x87 and SSE of its own on this architecture, so there is nothing to
 * save before they are used. AVX and what came after it are not enabled.
 */
#include "ki.h"

#include "../include/export.h"

#define EXTENDED_LEGACY 3ull /* x87 and SSE */

NTSTATUS NTAPI KeSaveFloatingPointState(PKFLOATING_SAVE FloatSave) {
    RtlZeroMemory(FloatSave, sizeof *FloatSave);
    return STATUS_SUCCESS;
}
NT_EXPORT(KeSaveFloatingPointState);

NTSTATUS NTAPI KeRestoreFloatingPointState(PKFLOATING_SAVE FloatSave) {
    UNREFERENCED_PARAMETER(FloatSave);
    return STATUS_SUCCESS;
}
NT_EXPORT(KeRestoreFloatingPointState);

ULONG64 NTAPI RtlGetEnabledExtendedFeatures(ULONG64 FeatureMask) {
    return FeatureMask & EXTENDED_LEGACY;
}
NT_EXPORT(RtlGetEnabledExtendedFeatures);

NTSTATUS NTAPI KeSaveExtendedProcessorState(ULONG64 Mask, PXSTATE_SAVE XStateSave) {
    if ((Mask & ~EXTENDED_LEGACY) != 0) {
        return STATUS_NOT_SUPPORTED; /* registers that a driver has no way to have used */
    }
    RtlZeroMemory(XStateSave, sizeof *XStateSave);
    return STATUS_SUCCESS;
}
NT_EXPORT(KeSaveExtendedProcessorState);

VOID NTAPI KeRestoreExtendedProcessorState(PXSTATE_SAVE XStateSave) {
    UNREFERENCED_PARAMETER(XStateSave);
}
NT_EXPORT(KeRestoreExtendedProcessorState);
