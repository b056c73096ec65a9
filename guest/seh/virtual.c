/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a function of a PE image to its caller, by its unwind codes ("x64 exception handling": UNWIND_INFO, unwind procedure). Codes
 * are undone from the newest on; those of a prologue that has not got so far are left out. Chained information is the outer
 * part of the same frame.
 */
#include "seh.h"

#include "../include/export.h"
#include "../include/mutant.h"
#include "../ke/ki.h"

#define UWOP_PUSH_NONVOL     0
#define UWOP_ALLOC_LARGE     1
#define UWOP_ALLOC_SMALL     2
#define UWOP_SET_FPREG       3
#define UWOP_SAVE_NONVOL     4
#define UWOP_SAVE_NONVOL_FAR 5
#define UWOP_EPILOG          6 /* version 2: where the epilogues are, which the code itself shows too */
#define UWOP_SPARE           7
#define UWOP_SAVE_XMM128     8
#define UWOP_SAVE_XMM128_FAR 9
#define UWOP_PUSH_MACHFRAME  10

#define UNWIND_CHAIN_LIMIT 32
#define WHOLE_PROLOGUE     ~0u

typedef struct _UNWIND_INFO {
    UCHAR Version : 3;
    UCHAR Flags : 5;
    UCHAR SizeOfProlog;
    UCHAR CountOfCodes;
    UCHAR FrameRegister : 4;
    UCHAR FrameOffset : 4;
    struct {
        UCHAR CodeOffset;
        UCHAR UnwindOp : 4;
        UCHAR OpInfo : 4;
    } UnwindCode[]; /* then, at an even index: the handler's address and its data, or a RUNTIME_FUNCTION */
} UNWIND_INFO;
C_ASSERT(FIELD_OFFSET(UNWIND_INFO, UnwindCode) == 4);

typedef struct _SEH_UNDO {
    PCONTEXT Context;
    PKNONVOLATILE_CONTEXT_POINTERS Pointers;
    ULONG64 Frame;       /* what saved registers are addressed from */
    BOOLEAN Interrupted; /* a machine frame has given Rip and Rsp */
    BOOLEAN Sound;
} SEH_UNDO;

ULONG64 *SehRegister(PCONTEXT context, ULONG number) {
    return (ULONG64 *)((PUCHAR)context + FIELD_OFFSET(CONTEXT, Rax)) +
        number; /* the structure's order is that of the numbers */
}

/* A slot as a number: 0 behind the last. */
static ULONG64 SehSlot(const UNWIND_INFO *info, ULONG index) {
    return index < info->CountOfCodes ? *(const USHORT *)&info->UnwindCode[index] : 0;
}

static VOID SehLoadRegister(SEH_UNDO *undo, ULONG number, ULONG64 address) {
    ULONG64 value = 0;
    undo->Sound = undo->Sound && KiLoadIfThere((const VOID *)address, &value);
    *SehRegister(undo->Context, number) = value;
    if (undo->Pointers != NULL) {
        undo->Pointers->IntegerContext[number] = (PULONG64)address;
    }
}

static VOID SehLoadXmm(SEH_UNDO *undo, ULONG number, ULONG64 address) {
    M128A *xmm = &undo->Context->Xmm0 + number;
    ULONG64 low = 0, high = 0;
    undo->Sound = undo->Sound && KiLoadIfThere((const VOID *)address, &low) &&
        KiLoadIfThere((const VOID *)(address + sizeof low), &high);
    xmm->Low = low;
    xmm->High = (LONGLONG)high;
    if (undo->Pointers != NULL) {
        undo->Pointers->FloatingContext[number] = (PM128A)address;
    }
}

static VOID SehUndoMachineFrame(SEH_UNDO *undo, BOOLEAN error_code) {
    ULONG64 at = undo->Context->Rsp + (error_code ? sizeof(ULONG64) : 0);
    undo->Sound = undo->Sound && KiLoadIfThere((const VOID *)at, &undo->Context->Rip) &&
        KiLoadIfThere((const VOID *)(at + 3 * sizeof(ULONG64)), &undo->Context->Rsp);
    undo->Interrupted = TRUE;
}

/* Undoes the code at an index if its place in the prologue has been reached. Returns how many slots it takes; 0: unknown. */
/* NOLINTNEXTLINE(readability-function-cognitive-complexity): a case for each code of the format */
static ULONG SehUndoCode(SEH_UNDO *undo, const UNWIND_INFO *info, ULONG index, ULONG reached) {
    PCONTEXT context = undo->Context;
    ULONG op = info->UnwindCode[index].UnwindOp, number = info->UnwindCode[index].OpInfo;
    BOOLEAN done = info->UnwindCode[index].CodeOffset <= reached;
    ULONG64 near = SehSlot(info, index + 1);
    ULONG64 far = near | SehSlot(info, index + 2) << 16;
    switch (op) {
    case UWOP_PUSH_NONVOL:
        if (done) {
            SehLoadRegister(undo, number, context->Rsp);
            context->Rsp += sizeof(ULONG64);
        }
        return 1;
    case UWOP_ALLOC_LARGE:
        context->Rsp += done ? (number != 0 ? far : near * 8) : 0;
        return number != 0 ? 3 : 2;
    case UWOP_ALLOC_SMALL:
        context->Rsp += done ? number * 8 + 8 : 0;
        return 1;
    case UWOP_SET_FPREG:
        if (done) {
            context->Rsp = *SehRegister(context, info->FrameRegister) - info->FrameOffset * 16ull;
        }
        return 1;
    case UWOP_SAVE_NONVOL:
    case UWOP_SAVE_NONVOL_FAR:
        if (done) {
            SehLoadRegister(undo, number, undo->Frame + (op == UWOP_SAVE_NONVOL ? near * 8 : far));
        }
        return op == UWOP_SAVE_NONVOL ? 2 : 3;
    case UWOP_EPILOG:
        return info->Version == 2 ? 1 : 2;
    case UWOP_SPARE:
        return 3;
    case UWOP_SAVE_XMM128:
    case UWOP_SAVE_XMM128_FAR:
        if (done && !MUTANT(UnwindForgetsXmm, "SEH-6", "an unwind does not restore XMM6 to XMM15")) {
            SehLoadXmm(undo, number, undo->Frame + (op == UWOP_SAVE_XMM128 ? near * 16 : far));
        }
        return op == UWOP_SAVE_XMM128 ? 2 : 3;
    case UWOP_PUSH_MACHFRAME:
        if (done) {
            SehUndoMachineFrame(undo, number != 0);
        }
        return 1;
    default:
        return 0;
    }
}

static BOOLEAN SehSetsFrame(const UNWIND_INFO *info, ULONG reached) {
    for (ULONG i = 0; i < info->CountOfCodes; i++) {
        if (info->UnwindCode[i].UnwindOp == UWOP_SET_FPREG) {
            return info->UnwindCode[i].CodeOffset <= reached;
        }
    }
    return TRUE; /* an outer part has */
}

static ULONG64 SehFrameOf(const UNWIND_INFO *info, PCONTEXT context, ULONG reached) {
    return info->FrameRegister != 0 && SehSetsFrame(info, reached)
        ? *SehRegister(context, info->FrameRegister) - info->FrameOffset * 16ull
        : context->Rsp;
}

static PVOID SehBehindCodes(const UNWIND_INFO *info) {
    return (PVOID)&info->UnwindCode[(info->CountOfCodes + 1u) & ~1u];
}

/* Undoes one part of the frame, then the parts that it is chained to. */
static VOID SehUndoFrame(SEH_UNDO *undo, ULONG64 base, const UNWIND_INFO *info, ULONG reached) {
    for (ULONG part = 0; part < UNWIND_CHAIN_LIMIT && undo->Sound; part++) {
        undo->Frame = SehFrameOf(info, undo->Context, reached);
        for (ULONG index = 0; index < info->CountOfCodes && undo->Sound;) {
            ULONG slots = SehUndoCode(undo, info, index, reached);
            undo->Sound = undo->Sound && slots != 0;
            index += slots;
        }
        if ((info->Flags & UNW_FLAG_CHAININFO) == 0) {
            return;
        }
        info = (const UNWIND_INFO *)(base + ((const RUNTIME_FUNCTION *)SehBehindCodes(info))->UnwindData);
        reached = WHOLE_PROLOGUE;
    }
}

PEXCEPTION_ROUTINE SehVirtualUnwind(ULONG type, ULONG64 base, ULONG64 pc, PRUNTIME_FUNCTION function, PCONTEXT context,
                                    PVOID *data, PULONG64 establisher, PKNONVOLATILE_CONTEXT_POINTERS pointers,
                                    BOOLEAN *sound) {
    SEH_UNDO undo = {.Context = context, .Pointers = pointers, .Sound = TRUE};
    const UNWIND_INFO *info = (const UNWIND_INFO *)(base + function->UnwindData);
    ULONG reached = (ULONG)(pc - base - function->BeginAddress);
    BOOLEAN prologue = reached < info->SizeOfProlog;
    PEXCEPTION_ROUTINE handler = NULL;
    *data = NULL;
    *establisher = SehFrameOf(info, context, prologue ? reached : WHOLE_PROLOGUE);
    if (!prologue && SehLeaveEpilogue(base, pc, function, info->FrameRegister, context, pointers)) {
        *sound = TRUE;
        return NULL;
    }
    if (!prologue && (info->Flags & UNW_FLAG_CHAININFO) == 0 && (info->Flags & type) != 0) {
        const ULONG *behind = SehBehindCodes(info);
        handler = (PEXCEPTION_ROUTINE)(base + behind[0]);
        *data = (PVOID)&behind[1];
    }
    SehUndoFrame(&undo, base, info, prologue ? reached : WHOLE_PROLOGUE);
    if (!undo.Interrupted) {
        undo.Sound = undo.Sound && KiLoadIfThere((const VOID *)context->Rsp, &context->Rip);
        context->Rsp += sizeof(ULONG64);
    }
    *sound = undo.Sound;
    return handler;
}

PEXCEPTION_ROUTINE NTAPI RtlVirtualUnwind(ULONG HandlerType, ULONG64 ImageBase, ULONG64 ControlPc,
                                          PRUNTIME_FUNCTION FunctionEntry, PCONTEXT ContextRecord, PVOID *HandlerData,
                                          PULONG64 EstablisherFrame, PKNONVOLATILE_CONTEXT_POINTERS ContextPointers) {
    BOOLEAN sound;
    PEXCEPTION_ROUTINE handler = SehVirtualUnwind(HandlerType, ImageBase, ControlPc, FunctionEntry, ContextRecord,
                                                  HandlerData, EstablisherFrame, ContextPointers, &sound);
    ContextRecord->Rip = sound ? ContextRecord->Rip : 0; /* as at the end of a stack */
    return handler;
}
NT_EXPORT(RtlVirtualUnwind);
