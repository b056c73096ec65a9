/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One step up the stack, whatever is there: a driver's frame, a frame of the kernel, or a handler that is under way. An interrupt ends
 * the walk: what it interrupted has nothing to do with it. So does an image without unwind tables, since what its routines
 * have saved cannot be known.
 */
#include "seh.h"

#include "../include/mutant.h"
#include "../ke/ki.h"

C_ASSERT(FIELD_OFFSET(DISPATCHER_CONTEXT, LanguageHandler) == 0x30); /* seh/callhandler.S; the rest: rtl/context.S */
C_ASSERT(FIELD_OFFSET(CONTEXT, MxCsr) == 0x34);
C_ASSERT(FIELD_OFFSET(CONTEXT, EFlags) == 0x44);
C_ASSERT(FIELD_OFFSET(CONTEXT, Rax) == 0x78);
C_ASSERT(FIELD_OFFSET(CONTEXT, Rip) == 0xf8);
C_ASSERT(FIELD_OFFSET(CONTEXT, Xmm0) == 0x1a0);

extern const UCHAR KiTrapCommon[], KiTrapCommonEnd[], SehCallUnwindHandlerEnd[];

static BOOLEAN SehIsIn(ULONG64 rip, const VOID *begin, const VOID *end) {
    return rip >= (ULONG64)begin && rip < (ULONG64)end;
}

/* A trap's frame is addressed by RBP, its link. */
static BOOLEAN SehIsInterrupt(const SEH_WALK *walk) {
    const KI_TRAP_FRAME *frame = (const KI_TRAP_FRAME *)(walk->Context.Rbp - FIELD_OFFSET(KI_TRAP_FRAME, Link));
    return frame->Vector >= KI_EXCEPTIONS && !KiIsRaisingVector((ULONG)frame->Vector);
}

/*
 * A handler that an unwind had called has been left by another exception or unwind: the two collide. What that unwind has behind it
 * is not asked again; it goes on from the frame that it was at, behind the scope that it had begun.
 */
static BOOLEAN SehAdoptUnwind(ULONG type, SEH_WALK *walk, SEH_WALK *next, SEH_FRAME *frame) {
    const DISPATCHER_CONTEXT *under_way = *(DISPATCHER_CONTEXT **)(walk->Context.Rsp + SEH_HANDLER_DISPATCH);
    BOOLEAN sound;
    frame->Dispatch = *under_way;
    frame->Collided = TRUE;
    walk->Context = *under_way->ContextRecord;
    walk->Exact = TRUE;
    *next = *walk;
    next->Exact = FALSE;
    SehVirtualUnwind(type, under_way->ImageBase, under_way->ControlPc, under_way->FunctionEntry, &next->Context,
                     &frame->Dispatch.HandlerData, &frame->Dispatch.EstablisherFrame, NULL, &sound);
    frame->Dispatch.LanguageHandler = under_way->LanguageHandler;
    frame->Dispatch.HandlerData = under_way->HandlerData;
    return sound;
}

static SEH_STEP SehStepKernelFrame(ULONG type, SEH_WALK *walk, SEH_WALK *next, SEH_FRAME *frame) {
    ULONG64 rip = walk->Context.Rip;
    if (SehIsIn(rip, KiTrapCommon, KiTrapCommonEnd) && SehIsInterrupt(walk)) {
        return SehStepEnd;
    }
    if (SehIsIn(rip, (const VOID *)SehCallUnwindHandler, SehCallUnwindHandlerEnd) &&
        !MUTANT(UnwindsDoNotCollide, "SEH-5", "an unwind that leaves a termination handler begins anew")) {
        return SehAdoptUnwind(type, walk, next, frame) ? SehStepDriver : SehStepEnd;
    }
    return SehLeaveKernelFrame(walk) ? SehStepKernel : SehStepEnd;
}

SEH_STEP SehStep(ULONG type, SEH_WALK *walk, SEH_WALK *next, SEH_FRAME *frame) {
    ULONG64 rip = walk->Context.Rip;
    BOOLEAN table, sound;
    frame->Collided = FALSE;
    if (SehIsKernel(rip)) {
        return SehStepKernelFrame(type, walk, next, frame);
    }
    const LDR_IMAGE *image = SehImageAt(rip);
    PRUNTIME_FUNCTION function = NULL;
    if (image != NULL) {
        function = SehFindFunction(image, rip, &table);
        if (!table) {
            return SehStepEnd;
        }
    } else if (!walk->Exact) { /* a return address leads nowhere; a bad pointer may have been called, as a leaf is */
        return SehStepEnd;
    }
    RtlZeroMemory(&frame->Dispatch, sizeof frame->Dispatch);
    frame->Dispatch.ControlPc = rip;
    frame->Dispatch.ImageBase = image != NULL ? image->Base : 0;
    frame->Dispatch.FunctionEntry = function;
    *next = *walk;
    next->Exact = FALSE;
    if (function == NULL) { /* a leaf: it has changed neither stack nor nonvolatile registers */
        frame->Dispatch.EstablisherFrame = walk->Context.Rsp;
        sound = KiLoadIfThere((const VOID *)walk->Context.Rsp, &next->Context.Rip);
        next->Context.Rsp += sizeof(ULONG64);
    } else {
        frame->Dispatch.LanguageHandler =
            SehVirtualUnwind(type, image->Base, rip, function, &next->Context, &frame->Dispatch.HandlerData,
                             &frame->Dispatch.EstablisherFrame, NULL, &sound);
    }
    return sound && next->Context.Rsp > walk->Context.Rsp ? SehStepDriver : SehStepEnd;
}
