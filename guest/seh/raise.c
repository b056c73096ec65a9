/* SPDX-License-Identifier: Apache-2.0 */
/* RtlRaiseException: an exception as its caller describes it, which may be one that can continue; and probes of user addresses. */
#include "seh.h"

#include "../include/export.h"
#include "../ke/ki.h"

#define USER_LIMIT 0x00007fffffff0000ull

/* Drivers compare addresses with it; behind the last that user mode may have. */
static const ULONG64 SehUserProbeAddress = USER_LIMIT;
NT_EXPORT_AS(&SehUserProbeAddress, MmUserProbeAddress);
static const VOID *const SehHighestUserAddress = (PVOID)(USER_LIMIT - 1);
NT_EXPORT_AS(&SehHighestUserAddress, MmHighestUserAddress);
static const VOID *const SehSystemRangeStart = (PVOID)0xffff800000000000ull;
NT_EXPORT_AS(&SehSystemRangeStart, MmSystemRangeStart);

VOID NTAPI RtlRaiseException(PEXCEPTION_RECORD ExceptionRecord) {
    SEH_WALK walk = {.Exact = FALSE};
    RtlCaptureContext(&walk.Context);
    SehLeaveKernelFrame(&walk); /* as the caller has it: there it goes on */
    ExceptionRecord->ExceptionAddress = (PVOID)walk.Context.Rip;
    if (KiAskHandlers(ExceptionRecord, &walk.Context)) {
        RtlRestoreContext(&walk.Context, ExceptionRecord);
    }
    KeBugCheckEx(KMODE_EXCEPTION_NOT_HANDLED, (ULONG64)(LONG64)ExceptionRecord->ExceptionCode, walk.Context.Rip,
                 ExceptionRecord->ExceptionInformation[0], ExceptionRecord->ExceptionInformation[1]);
}
NT_EXPORT(RtlRaiseException);

static VOID SehProbe(ULONG64 address, SIZE_T length, ULONG alignment, ULONG64 caller) {
    if ((address & (alignment - 1)) != 0) {
        KiRaiseStatus(STATUS_DATATYPE_MISALIGNMENT, caller, 0, 0);
    }
    if (address + length < address || address + length > USER_LIMIT) {
        KiRaiseStatus(STATUS_ACCESS_VIOLATION, caller, 0, 0);
    }
}

VOID NTAPI ProbeForRead(CONST VOID *Address, SIZE_T Length, ULONG Alignment) {
    if (Length != 0) {
        SehProbe((ULONG64)Address, Length, Alignment, KI_CALLER);
    }
}
NT_EXPORT(ProbeForRead);

/* Each page is written to, with what it has: whoever may not finds out here. */
VOID NTAPI ProbeForWrite(PVOID Address, SIZE_T Length, ULONG Alignment) {
    if (Length == 0) {
        return;
    }
    ULONG64 at = (ULONG64)Address;
    SehProbe(at, Length, Alignment, KI_CALLER);
    for (ULONG64 last = at + Length - 1; at <= last; at = (at & ~(ULONG64)(PAGE_SIZE - 1)) + PAGE_SIZE) {
        volatile CHAR *byte = (volatile CHAR *)at;
        *byte = *byte;
    }
}
NT_EXPORT(ProbeForWrite);
