/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checked forms of executive resources: normal kernel APCs are held back from acquisition to release, and who shares one does not ask
 * for it exclusively, for it would wait for itself. Their order is not watched, as in the documented verifier.
 */
#include "vi.h"

#include "../include/mutant.h"
#include "../ke/dispatcher.h"

static VOID ViComplain(ULONG code, ULONG64 p2, ULONG64 p3, ULONG64 p4, PERESOURCE resource, const char *text,
                       ULONG64 frame) __attribute__((noreturn));

static VOID ViComplain(ULONG code, ULONG64 p2, ULONG64 p3, ULONG64 p4, PERESOURCE resource, const char *text,
                       ULONG64 frame) {
    VI_REQUEST request = ViRequest((ULONG64)resource, ViResource, ViByWait, frame);
    ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, code, p2, p3, p4, text, &request);
}

static VOID ViCheckApcs(PERESOURCE resource, ULONG code, ULONG64 frame) {
    KIRQL irql = (KIRQL)__readcr8();
    if (irql < APC_LEVEL && !KeAreApcsDisabled() &&
        !MUTANT(VfResourceWithApcs, "ERES-1", "the verifier lets resources be used while APCs can come")) {
        ULONG64 count = (ULONG64)(LONG64)KeGetCurrentThread()->Apc.KernelApcDisable;
        ViComplain(code, irql, count, (ULONG64)resource, resource,
                   "a resource is acquired or released while normal kernel APCs can come", frame);
    }
}

static VOID ViCheckAcquire(PERESOURCE resource, ULONG64 frame) {
    KIRQL irql = (KIRQL)__readcr8();
    ViCheckWaitFollows(frame);
    ViCheckResident((ULONG64)resource, frame);
    if (irql > APC_LEVEL) {
        const char *text = "a resource is acquired above APC_LEVEL";
        ViComplain(VI_RULE_EX_APC, (ULONG64)text, irql, 0, resource, text, frame);
    }
    ViCheckApcs(resource, VI_RESOURCE_ACQUIRE, frame);
}

static VOID ViCheckExclusive(PERESOURCE resource, BOOLEAN wait, ULONG64 frame) {
    if (wait && ExIsResourceAcquiredSharedLite(resource) != 0 && !ExIsResourceAcquiredExclusiveLite(resource) &&
        !MUTANT(VfResourceUpgrades, "ERES-1", "the verifier lets a thread wait for what it shares itself")) {
        ViComplain(VI_SELF_DEADLOCK, (ULONG64)resource, 0, 0, resource,
                   "a resource is acquired exclusively by a thread that shares it", frame);
    }
}

static BOOLEAN NTAPI ViAcquireExclusive(PERESOURCE Resource, BOOLEAN Wait) {
    ViCheckAcquire(Resource, VI_FRAME);
    ViCheckExclusive(Resource, Wait, VI_FRAME);
    return ExAcquireResourceExclusiveLite(Resource, Wait);
}
NT_VERIFIED(ExAcquireResourceExclusiveLite, ViAcquireExclusive);

static BOOLEAN NTAPI ViAcquireShared(PERESOURCE Resource, BOOLEAN Wait) {
    ViCheckAcquire(Resource, VI_FRAME);
    return ExAcquireResourceSharedLite(Resource, Wait);
}
NT_VERIFIED(ExAcquireResourceSharedLite, ViAcquireShared);

static BOOLEAN NTAPI ViAcquireStarve(PERESOURCE Resource, BOOLEAN Wait) {
    ViCheckAcquire(Resource, VI_FRAME);
    return ExAcquireSharedStarveExclusive(Resource, Wait);
}
NT_VERIFIED(ExAcquireSharedStarveExclusive, ViAcquireStarve);

static BOOLEAN NTAPI ViAcquireWaitForExclusive(PERESOURCE Resource, BOOLEAN Wait) {
    ViCheckAcquire(Resource, VI_FRAME);
    return ExAcquireSharedWaitForExclusive(Resource, Wait);
}
NT_VERIFIED(ExAcquireSharedWaitForExclusive, ViAcquireWaitForExclusive);

static VOID ViCheckResourceRelease(PERESOURCE resource, ULONG64 frame) {
    KIRQL irql = (KIRQL)__readcr8();
    ViCheckWaitFollows(frame);
    if (irql > DISPATCH_LEVEL) {
        const char *text = "a resource is released above DISPATCH_LEVEL";
        ViComplain(VI_RULE_KE_DISPATCH, (ULONG64)text, irql, 0, resource, text, frame);
    }
    ViCheckApcs(resource, VI_RESOURCE_RELEASE, frame);
}

static VOID FASTCALL ViReleaseResource(PERESOURCE Resource) {
    ViCheckResourceRelease(Resource, VI_FRAME);
    ExReleaseResourceLite(Resource);
}
NT_VERIFIED(ExReleaseResourceLite, ViReleaseResource);

/* The pairs that come with their critical region: only the IRQL, and who waits for itself. */
static VOID ViCheckEnter(PERESOURCE resource, ULONG64 frame) {
    KIRQL irql = (KIRQL)__readcr8();
    ViCheckWaitFollows(frame);
    ViCheckResident((ULONG64)resource, frame);
    if (irql > APC_LEVEL) {
        const char *text = "a resource is acquired above APC_LEVEL";
        ViComplain(VI_RULE_EX_APC, (ULONG64)text, irql, 0, resource, text, frame);
    }
}

static PVOID NTAPI ViEnterExclusive(PERESOURCE Resource) {
    ViCheckEnter(Resource, VI_FRAME);
    ViCheckExclusive(Resource, TRUE, VI_FRAME);
    return ExEnterCriticalRegionAndAcquireResourceExclusive(Resource);
}
NT_VERIFIED(ExEnterCriticalRegionAndAcquireResourceExclusive, ViEnterExclusive);

static PVOID NTAPI ViEnterShared(PERESOURCE Resource) {
    ViCheckEnter(Resource, VI_FRAME);
    return ExEnterCriticalRegionAndAcquireResourceShared(Resource);
}
NT_VERIFIED(ExEnterCriticalRegionAndAcquireResourceShared, ViEnterShared);

static PVOID NTAPI ViEnterWaitForExclusive(PERESOURCE Resource) {
    ViCheckEnter(Resource, VI_FRAME);
    return ExEnterCriticalRegionAndAcquireSharedWaitForExclusive(Resource);
}
NT_VERIFIED(ExEnterCriticalRegionAndAcquireSharedWaitForExclusive, ViEnterWaitForExclusive);
