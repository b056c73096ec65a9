/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checked forms of what belongs to threads: regions, fast mutexes, executive resources. Each looks at the caller's IRQL
 * and counts of regions, which are its own, and at the owner that the object names, and then calls the routine itself.
 */
#include "vi.h"

#include "../include/mutant.h"
#include "../ke/thread.h"

/* First parameters of 0xC4 (bug-check-0xc4). */
#define VI_FAST_ACQUIRE_IRQL   0x33 /* current IRQL, fast mutex */
#define VI_FAST_RELEASE_IRQL   0x34 /* current IRQL, fast mutex */
#define VI_RESOURCE_ACQUIRE    0x37 /* current IRQL, APC disable count, resource */
#define VI_RESOURCE_RELEASE    0x38 /* current IRQL, APC disable count, resource */
#define VI_UNSAFE_ACQUIRE      0x39 /* current IRQL, APC disable count, mutex */
#define VI_UNSAFE_RELEASE      0x3a /* current IRQL, APC disable count, mutex */
#define VI_NOT_IN_REGION       0x3e
#define VI_ENTER_CRITICAL_IRQL 0x11a  /* current IRQL */
#define VI_LEAVE_CRITICAL_IRQL 0x11b  /* current IRQL */
#define VI_FOREIGN_RELEASE     0x1004 /* mutex, its owner, current thread */

static VOID ViComplainOfThread(ULONG code, ULONG64 p2, ULONG64 p3, ULONG64 p4, const char *text, ULONG64 frame)
    __attribute__((noreturn));

static VOID ViComplainOfThread(ULONG code, ULONG64 p2, ULONG64 p3, ULONG64 p4, const char *text, ULONG64 frame) {
    VI_REQUEST request = ViRequest(0, ViSpin, ViAtDpc, frame);
    ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, code, p2, p3, p4, text, &request);
}

static const KI_APC_STATE *ViApcState(VOID) {
    return &KeGetCurrentThread()->Apc;
}

static BOOLEAN ViNormalApcsMayCome(VOID) {
    return __readcr8() < APC_LEVEL && ViApcState()->KernelApcDisable == 0 && ViApcState()->SpecialApcDisable == 0;
}

/* Regions. */

static VOID NTAPI ViEnterCriticalRegion(VOID) {
    KIRQL irql = (KIRQL)__readcr8();
    if (irql > APC_LEVEL) {
        ViComplainOfThread(VI_ENTER_CRITICAL_IRQL, irql, 0, 0, "a critical region is entered above APC_LEVEL",
                           VI_FRAME);
    }
    KeEnterCriticalRegion();
}
NT_VERIFIED(KeEnterCriticalRegion, ViEnterCriticalRegion);

static VOID NTAPI ViLeaveCriticalRegion(VOID) {
    KIRQL irql = (KIRQL)__readcr8();
    if (irql > APC_LEVEL) {
        ViComplainOfThread(VI_LEAVE_CRITICAL_IRQL, irql, 0, 0, "a critical region is left above APC_LEVEL", VI_FRAME);
    }
    if (ViApcState()->KernelApcDisable >= 0 &&
        !MUTANT(VfLeavesNoRegion, "APC-2", "the verifier lets a critical region be left that was not entered")) {
        ViComplainOfThread(VI_NOT_IN_REGION, 0, 0, 0, "a critical region is left by a thread that is in none",
                           VI_FRAME);
    }
    KeLeaveCriticalRegion();
}
NT_VERIFIED(KeLeaveCriticalRegion, ViLeaveCriticalRegion);

/* Fast mutexes. */

static VOID ViCheckFastAcquire(const FAST_MUTEX *mutex, BOOLEAN waits, ULONG64 frame) {
    KIRQL irql = (KIRQL)__readcr8();
    if (irql > APC_LEVEL) {
        ViComplainOfThread(VI_FAST_ACQUIRE_IRQL, irql, (ULONG64)mutex, 0, "a fast mutex is acquired above APC_LEVEL",
                           frame);
    }
    if (waits && mutex->Owner == KeGetCurrentThread() &&
        !MUTANT(VfFastMutexRecursion, "FMX-1", "the verifier does not see that a fast mutex is the caller's already")) {
        ViComplainOfThread(VI_SELF_DEADLOCK, (ULONG64)mutex, 0, 0,
                           "a fast mutex is acquired by the thread that owns it", frame);
    }
}

static VOID ViCheckOwner(const FAST_MUTEX *mutex, ULONG64 frame) {
    if (mutex->Owner != KeGetCurrentThread()) {
        ViComplainOfThread(VI_FOREIGN_RELEASE, (ULONG64)mutex, (ULONG64)mutex->Owner, (ULONG64)KeGetCurrentThread(),
                           "a fast mutex is released by a thread that does not own it", frame);
    }
}

static VOID FASTCALL ViAcquireFastMutex(PFAST_MUTEX FastMutex) {
    ViCheckFastAcquire(FastMutex, TRUE, VI_FRAME);
    ExAcquireFastMutex(FastMutex);
}
NT_VERIFIED(ExAcquireFastMutex, ViAcquireFastMutex);

static BOOLEAN FASTCALL ViTryToAcquireFastMutex(PFAST_MUTEX FastMutex) {
    ViCheckFastAcquire(FastMutex, FALSE, VI_FRAME);
    return ExTryToAcquireFastMutex(FastMutex);
}
NT_VERIFIED(ExTryToAcquireFastMutex, ViTryToAcquireFastMutex);

static VOID FASTCALL ViReleaseFastMutex(PFAST_MUTEX FastMutex) {
    KIRQL irql = (KIRQL)__readcr8();
    if (irql != APC_LEVEL) {
        ViComplainOfThread(VI_FAST_RELEASE_IRQL, irql, (ULONG64)FastMutex, 0,
                           "a fast mutex is released at another IRQL than APC_LEVEL", VI_FRAME);
    }
    ViCheckOwner(FastMutex, VI_FRAME);
    ExReleaseFastMutex(FastMutex);
}
NT_VERIFIED(ExReleaseFastMutex, ViReleaseFastMutex);

static VOID ViCheckUnsafe(const FAST_MUTEX *mutex, ULONG code, ULONG64 frame) {
    if (ViNormalApcsMayCome()) {
        ViComplainOfThread(code, __readcr8(), (ULONG64)(LONG64)ViApcState()->KernelApcDisable, (ULONG64)mutex,
                           "a fast mutex is used by an unsafe routine with APCs enabled", frame);
    }
}

static VOID FASTCALL ViAcquireFastMutexUnsafe(PFAST_MUTEX FastMutex) {
    ViCheckUnsafe(FastMutex, VI_UNSAFE_ACQUIRE, VI_FRAME);
    ViCheckFastAcquire(FastMutex, TRUE, VI_FRAME);
    ExAcquireFastMutexUnsafe(FastMutex);
}
NT_VERIFIED(ExAcquireFastMutexUnsafe, ViAcquireFastMutexUnsafe);

static VOID FASTCALL ViReleaseFastMutexUnsafe(PFAST_MUTEX FastMutex) {
    ViCheckUnsafe(FastMutex, VI_UNSAFE_RELEASE, VI_FRAME);
    ViCheckOwner(FastMutex, VI_FRAME);
    ExReleaseFastMutexUnsafe(FastMutex);
}
NT_VERIFIED(ExReleaseFastMutexUnsafe, ViReleaseFastMutexUnsafe);

/* Executive resources. */

static VOID ViCheckResource(const ERESOURCE *resource, ULONG code, ULONG64 frame) {
    if (ViNormalApcsMayCome() &&
        !MUTANT(VfResourceAnyApcs, "ERES-5", "the verifier lets a resource be used with normal APCs enabled")) {
        ViComplainOfThread(code, __readcr8(), (ULONG64)(LONG64)ViApcState()->KernelApcDisable, (ULONG64)resource,
                           code == VI_RESOURCE_ACQUIRE ? "a resource is acquired with normal kernel APCs enabled"
                                                       : "a resource is released with normal kernel APCs enabled",
                           frame);
    }
}

#define VI_RESOURCE_ACQUIRED(routine)                                     \
    static BOOLEAN NTAPI Vi##routine(PERESOURCE Resource, BOOLEAN Wait) { \
        ViCheckResource(Resource, VI_RESOURCE_ACQUIRE, VI_FRAME);         \
        return routine(Resource, Wait);                                   \
    }                                                                     \
    NT_VERIFIED(routine, Vi##routine)

VI_RESOURCE_ACQUIRED(ExAcquireResourceExclusiveLite);
VI_RESOURCE_ACQUIRED(ExAcquireResourceSharedLite);
VI_RESOURCE_ACQUIRED(ExAcquireSharedStarveExclusive);
VI_RESOURCE_ACQUIRED(ExAcquireSharedWaitForExclusive);

static VOID FASTCALL ViReleaseResourceLite(PERESOURCE Resource) {
    ViCheckResource(Resource, VI_RESOURCE_RELEASE, VI_FRAME);
    ExReleaseResourceLite(Resource);
}
NT_VERIFIED(ExReleaseResourceLite, ViReleaseResourceLite);
