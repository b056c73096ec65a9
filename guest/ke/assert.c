/* SPDX-License-Identifier: Apache-2.0 */
/* Break points and assertions. There is no kernel debugger: a break point that nobody handles is bugcheck 0x1E, STATUS_BREAKPOINT. */
#include "ki.h"

#include "../include/export.h"

static VOID NTAPI KiExportedBreakPoint(VOID) {
    __asm__ volatile("int3");
}
NT_EXPORT_AS(KiExportedBreakPoint, DbgBreakPoint);

VOID NTAPI DbgBreakPointWithStatus(ULONG Status) {
    UNREFERENCED_PARAMETER(Status);
    KiExportedBreakPoint();
}
NT_EXPORT(DbgBreakPointWithStatus);

#undef RtlAssert
VOID NTAPI RtlAssert(PVOID FailedAssertion, PVOID FileName, ULONG LineNumber, PSTR Message) {
    DbgPrint("Assertion failed: %s%s%s (%s:%u)\n", Message == NULL ? "" : Message, Message == NULL ? "" : ": ",
             FailedAssertion, FileName, LineNumber);
    KiExportedBreakPoint();
}
NT_EXPORT(RtlAssert);
