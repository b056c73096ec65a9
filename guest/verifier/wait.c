/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checked forms of waits and of what signals with a Wait argument (spec section 9): who waits does so below DISPATCH_LEVEL, or not
 * at all; and Wait = TRUE is followed by a wait.
 */
#include "vi.h"

#include "../include/mutant.h"
#include "../ke/dispatcher.h"
#include "../mm/mi.h"

VOID ViCheckResident(ULONG64 object, ULONG64 frame) {
    if (MiIsPageable(object) &&
        !MUTANT(VfPageableObjects, "SYS-14", "the verifier does not see locks and objects in pageable memory")) {
        VI_REQUEST request = ViRequest(object, ViSpin, ViAtDpc, frame);
        ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, VI_PAGEABLE_OBJECT, object, 0, 0,
                 "a lock, or another object that is used at DISPATCH_LEVEL, is in pageable memory", &request);
    }
}

VOID ViCheckWaitFollows(ULONG64 frame) {
    KIRQL irql = (KIRQL)__readcr8();
    if (irql <= DISPATCH_LEVEL && KeGetCurrentThread()->WaitNext &&
        !MUTANT(VfWaitNeedNotFollow, "EVT-4", "the verifier does not miss the wait that Wait = TRUE announced")) {
        const char *text = "a routine was called with Wait = TRUE, and what follows is no wait";
        VI_REQUEST request = ViRequest(0, ViSpin, ViAtDpc, frame);
        ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, VI_RULE_SET_EVENT, (ULONG64)text, irql, 0, text, &request);
    }
}

static VOID ViCheckWaitIrql(ULONG64 object, const LARGE_INTEGER *timeout, ULONG64 frame) {
    PKTHREAD thread = KeGetCurrentThread();
    KIRQL irql = (KIRQL)__readcr8();
    BOOLEAN looks = timeout != NULL && timeout->QuadPart == 0; /* it waits for nothing */
    if (irql == DISPATCH_LEVEL && thread->WaitNext) {
        irql = thread->WaitIrql; /* that the wait goes back to */
    }
    if (irql <= (looks ? DISPATCH_LEVEL : APC_LEVEL) ||
        MUTANT(VfWaitsAnywhere, "WAIT-1 SYS-13", "the verifier lets a thread wait at any IRQL")) {
        return;
    }
    VI_REQUEST request = ViRequest(0, ViSpin, ViAtDpc, frame);
    if (irql == DISPATCH_LEVEL && KiCurrentPrcb()->DpcRoutineActive) {
        ViReport(ATTEMPTED_SWITCH_FROM_DPC, (ULONG64)thread, 0, frame, 0, "a DPC routine waits", &request);
    }
    ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, VI_WAIT_IRQL, irql, object, (ULONG64)timeout,
             ViInnermost() != NULL ? "a wait is begun while a spin lock is held"
                                   : "a wait is begun at DISPATCH_LEVEL or above",
             &request);
}

static BOOLEAN ViIsMutex(PVOID object) {
    return ((const DISPATCHER_HEADER *)object)->Type == MutantObject;
}

static VOID ViBeforeWait(ULONG count, PVOID *objects, const LARGE_INTEGER *timeout, ULONG64 frame) {
    ViCheckWaitIrql(count != 0 ? (ULONG64)objects[0] : 0, timeout, frame);
    for (ULONG i = 0; i < count && i < MAXIMUM_WAIT_OBJECTS; i++) {
        ViCheckResident((ULONG64)objects[i], frame);
        /* Of one among several nobody knows whether it will be the one: only its order against those held would be said. */
        if (ViIsMutex(objects[i]) && ViFindOwned((ULONG64)objects[i]) == NULL) {
            ViBeforeOwning((ULONG64)objects[i], ViMutex, count != 1 || timeout != NULL, frame);
        }
    }
}

static VOID ViTakesMutex(PVOID object, BOOLEAN tries, ULONG64 frame) {
    if (ViIsMutex(object) && ViFindOwned((ULONG64)object) == NULL) {
        ViAfterOwning((ULONG64)object, ViMutex, tries, frame);
    }
}

static VOID ViAfterWait(ULONG count, PVOID *objects, WAIT_TYPE type, NTSTATUS status, ULONG64 frame) {
    ULONG index =
        (ULONG)status >= (ULONG)STATUS_ABANDONED_WAIT_0 ? (ULONG)(status - STATUS_ABANDONED_WAIT_0) : (ULONG)status;
    if (status < 0 || index >= count) { /* a timeout, an alert */
        return;
    }
    if (type == WaitAny) {
        ViTakesMutex(objects[index], count != 1, frame);
        return;
    }
    for (ULONG i = 0; i < count; i++) {
        ViTakesMutex(objects[i], count != 1, frame);
    }
}

static NTSTATUS NTAPI ViWaitForSingle(PVOID Object, KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode,
                                      BOOLEAN Alertable, PLARGE_INTEGER Timeout) {
    ViBeforeWait(1, &Object, Timeout, VI_FRAME);
    NTSTATUS status = KeWaitForSingleObject(Object, WaitReason, WaitMode, Alertable, Timeout);
    ViAfterWait(1, &Object, WaitAny, status, VI_FRAME);
    return status;
}
NT_VERIFIED(KeWaitForSingleObject, ViWaitForSingle);

static NTSTATUS NTAPI ViWaitForMultiple(ULONG Count, PVOID Object[], WAIT_TYPE WaitType, KWAIT_REASON WaitReason,
                                        KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Timeout,
                                        PKWAIT_BLOCK WaitBlockArray) {
    ViBeforeWait(Count, Object, Timeout, VI_FRAME);
    NTSTATUS status =
        KeWaitForMultipleObjects(Count, Object, WaitType, WaitReason, WaitMode, Alertable, Timeout, WaitBlockArray);
    ViAfterWait(Count, Object, WaitType, status, VI_FRAME);
    return status;
}
NT_VERIFIED(KeWaitForMultipleObjects, ViWaitForMultiple);

static PLIST_ENTRY NTAPI ViRemoveQueue(PRKQUEUE Queue, KPROCESSOR_MODE WaitMode, PLARGE_INTEGER Timeout) {
    ViCheckWaitIrql((ULONG64)Queue, Timeout, VI_FRAME);
    return KeRemoveQueue(Queue, WaitMode, Timeout);
}
NT_VERIFIED(KeRemoveQueue, ViRemoveQueue);

/* An interval of 0 gives the turn away, which is a wait all the same. */
static NTSTATUS NTAPI ViDelay(KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Interval) {
    ViCheckWaitIrql(0, NULL, VI_FRAME);
    return KeDelayExecutionThread(WaitMode, Alertable, Interval);
}
NT_VERIFIED(KeDelayExecutionThread, ViDelay);

/* code: of an IRQL above DISPATCH_LEVEL. */
static VOID ViCheckSignal(ULONG64 object, BOOLEAN wait, ULONG code, ULONG64 frame) {
    KIRQL irql = (KIRQL)__readcr8();
    VI_REQUEST request = ViRequest(0, ViSpin, ViAtDpc, frame);
    ViCheckWaitFollows(frame);
    ViCheckResident(object, frame);
    if (irql > DISPATCH_LEVEL &&
        !MUTANT(VfSignalsAnywhere, "EVT-1 MUT-5 SEM-4", "the verifier lets objects be signalled at any IRQL")) {
        const char *text = "an object is signalled above DISPATCH_LEVEL";
        ULONG64 first = code >= VI_RULE_KE_APC ? (ULONG64)text : irql;
        ULONG64 second = code >= VI_RULE_KE_APC ? irql : object;
        ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, code, first, second, 0, text, &request);
    }
    if (wait && irql > APC_LEVEL) {
        const char *text = "a wait is announced by Wait = TRUE above APC_LEVEL";
        ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, VI_RULE_SET_EVENT, (ULONG64)text, irql, 0, text, &request);
    }
}

static LONG NTAPI ViSetEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait) {
    ViCheckSignal((ULONG64)Event, Wait, VI_SET_EVENT_IRQL, VI_FRAME);
    return KeSetEvent(Event, Increment, Wait);
}
NT_VERIFIED(KeSetEvent, ViSetEvent);

static LONG NTAPI ViPulseEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait) {
    ViCheckSignal((ULONG64)Event, Wait, VI_RULE_KE_DISPATCH, VI_FRAME);
    return KePulseEvent(Event, Increment, Wait);
}
NT_VERIFIED(KePulseEvent, ViPulseEvent);

static LONG NTAPI ViReleaseSemaphore(PRKSEMAPHORE Semaphore, KPRIORITY Increment, LONG Adjustment, BOOLEAN Wait) {
    ViCheckSignal((ULONG64)Semaphore, Wait, VI_RULE_KE_DISPATCH, VI_FRAME);
    return KeReleaseSemaphore(Semaphore, Increment, Adjustment, Wait);
}
NT_VERIFIED(KeReleaseSemaphore, ViReleaseSemaphore);

/* Not its owner's: the exception that the routine raises anyway; where nobody handles it, with the mutex named. */
static LONG NTAPI ViReleaseMutex(PRKMUTEX Mutex, BOOLEAN Wait) {
    ViCheckSignal((ULONG64)Mutex, Wait, VI_RULE_KE_DISPATCH, VI_FRAME);
    if (Mutex->OwnerThread != KeGetCurrentThread()) {
        VI_REQUEST request = ViRequest((ULONG64)Mutex, ViMutex, ViByWait, VI_FRAME);
        KiOfferStatus(STATUS_MUTANT_NOT_OWNED, KI_CALLER);
        ViReport(KMODE_EXCEPTION_NOT_HANDLED, (ULONG64)(LONG64)STATUS_MUTANT_NOT_OWNED, KI_CALLER, 0, 0,
                 "a mutex is released by a thread that does not own it", &request);
    }
    if (Mutex->Header.SignalState == 0) {
        ViEndOwning((ULONG64)Mutex);
    }
    return KeReleaseMutex(Mutex, Wait);
}
NT_VERIFIED(KeReleaseMutex, ViReleaseMutex);

/* A routine that returns ends its thread too: ViThreadEnds sees both. */
static NTSTATUS NTAPI ViTerminateThread(NTSTATUS ExitStatus) {
    KIRQL irql = (KIRQL)__readcr8();
    ViCheckWaitFollows(VI_FRAME);
    if (irql != PASSIVE_LEVEL) {
        const char *text = "a thread is ended above PASSIVE_LEVEL";
        VI_REQUEST request = ViRequest(0, ViSpin, ViAtDpc, VI_FRAME);
        ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, VI_RULE_PS_PASSIVE, (ULONG64)text, irql, 0, text, &request);
    }
    return PsTerminateSystemThread(ExitStatus);
}
NT_VERIFIED(PsTerminateSystemThread, ViTerminateThread);
