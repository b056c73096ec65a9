/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order in which locks are taken (SPIN-9): a link from A to B says that B was once wanted by somebody who held A. A link that
 * would close a circle is two or more pieces of code that can each wait for what another holds, whether or not it has
 * happened yet. Everything here is under the table's lock.
 */
#include "vi.h"

#include "../include/mutant.h"

#define LINKS 1024

typedef struct _VI_LINK {
    ULONG From; /* node; VI_LOCKS: the link is free */
    ULONG To;
    ULONG NextOfFrom; /* VI_NO_EDGE: the last */
    ULONG Irql;
    ULONG Cpu;
    ULONG64 HeldStack[VF_STACK_FRAMES]; /* where From had been taken */
    ULONG64 Stack[VF_STACK_FRAMES];     /* where To was wanted */
} VI_LINK;

static VI_LINK ViLinks[LINKS];
static ULONG ViLinksUsed;           /* links below it have been used at some time */
static ULONG ViFreeLink;            /* VI_NO_EDGE: none was given back */
static ULONG ViReachedBy[VI_LOCKS]; /* of a search: the link that led to a node */
static ULONG ViPending[VI_LOCKS];

static ULONG ViFindLink(ULONG from, ULONG to) {
    for (ULONG link = *ViFirstEdge(from); link != VI_NO_EDGE; link = ViLinks[link].NextOfFrom) {
        if (ViLinks[link].To == to) {
            return link;
        }
    }
    return VI_NO_EDGE;
}

/* Whether `to` can be reached from `from`; ViReachedBy then leads back. */
static BOOLEAN ViSearch(ULONG from, ULONG to) {
    ULONG count = 0;
    for (ULONG i = 0; i < VI_LOCKS; i++) {
        ViReachedBy[i] = VI_NO_EDGE;
    }
    ViPending[count++] = from;
    while (count != 0) {
        ULONG node = ViPending[--count];
        if (node == to) {
            return TRUE;
        }
        for (ULONG link = *ViFirstEdge(node); link != VI_NO_EDGE; link = ViLinks[link].NextOfFrom) {
            ULONG next = ViLinks[link].To;
            if (next != from && ViReachedBy[next] == VI_NO_EDGE) {
                ViReachedBy[next] = link;
                ViPending[count++] = next;
            }
        }
    }
    return FALSE;
}

static VOID ViDescribeCycle(VF_VIOLATION *violation, ULONG held, ULONG wanted, const VI_REQUEST *holder,
                            const VI_REQUEST *request) {
    RtlZeroMemory(violation, sizeof *violation);
    violation->Code = DRIVER_VERIFIER_DETECTED_VIOLATION;
    violation->Parameter[0] = VI_ORDER;
    violation->Parameter[1] = request->Lock;
    violation->Parameter[2] = holder->Lock;
    violation->Text = request->Kind < ViMutex ? "spin locks are taken in an order that can deadlock"
                                              : "locks are taken in an order that can deadlock";
    ViFillSite(&violation->Site[0], request);
    violation->Site[0].Held = holder->Lock;
    RtlCopyMemory(violation->Site[0].HeldStack, holder->Stack, sizeof holder->Stack);
    violation->SiteCount = 1;
    for (ULONG node = held; node != wanted && violation->SiteCount < VF_MAXIMUM_SITES;) {
        const VI_LINK *link = &ViLinks[ViReachedBy[node]];
        VF_SITE *site = &violation->Site[violation->SiteCount++];
        site->Lock = ViLockAddress(link->To);
        site->Held = ViLockAddress(link->From);
        site->Cpu = link->Cpu;
        site->Irql = link->Irql;
        RtlCopyMemory(site->Stack, link->Stack, sizeof link->Stack);
        RtlCopyMemory(site->HeldStack, link->HeldStack, sizeof link->HeldStack);
        node = link->From;
    }
}

static ULONG ViNewLink(VOID) {
    ULONG link = ViFreeLink;
    if (link != VI_NO_EDGE) {
        ViFreeLink = ViLinks[link].NextOfFrom;
        return link;
    }
    return ViLinksUsed < LINKS ? ViLinksUsed++ : VI_NO_EDGE;
}

BOOLEAN ViAddOrder(ULONG held, ULONG wanted, const VI_REQUEST *holder, const VI_REQUEST *request,
                   VF_VIOLATION *violation) {
    if (ViFindLink(held, wanted) != VI_NO_EDGE) {
        return TRUE;
    }
    if (ViSearch(wanted, held) &&
        !MUTANT(VfAnyOrder, "SPIN-9", "the verifier does not see locks taken in opposite orders")) {
        ViDescribeCycle(violation, held, wanted, holder, request);
        return FALSE;
    }
    ULONG at = ViNewLink();
    if (at != VI_NO_EDGE) { /* with no room left this order stays unknown */
        VI_LINK *link = &ViLinks[at];
        link->From = held;
        link->To = wanted;
        link->Irql = request->Irql;
        link->Cpu = KiCurrentPrcb()->Number;
        RtlCopyMemory(link->HeldStack, holder->Stack, sizeof link->HeldStack);
        RtlCopyMemory(link->Stack, request->Stack, sizeof link->Stack);
        link->NextOfFrom = *ViFirstEdge(held);
        *ViFirstEdge(held) = at;
    }
    return TRUE;
}

VOID ViDropOrder(ULONG node) {
    for (ULONG at = 0; at < ViLinksUsed; at++) {
        VI_LINK *link = &ViLinks[at];
        if (link->From == VI_LOCKS || (link->From != node && link->To != node)) {
            continue;
        }
        ULONG *from = ViFirstEdge(link->From);
        while (*from != at) {
            from = &ViLinks[*from].NextOfFrom;
        }
        *from = link->NextOfFrom;
        link->From = VI_LOCKS;
        link->NextOfFrom = ViFreeLink;
        ViFreeLink = at;
    }
}

VOID ViForgetOrder(VOID) {
    ViLinksUsed = 0;
    ViFreeLink = VI_NO_EDGE;
}
