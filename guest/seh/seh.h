/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exceptions that somebody handles. Drivers' frames are walked by the tables of their images (.pdata; "x64 exception handling"), the
 * kernel's own by its ELF's (.eh_frame). Any IRQL; no locks: images come and go at PASSIVE_LEVEL while nothing of theirs runs.
 */
#pragma once

#include "../include/ddk.h"
#include "../include/driver/seh.h"
#include "../include/hostif.h"

/* A place on the stack that is being walked. */
typedef struct _SEH_WALK {
    CONTEXT Context; /* of this frame */
    BOOLEAN Exact;   /* Rip is the instruction itself; FALSE: a return address */
} SEH_WALK;

/* seh/kernelframe.c: from a routine of the kernel to its caller. FALSE: no table covers it, or it is a thread's first. */
BOOLEAN SehIsKernel(ULONG64 rip);
BOOLEAN SehLeaveKernelFrame(SEH_WALK *walk);

/* seh/cfi.c: the rules of one place in the kernel's code (DWARF 5, 6.4). Registers by DWARF's numbers. */
#define SEH_CFI_REGISTERS 17 /* the last is the return address */
#define SEH_CFI_RSP       7
#define SEH_CFI_RIP       16
typedef enum _SEH_CFI_RULE {
    SehCfiSame,
    SehCfiUndefined,
    SehCfiOffset, /* saved so far from the frame's address */
} SEH_CFI_RULE;
typedef struct _SEH_CFI_ROW {
    ULONG CfaRegister;
    LONG64 CfaOffset;
    UCHAR Rule[SEH_CFI_REGISTERS]; /* SEH_CFI_RULE */
    LONG Offset[SEH_CFI_REGISTERS];
    BOOLEAN Signal; /* a trap's: the caller's Rip is no return address */
} SEH_CFI_ROW;
BOOLEAN SehFindRow(ULONG64 rip, BOOLEAN exact, SEH_CFI_ROW *row);

/* seh/table.c. NULL: no driver's image is there. */
const LDR_IMAGE *SehImageAt(ULONG64 address);
/* NULL: no function of the image has an entry there. *table: the image has entries at all. */
PRUNTIME_FUNCTION SehFindFunction(const LDR_IMAGE *image, ULONG64 address, BOOLEAN *table);

/* seh/frame.c */
typedef struct _SEH_FRAME {
    DISPATCHER_CONTEXT Dispatch; /* of a driver's frame that may have a handler; LanguageHandler NULL: it has none */
    BOOLEAN Collided;            /* its handler was already under way when this walk came */
} SEH_FRAME;
typedef enum _SEH_STEP {
    SehStepKernel, /* a frame without handlers was left */
    SehStepDriver, /* frame describes it, walk is still in it, next is its caller */
    SehStepEnd,    /* nobody further out can be asked */
} SEH_STEP;
SEH_STEP SehStep(ULONG type, SEH_WALK *walk, SEH_WALK *next, SEH_FRAME *frame);

/* seh/callhandler.S: both call frame->LanguageHandler; the place on the stack tells a walk what is under way. */
EXCEPTION_DISPOSITION SehCallHandler(PEXCEPTION_RECORD record, ULONG64 establisher, PCONTEXT context,
                                     PDISPATCHER_CONTEXT dispatch);
EXCEPTION_DISPOSITION SehCallUnwindHandler(PEXCEPTION_RECORD record, ULONG64 establisher, PCONTEXT context,
                                           PDISPATCHER_CONTEXT dispatch);
#define SEH_HANDLER_DISPATCH 0x20 /* where their frames keep the dispatcher context, from Rsp */

/* seh/virtual.c: RtlVirtualUnwind; a FALSE *sound: the stack or the tables lead nowhere. */
PEXCEPTION_ROUTINE SehVirtualUnwind(ULONG type, ULONG64 base, ULONG64 pc, PRUNTIME_FUNCTION function, PCONTEXT context,
                                    PVOID *data, PULONG64 establisher, PKNONVOLATILE_CONTEXT_POINTERS pointers,
                                    BOOLEAN *sound);
ULONG64 *SehRegister(PCONTEXT context, ULONG number); /* as unwind codes number them */

/* seh/epilogue.c: executes the rest of an epilogue at pc on the context. FALSE: none is there, context unchanged. */
BOOLEAN SehLeaveEpilogue(ULONG64 base, ULONG64 pc, PRUNTIME_FUNCTION function, ULONG frame_register, PCONTEXT context,
                         PKNONVOLATILE_CONTEXT_POINTERS pointers);

/* seh/dispatch.c: asks the handlers. Returns TRUE to go on at *context, FALSE if nobody wants it; or not at all. */
BOOLEAN SehDispatch(PEXCEPTION_RECORD record, PCONTEXT context);

VOID SehInitialize(VOID); /* boot CPU, once: from now on exceptions find handlers */
