/* SPDX-License-Identifier: Apache-2.0 */
/* What the cases about APCs share: an APC that notes where and when its routines ran. */
#pragma once

#include "threads.h"

#include <apc.h>

typedef struct _NOTED_APC {
    KAPC Apc;
    volatile LONG KernelOrder; /* 0: its KernelRoutine has not run; else its place among all routines */
    volatile LONG NormalOrder;
    KIRQL KernelIrql;
    KIRQL NormalIrql;
    PKTHREAD KernelThread;
    PKTHREAD NormalThread;
    PVOID Argument1; /* as the last routine got them */
    PVOID Argument2;
    BOOLEAN Withdraw; /* the KernelRoutine takes the NormalRoutine back */
} NOTED_APC;

static volatile LONG ApcOrder;

static inline VOID NTAPI NotedKernelRoutine(PKAPC Apc, PKNORMAL_ROUTINE *NormalRoutine, PVOID *NormalContext,
                                            PVOID *SystemArgument1, PVOID *SystemArgument2) {
    NOTED_APC *noted = CONTAINING_RECORD(Apc, NOTED_APC, Apc);
    UNREFERENCED_PARAMETER(NormalContext);
    noted->KernelIrql = KeGetCurrentIrql();
    noted->KernelThread = KeGetCurrentThread();
    noted->Argument1 = *SystemArgument1;
    noted->Argument2 = *SystemArgument2;
    if (noted->Withdraw) {
        *NormalRoutine = NULL;
    }
    noted->KernelOrder = InterlockedIncrement(&ApcOrder);
}

static inline VOID NTAPI NotedNormalRoutine(PVOID NormalContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    NOTED_APC *noted = NormalContext;
    noted->NormalIrql = KeGetCurrentIrql();
    noted->NormalThread = KeGetCurrentThread();
    noted->Argument1 = SystemArgument1;
    noted->Argument2 = SystemArgument2;
    noted->NormalOrder = InterlockedIncrement(&ApcOrder);
}

static inline VOID InitializeNoted(NOTED_APC *Noted, PKTHREAD Thread, PKNORMAL_ROUTINE Normal) {
    RtlZeroMemory(Noted, sizeof *Noted);
    KeInitializeApc(&Noted->Apc, Thread, OriginalApcEnvironment, NotedKernelRoutine, NULL, Normal, KernelMode, Noted);
}

static inline VOID InitializeSpecial(NOTED_APC *Noted, PKTHREAD Thread) {
    InitializeNoted(Noted, Thread, NULL);
}

static inline VOID InitializeNormal(NOTED_APC *Noted, PKTHREAD Thread) {
    InitializeNoted(Noted, Thread, NotedNormalRoutine);
}

static inline BOOLEAN InsertNoted(NOTED_APC *Noted) {
    return KeInsertQueueApc(&Noted->Apc, (PVOID)1, (PVOID)2, 0);
}
