/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the verifier: violations, stacks, the table of locks, what each CPU holds. A family of rules has its file: spin.c,
 * queued.c, readwrite.c, interlocked.c, interrupt.c, irql.c, contract.c, exception.c.
 */
#pragma once

#include "../ke/locks.h"
#include "../ke/verify.h"
#include "verified.h"
#include "vf.h"

/* The hooks of ke/verify.h. */
VOID ViReleaseStorage(ULONG64 address, ULONG64 bytes);
VOID ViConnectInterrupt(PKINTERRUPT interrupt); /* its lock is one of interrupts from now on */
VOID ViEnterServiceRoutine(PKINTERRUPT interrupt, ULONG64 routine);
VOID ViLeaveServiceRoutine(PKINTERRUPT interrupt, ULONG64 routine);
VOID ViLeaveRoutine(ULONG64 routine, ULONG64 argument, KIRQL expected);
VOID ViException(ULONG code, const ULONG64 *parameters, ULONG64 address, ULONG64 frame); /* exception.c */

/* First parameters of 0xC4 (bug-check-0xc4). */
#define VI_RAISE_BAD            0x30 /* current IRQL, requested */
#define VI_LOWER_BAD            0x31 /* current IRQL, requested, 1: inside a DPC */
#define VI_RELEASE_IRQL         0x32 /* current IRQL, lock */
#define VI_KERNEL_RELEASE_IRQL  0x35 /* current IRQL, lock, old IRQL */
#define VI_QUEUED_RELEASE_IRQL  0x36 /* current IRQL, lock, old IRQL */
#define VI_DPC_ACQUIRE_IRQL     0x40 /* current IRQL, lock */
#define VI_DPC_RELEASE_IRQL     0x41 /* current IRQL, lock */
#define VI_ACQUIRE_IRQL         0x42 /* current IRQL, lock */
#define VI_FAST_ACQUIRE_IRQL    0x33 /* current IRQL, fast mutex */
#define VI_FAST_RELEASE_IRQL    0x34 /* current IRQL, fast mutex */
#define VI_RESOURCE_ACQUIRE     0x37 /* current IRQL, APC disable count, resource */
#define VI_RESOURCE_RELEASE     0x38 /* current IRQL, APC disable count, resource */
#define VI_UNSAFE_ACQUIRE       0x39 /* current IRQL, APC disable count, mutex */
#define VI_UNSAFE_RELEASE       0x3a /* current IRQL, APC disable count, mutex */
#define VI_WAIT_IRQL            0x3b /* current IRQL, object, timeout */
#define VI_NOT_IN_REGION        0x3e
#define VI_SET_EVENT_IRQL       0x80    /* current IRQL, event */
#define VI_PAGEABLE_OBJECT      0xe1    /* object; a spin lock is one here (SYS-14) */
#define VI_LEAVE_CRITICAL_IRQL  0x11b   /* current IRQL */
#define VI_SELF_DEADLOCK        0x1000  /* lock */
#define VI_ORDER                0x1001  /* lock; here also: the lock that was held */
#define VI_UNINITIALIZED        0x1002  /* lock; here also: its value */
#define VI_RELEASE_ORDER        0x1003  /* lock, the lock that should have gone first */
#define VI_WRONG_THREAD         0x1004  /* lock, the thread that acquired it, the current thread */
#define VI_INITIALIZED_TWICE    0x1005  /* lock */
#define VI_NOT_ACQUIRED         0x1007  /* lock */
#define VI_ACQUIRE_MISMATCH     0x1008  /* lock */
#define VI_RELEASE_MISMATCH     0x1009  /* lock */
#define VI_OWNER_ENDED          0x100a  /* thread; here also: lock */
#define VI_FREED_LOCK           0x100b  /* lock, owner */
#define VI_RULE_EX_APC          0x20007 /* text, IRQL */
#define VI_RULE_IO_PASSIVE      0x2000a /* text, IRQL */
#define VI_RULE_KE_APC          0x2000f /* text, IRQL */
#define VI_RULE_KE_DISPATCH     0x20011 /* text, IRQL */
#define VI_RULE_SET_EVENT       0x20016 /* text, IRQL */
#define VI_RULE_PS_PASSIVE      0x2001c /* text, IRQL */
#define VI_RULE_GUARDED_REGIONS 0x4000e /* text, IRQL */
#define VI_RULE_QUEUED_LOCK     0x40006 /* text; here also: the handle */
#define VI_RULE_SPIN_LOCK       0x40009 /* text; here also: lock */

/* The DDK headers lack its name. */
#define DRIVER_VERIFIER_DETECTED_VIOLATION 0xc4

typedef enum _VI_KIND {
    ViUnknown = 0, /* initialised, not taken yet */
    ViSpin = 1,
    ViQueued,
    ViReadWrite,
    ViInterrupt,
    ViMutex, /* from here on it is a thread that owns them, and who wants one waits */
    ViFastMutex,
    ViGuardedMutex,
    ViResource,
} VI_KIND;

/* Which routine took a lock: it says which one releases it. */
typedef enum _VI_FORM {
    ViRaise = 1, /* raises to DISPATCH_LEVEL */
    ViAtDpc,     /* leaves the IRQL */
    ViForDpc,
    ViToSynch,
    ViInterlocked, /* takes and releases at HIGH_LEVEL, inside the routine */
    ViService,     /* the system, for an ISR or KeSynchronizeExecution */
    ViInterruptLock,
    ViByWait,
} VI_FORM;

/* One acquisition, from the call on. */
typedef struct _VI_REQUEST {
    ULONG64 Lock;
    ULONG64 Handle; /* queued locks */
    VI_KIND Kind;
    VI_FORM Form;
    KIRQL Irql;     /* the caller's */
    KIRQL HeldIrql; /* at which the lock is held */
    BOOLEAN Shared;
    BOOLEAN Tries; /* does not wait: makes no deadlock */
    ULONG64 Since; /* TSC from which on it is held */
    ULONG64 Stack[VF_STACK_FRAMES];
} VI_REQUEST;

/* violation.c: does not return. site: where it was noticed, NULL: the caller is the CPU itself. */
VOID ViReport(ULONG code, ULONG64 p1, ULONG64 p2, ULONG64 p3, ULONG64 p4, const char *text, const VI_REQUEST *request)
    __attribute__((noreturn));
/* With further sites, kept by the caller in its own VF_VIOLATION. */
VOID ViReportSites(const VF_VIOLATION *violation) __attribute__((noreturn));
/* Keeps it for whoever brings the bugcheck about. FALSE: another one is kept already. */
BOOLEAN ViKeepViolation(const VF_VIOLATION *violation);
VOID ViFillSite(VF_SITE *site, const VI_REQUEST *request);
VOID ViCaptureStack(ULONG64 *stack, ULONG64 frame); /* frame: address of a saved RBP, the return address above it */
/* Of code that was interrupted: where it was, then its callers as far as its RBP leads to them. */
VOID ViCaptureInterrupted(ULONG64 *stack, ULONG64 address, ULONG64 frame);

#define VI_FRAME ((ULONG64)__builtin_frame_address(0))
/* Of a checked form: everything that is known at its call. */
VI_REQUEST ViRequest(ULONG64 lock, VI_KIND kind, VI_FORM form, ULONG64 frame);

/* hold.c */
VOID ViCheckHold(const VI_REQUEST *held,
                 ULONG64 frame); /* it is about to be released: for how long was it held (SPIN-10) */
VOID ViForgetHolds(VOID);
/* trim.c: DISPATCH_LEVEL, no lock held yet: what is pageable goes out, if the boot options say so (Force IRQL Checking). */
VOID ViTrimMemory(VOID);

/* held.c: what this CPU holds, innermost last. Its own CPU alone looks at it. */
VOID ViPushHeld(const VI_REQUEST *request);
VI_REQUEST *ViFindHeld(ULONG64 lock); /* NULL: not held by this CPU */
VI_REQUEST *ViHeld(ULONG index);      /* NULL: there are fewer */
VI_REQUEST *ViInnermost(VOID);        /* NULL: it holds none */
BOOLEAN ViHoldsInterruptLock(VOID);
VOID ViPopHeld(VI_REQUEST *held);
VOID ViForgetHeld(VOID);

/* table.c: what is known of each lock, over all CPUs. */
VOID ViBeforeAcquire(const VI_REQUEST *request); /* recursion, kind, first use, order, IRQL of the lock */
VOID ViLearnKind(const VI_REQUEST *request);     /* before its first use: a lock that an interrupt object is given */
VOID ViAfterAcquire(const VI_REQUEST *request);
VOID ViBeforeRelease(const VI_REQUEST *held);
VOID ViCheckContext(const VI_REQUEST *request, BOOLEAN at_dpc); /* IRQL of an acquisition; no ISR (SPIN-5, SPIN-12) */
BOOLEAN ViIsHeldElsewhere(ULONG64 lock, ULONG *cpu);
VOID ViInitializeLock(PKSPIN_LOCK lock, ULONG64 frame);
VOID ViForgetLocks(VOID);

/* removelock.c: what is known of remove locks that lie there. */
VOID ViForgetRemoveLocks(ULONG64 address, ULONG64 bytes);

/* release.c: each reports what is wrong. The held lock, NULL only in a mutant. */
VI_REQUEST *ViCheckRelease(ULONG64 lock, VI_KIND kind, VI_FORM form, ULONG64 frame);
VOID ViCheckReleaseIrql(ULONG64 lock, ULONG code, KIRQL new_irql, ULONG64 frame); /* code: the one to report by */
/* IRQL goes to new_irql by the release of a lock, or (NULL) by itself. */
VOID ViCheckLower(VI_REQUEST *released, KIRQL new_irql, ULONG64 frame);
/* spin.c: a spin lock in the name of the driver that called the checked form, whose frame it is. Acquire: the caller's IRQL. */
KIRQL ViAcquire(PKSPIN_LOCK lock, VI_FORM form, ULONG64 frame, ULONG64 caller);
VOID ViRelease(PKSPIN_LOCK lock, KIRQL new_irql, VI_FORM form, ULONG64 frame, ULONG64 caller);
/* interrupt.c: bugcheck 0xC8, unless a routine has returned at the IRQL that it should. */
#define VI_UNEXPECTED_CALLOUT 2 /* third byte of 0xC8's first parameter: what kind of routine it was (bug-check-0xc8) */
VOID ViCheckReturnedIrql(ULONG64 routine, ULONG64 object, KIRQL expected, ULONG what);
/* cancel.c: the cancel spin lock is looked after, or not. */
VOID ViWatchCancelling(BOOLEAN on);

/* What all releases do when all is well: the lock is known as free before it is. */
VOID ViForgetHolding(VI_REQUEST *held) __attribute__((noinline)); /* of the checked form: its frame is looked at */

/*
 * owned.c: the locks of the current thread that it waits for, innermost last. IRQL <= DISPATCH_LEVEL, not in a DPC. Mutexes, whose
 * owner may take them again, count once.
 */
VOID ViBeforeOwning(ULONG64 lock, VI_KIND kind, BOOLEAN tries, ULONG64 frame);
VOID ViAfterOwning(ULONG64 lock, VI_KIND kind, BOOLEAN tries, ULONG64 frame);
VOID ViEndOwning(ULONG64 lock);        /* before it is given back */
VI_REQUEST *ViFindOwned(ULONG64 lock); /* NULL: it does not own it, as far as is known */
VI_REQUEST *ViOwned(ULONG index);      /* NULL: there are fewer */
VOID ViForgetOwned(VOID);              /* of all threads */
VOID ViThreadEnds(VOID);               /* the hook: reports what the current thread still owns */

/* An object that the system uses at DISPATCH_LEVEL is not in pageable memory (SYS-14). */
VOID ViCheckResident(ULONG64 object, ULONG64 frame);

/* wait.c: a routine was called with Wait = TRUE, and no wait has followed (EVT-4). Every checked routine asks. */
VOID ViCheckWaitFollows(ULONG64 frame);

/* contract.c: boot CPU, once. */
VOID ViFindContractTargets(VOID);

/* order.c: under the table's lock. Nodes are entries of the table. */
#define VI_NO_EDGE 0xffffu
BOOLEAN ViAddOrder(ULONG held, ULONG wanted, const VI_REQUEST *holder, const VI_REQUEST *request,
                   VF_VIOLATION *violation); /* FALSE: it closes a cycle, which the violation then shows */
VOID ViDropOrder(ULONG node);
VOID ViForgetOrder(VOID);
ULONG64 ViLockAddress(ULONG node);
ULONG *ViFirstEdge(ULONG node);
#define VI_LOCKS 1024
