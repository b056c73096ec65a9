/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions that are raised on purpose. Nobody handles any, so each ends in its bugcheck (bug-check-0x1e). */
#include "ki.h"

#include "verify.h"

VOID KiRaiseStatus(NTSTATUS status, ULONG64 address, ULONG64 parameter0, ULONG64 parameter1) {
    const ULONG64 parameters[] = {(ULONG64)(LONG64)status, address, parameter0, parameter1};
    /* Two links back: this routine's caller is the exported one, and its caller's frame is wanted. Address: in the call, not after it. */
    const ULONG64 *const *exported = (const ULONG64 *const *)__builtin_frame_address(0);
    KiVerifyException(KMODE_EXCEPTION_NOT_HANDLED, parameters, address - 1, **exported);
    KeBugCheckEx(KMODE_EXCEPTION_NOT_HANDLED, parameters[0], parameters[1], parameters[2], parameters[3]);
    __builtin_unreachable();
}

VOID NTAPI ExRaiseStatus(NTSTATUS Status) {
    KiRaiseStatus(Status, KI_CALLER, 0, 0);
}
NT_EXPORT(ExRaiseStatus);

VOID NTAPI ExRaiseAccessViolation(VOID) {
    KiRaiseStatus(STATUS_ACCESS_VIOLATION, KI_CALLER, 0, 0);
}
NT_EXPORT(ExRaiseAccessViolation);

VOID NTAPI ExRaiseDatatypeMisalignment(VOID) {
    KiRaiseStatus(STATUS_DATATYPE_MISALIGNMENT, KI_CALLER, 0, 0);
}
NT_EXPORT(ExRaiseDatatypeMisalignment);
