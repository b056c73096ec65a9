/* SPDX-License-Identifier: Apache-2.0 */
/* How a violation becomes a bugcheck, and the stacks that go with it. */
#include "vi.h"

#include "../mm/mi.h"

#define STACK_REACH 0x8000ull /* a stack is no larger: a frame farther up is none */

VF_VIOLATION VfViolation;

static volatile ULONG64 ViReported; /* 1: VfViolation is taken */

/* A return address is one in the kernel's code or in a loaded image. */
static BOOLEAN ViIsCode(ULONG64 address) {
    extern const UCHAR KiTextStart[], KiTextEnd[];
    if (address >= (ULONG64)KiTextStart && address < (ULONG64)KiTextEnd) {
        return TRUE;
    }
    for (ULONG i = 0; i < MAXIMUM_IMAGES; i++) {
        if (LdrImages[i].Base != 0 && address - LdrImages[i].Base < LdrImages[i].Size) {
            return TRUE;
        }
    }
    return FALSE;
}

/*
 * Drivers that keep no frame pointer leave anything in RBP: each frame has to lie above the one before, near it, in memory
 * that is there, and hold a return address that is code; the first that does not ends the walk.
 */
static VOID ViWalkStack(ULONG64 *stack, ULONG count, ULONG64 frame) {
    ULONG64 start = frame;
    ULONG64 physical;
    for (; count < VF_STACK_FRAMES && (frame & 15u) == 0 && frame - start < STACK_REACH; count++) {
        /* Aligned to 16, a frame does not cross a page; the first one's page is this CPU's stack. */
        if ((frame ^ start) >> PAGE_SHIFT != 0 && !MiTranslate(frame, &physical)) {
            break;
        }
        ULONG64 following = ((const ULONG64 *)frame)[0];
        ULONG64 returned = ((const ULONG64 *)frame)[1];
        if (!ViIsCode(returned)) {
            break;
        }
        stack[count] = returned;
        if (following <= frame) {
            count++;
            break;
        }
        frame = following;
    }
    for (; count < VF_STACK_FRAMES; count++) {
        stack[count] = 0;
    }
}

VOID ViCaptureStack(ULONG64 *stack, ULONG64 frame) {
    ViWalkStack(stack, 0, frame);
}

VOID ViCaptureInterrupted(ULONG64 *stack, ULONG64 address, ULONG64 frame) {
    ULONG64 physical;
    stack[0] = address + 1; /* as if it had called: whoever reads stacks looks at what is before a return address */
    /* It may keep anything in RBP: the two words are looked at only where there is memory. */
    ViWalkStack(stack, 1, MiTranslate(frame, &physical) ? frame : 1);
}

VI_REQUEST ViRequest(ULONG64 lock, VI_KIND kind, VI_FORM form, ULONG64 frame) {
    VI_REQUEST request = {.Lock = lock, .Kind = kind, .Form = form, .Irql = (KIRQL)__readcr8()};
    request.HeldIrql = form == ViRaise || form == ViForDpc ? DISPATCH_LEVEL
        : form == ViToSynch                                ? KI_SYNCH_LEVEL
        : form == ViInterlocked                            ? HIGH_LEVEL
                                                           : request.Irql;
    ViCaptureStack(request.Stack, frame);
    return request;
}

VOID ViFillSite(VF_SITE *site, const VI_REQUEST *request) {
    site->Lock = request->Lock;
    site->Held = 0;
    site->Cpu = KiCurrentPrcb()->Number;
    site->Irql = request->Irql;
    RtlCopyMemory(site->Stack, request->Stack, sizeof site->Stack);
    RtlZeroMemory(site->HeldStack, sizeof site->HeldStack);
}

BOOLEAN ViKeepViolation(const VF_VIOLATION *violation) {
    if (__atomic_exchange_n(&ViReported, 1, __ATOMIC_ACQ_REL) != 0) {
        return FALSE;
    }
    VfViolation = *violation;
    return TRUE;
}

VOID ViReportSites(const VF_VIOLATION *violation) {
    /* The first violation is the one that is told; a CPU that comes second waits here for the end. */
    if (ViKeepViolation(violation)) {
        KeBugCheckEx((ULONG)violation->Code, violation->Parameter[0], violation->Parameter[1], violation->Parameter[2],
                     violation->Parameter[3]);
    }
    for (;;) {
        _mm_pause();
    }
}

VOID ViReport(ULONG code, ULONG64 p1, ULONG64 p2, ULONG64 p3, ULONG64 p4, const char *text, const VI_REQUEST *request) {
    VF_VIOLATION violation = {.Code = code, .Parameter = {p1, p2, p3, p4}, .Text = text};
    if (request != NULL) {
        violation.SiteCount = 1;
        ViFillSite(&violation.Site[0], request);
        const VI_REQUEST *held = ViFindHeld(request->Lock);
        held = held != NULL ? held : ViInnermost();
        if (held != NULL && held != request) {
            violation.Site[0].Held = held->Lock;
            RtlCopyMemory(violation.Site[0].HeldStack, held->Stack, sizeof held->Stack);
        }
    }
    ViReportSites(&violation);
}
