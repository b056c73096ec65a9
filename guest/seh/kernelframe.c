/* SPDX-License-Identifier: Apache-2.0 */
/* From a routine of the kernel to its caller, all registers that the caller wants back in place. */
#include "seh.h"

#include "../ke/ki.h"

/* DWARF's numbers of the general registers, in the order of unwind codes (Intel's). */
static const UCHAR SehIntelNumber[SEH_CFI_RIP] = {0, 2, 1, 3, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15};

BOOLEAN SehIsKernel(ULONG64 rip) {
    extern const UCHAR KiTextStart[], KiTextEnd[];
    return rip >= (ULONG64)KiTextStart && rip < (ULONG64)KiTextEnd;
}

BOOLEAN SehLeaveKernelFrame(SEH_WALK *walk) {
    SEH_CFI_ROW row;
    CONTEXT *context = &walk->Context;
    if (!SehFindRow(context->Rip, walk->Exact, &row) || row.CfaRegister >= SEH_CFI_RIP ||
        row.Rule[SEH_CFI_RIP] != SehCfiOffset) {
        return FALSE;
    }
    ULONG64 frame = *SehRegister(context, SehIntelNumber[row.CfaRegister]) + (ULONG64)row.CfaOffset;
    ULONG64 value;
    for (ULONG i = 0; i < SEH_CFI_RIP; i++) {
        if (row.Rule[i] == SehCfiOffset) {
            if (!KiLoadIfThere((const VOID *)(frame + (ULONG64)(LONG64)row.Offset[i]), &value)) {
                return FALSE;
            }
            *SehRegister(context, SehIntelNumber[i]) = value;
        }
    }
    if (!KiLoadIfThere((const VOID *)(frame + (ULONG64)(LONG64)row.Offset[SEH_CFI_RIP]), &value)) {
        return FALSE;
    }
    if (row.Rule[SEH_CFI_RSP] != SehCfiOffset) {
        context->Rsp = frame;
    }
    context->Rip = value;
    walk->Exact = row.Signal;
    return value != 0;
}
