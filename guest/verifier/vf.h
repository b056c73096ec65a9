/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verifier (D2): rules that drivers keep, checked as they run. While it is on, the imports of drivers lead to checked forms
 * of the routines; while it is off they lead to the routines, and nothing is checked and nothing costs. What no import can check
 * comes by the hooks of ke/verify.h.
 *
 * A broken rule is a bugcheck: 0xC4 DRIVER_VERIFIER_DETECTED_VIOLATION with the documented first parameter, or the bugcheck
 * that the documents name for it. VfViolation says more than four parameters can.
 */
#pragma once

#include "../ke/ki.h"

VOID VfInitialize(VOID); /* boot CPU, once, before the first driver: on or off as the boot options say */
/* PASSIVE_LEVEL, boot CPU, while nothing of a driver runs. Returns what it was. What was known of locks is forgotten. */
BOOLEAN VfEnable(BOOLEAN on);

/* What is known of the violation that stopped the machine. */
#define VF_STACK_FRAMES  6
#define VF_MAXIMUM_SITES 8

typedef struct _VF_SITE {
    ULONG64 Lock; /* that was taken or wanted there */
    ULONG64 Held; /* that was held already, 0: it is not about order */
    ULONG64 Cpu;
    ULONG64 Irql;                       /* of the caller */
    ULONG64 Stack[VF_STACK_FRAMES];     /* return addresses, innermost first, 0: no more */
    ULONG64 HeldStack[VF_STACK_FRAMES]; /* where Held had been taken */
} VF_SITE;

typedef struct _VF_VIOLATION {
    ULONG64 Code; /* of the bugcheck; 0: none */
    ULONG64 Parameter[4];
    const char *Text; /* what was done that is forbidden */
    ULONG64 SiteCount;
    VF_SITE
    Site[VF_MAXIMUM_SITES]; /* the first is where it was noticed; in a cycle each other is a link that closes it */
} VF_VIOLATION;

extern VF_VIOLATION VfViolation;

/* Spin locks that were held longer than the boot options allow, by lock and place. */
#define VF_MAXIMUM_HOLDS 32

typedef struct _VF_HOLD {
    ULONG64 Lock;                       /* 0: unused, and so are all that follow */
    ULONG64 Ticks;                      /* of the longest hold */
    ULONG64 Count;                      /* how many were too long */
    ULONG64 Cpu;                        /* of the longest */
    ULONG64 Irql;                       /* that the holder came from */
    ULONG64 Stack[VF_STACK_FRAMES];     /* where it was released */
    ULONG64 HeldStack[VF_STACK_FRAMES]; /* where it had been taken */
} VF_HOLD;

extern VF_HOLD VfHolds[VF_MAXIMUM_HOLDS];
