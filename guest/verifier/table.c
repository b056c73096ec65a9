/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of each lock: kind, holders, at which IRQLs it is taken and held. The table is of fixed size and always there,
 * hashed by address in sets of eight; in a full set the lock that was longest unused makes room. A lock on a stack is
 * forgotten when nobody holds it: the next one at its address is another.
 */
#include "vi.h"

#include "../include/mutant.h"
#include "../mm/mi.h"

#define SET_WAYS  8
#define LOCK_SETS (VI_LOCKS / SET_WAYS)

typedef struct _VI_LOCK {
    ULONG64 Address; /* 0: unused */
    ULONG64 LastUse;
    VI_KIND Kind;
    ULONG Holders;
    ULONG HolderCpu;
    PKTHREAD HolderThread;
    ULONG FirstEdge; /* of its successors in the order, VI_NO_EDGE: none */
    KIRQL LowestHeld;
    KIRQL HighestTaken;
    BOOLEAN Initialized;
    VF_SITE Lowest; /* where it was held at the lowest IRQL, and taken at the highest */
    VF_SITE Highest;
} VI_LOCK;

static VI_LOCK ViLocks[VI_LOCKS];
static KSPIN_LOCK ViTableLock; /* at HIGH_LEVEL; guards the table and the order */
static ULONG64 ViUses;
static ULONG ViPoolLocks; /* entries whose lock is in pool: while there is none, freeing need not look */

ULONG64 ViLockAddress(ULONG node) {
    return ViLocks[node].Address;
}

ULONG *ViFirstEdge(ULONG node) {
    return &ViLocks[node].FirstEdge;
}

static VI_LOCK *ViSetOf(ULONG64 address) {
    /* Multiplicative hashing by the golden ratio: locks lie at regular distances. */
    return &ViLocks[((address >> 2) * 0x9e3779b97f4a7c15ull >> 40) % LOCK_SETS * SET_WAYS];
}

static VI_LOCK *ViFind(ULONG64 address) {
    VI_LOCK *set = ViSetOf(address);
    for (ULONG i = 0; i < SET_WAYS; i++) {
        if (set[i].Address == address) {
            return &set[i];
        }
    }
    return NULL;
}

static BOOLEAN ViIsPool(ULONG64 address) {
    return address >= MI_DIRECT_MAP && address < MI_KERNEL_BASE;
}

static VOID ViForget(VI_LOCK *lock) {
    ViDropOrder((ULONG)(lock - ViLocks));
    ViPoolLocks -= ViIsPool(lock->Address);
    lock->Address = 0;
}

/* NULL: the set is full of locks that are held. */
static VI_LOCK *ViInsert(ULONG64 address, VI_KIND kind) {
    VI_LOCK *set = ViSetOf(address);
    VI_LOCK *chosen = NULL;
    for (ULONG i = 0; i < SET_WAYS; i++) {
        VI_LOCK *way = &set[i];
        if (way->Address == 0) {
            chosen = way;
            break;
        }
        if (way->Holders == 0 && (chosen == NULL || way->LastUse < chosen->LastUse)) {
            chosen = way;
        }
    }
    if (chosen == NULL) {
        return NULL;
    }
    if (chosen->Address != 0) {
        ViForget(chosen);
    }
    RtlZeroMemory(chosen, sizeof *chosen);
    chosen->Address = address;
    chosen->Kind = kind;
    chosen->FirstEdge = VI_NO_EDGE;
    chosen->LowestHeld = HIGH_LEVEL + 1;
    ViPoolLocks += ViIsPool(address);
    return chosen;
}

/* Neither pool nor an image: a stack. */
static BOOLEAN ViIsOnStack(ULONG64 address) {
    if (address < MI_SYSTEM_BASE) {
        return FALSE;
    }
    for (ULONG i = 0; i < MAXIMUM_IMAGES; i++) {
        if (LdrImages[i].Base != 0 && address - LdrImages[i].Base < LdrImages[i].Size) {
            return FALSE;
        }
    }
    return TRUE;
}

static VOID ViLeaveAndReport(KIRQL irql, VF_VIOLATION *violation) {
    KiReleaseLockFromHigh(&ViTableLock, irql);
    ViReportSites(violation);
}

static VOID ViDescribe(VF_VIOLATION *violation, ULONG64 sub, ULONG64 lock, ULONG64 more, const char *text,
                       const VI_REQUEST *request) {
    RtlZeroMemory(violation, FIELD_OFFSET(VF_VIOLATION, Site));
    violation->Code = DRIVER_VERIFIER_DETECTED_VIOLATION;
    violation->Parameter[0] = sub;
    violation->Parameter[1] = lock;
    violation->Parameter[2] = more;
    violation->Text = text;
    violation->SiteCount = 1;
    ViFillSite(&violation->Site[0], request);
}

/*
 * SPIN-19: a lock has one IRQL. Whoever takes it at a higher one than somebody holds it at can interrupt that holder on its own
 * CPU, and wait for ever. The documents have no first parameter for it; 0x1008 (a routine that does not fit the lock) is nearest.
 */
static BOOLEAN ViCheckIrqlOfLock(VI_LOCK *lock, const VI_REQUEST *request, VF_VIOLATION *violation) {
    if (request->HeldIrql < lock->LowestHeld) {
        lock->LowestHeld = request->HeldIrql;
        ViFillSite(&lock->Lowest, request);
    }
    if (!request->Tries && request->Irql >= lock->HighestTaken) {
        lock->HighestTaken = request->Irql;
        ViFillSite(&lock->Highest, request);
    }
    if (lock->HighestTaken <= lock->LowestHeld ||
        MUTANT(VfAnyIrqlOfLock, "SPIN-19", "the verifier does not compare the IRQLs that a lock is taken at")) {
        return TRUE;
    }
    ViDescribe(violation, VI_ACQUIRE_MISMATCH, lock->Address, (ULONG64)lock->HighestTaken << 8 | lock->LowestHeld,
               "a spin lock is taken at an IRQL above one that it is held at: an interrupt could wait for its own CPU",
               request);
    violation->Site[0] = lock->Highest;
    violation->Site[1] = lock->Lowest;
    violation->SiteCount = 2;
    return FALSE;
}

static BOOLEAN ViCheckOrder(VI_LOCK *lock, const VI_REQUEST *request, VF_VIOLATION *violation) {
    const VI_REQUEST *held;
    BOOLEAN waits = request->Kind >= ViMutex;
    for (ULONG i = 0; (held = waits ? ViOwned(i) : ViHeld(i)) != NULL; i++) {
        VI_LOCK *holder = ViFind(held->Lock);
        if (holder != NULL && holder != lock &&
            !ViAddOrder((ULONG)(holder - ViLocks), (ULONG)(lock - ViLocks), held, request, violation)) {
            return FALSE;
        }
    }
    return TRUE;
}

static const char *ViMixed(VI_KIND known) {
    return known == ViQueued   ? "a lock of the in-stack queued routines is taken by another kind of routine"
        : known == ViReadWrite ? "a reader/writer spin lock is taken by another kind of routine"
        : known >= ViMutex     ? "a mutex or a resource is taken by another kind of routine"
        : known == ViInterrupt ? "an interrupt spin lock is taken by an executive routine"
                               : "an executive spin lock is taken by another kind of routine";
}

static BOOLEAN ViKindFits(VI_KIND known, VI_KIND asked) {
    return known == asked || known == ViUnknown ||
        MUTANT(VfMixesKinds, "QSL-5", "the verifier lets one lock be taken by routines of two kinds");
}

/* The value that a lock has before its first use, as far as its kind's storage goes. */
static ULONG64 ViValue(const VI_REQUEST *request) {
    return request->Kind == ViReadWrite ? *(const volatile ULONG *)request->Lock
                                        : *(const volatile ULONG64 *)request->Lock;
}

VOID ViBeforeAcquire(const VI_REQUEST *request) {
    VF_VIOLATION violation;
    BOOLEAN has_irql = request->Kind < ViInterrupt; /* of its own: SPIN-19 */
    if (has_irql) {
        ViCheckResident(request->Lock, VI_FRAME);
    }
    if (request->Kind <= ViInterrupt && ViFindHeld(request->Lock) != NULL && !request->Tries &&
        !MUTANT(VfLetsRecursion, "SPIN-8", "the verifier does not see that a lock is held already")) {
        if (request->Kind == ViReadWrite) {
            ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, VI_SELF_DEADLOCK, request->Lock, 0, 0,
                     "a reader/writer spin lock is acquired by the CPU that holds it", request);
        }
        ViReport(SPIN_LOCK_ALREADY_OWNED, request->Lock, request->Irql, 0, 0,
                 "a spin lock is acquired by the CPU that holds it", request);
    }
    KIRQL irql = KiAcquireLockAtHigh(&ViTableLock);
    VI_LOCK *lock = ViFind(request->Lock);
    if (lock == NULL) {
        /*
         * Whoever had taken it would have been seen here: a word that is not 0 is no free lock. Except on a stack: there it may
         * have been forgotten by its last holder, who is about to make it 0.
         */
        ULONG64 value = !has_irql || ViIsOnStack(request->Lock) ? 0 : ViValue(request);
        if (value != 0) {
            ViDescribe(&violation, VI_UNINITIALIZED, request->Lock, value,
                       "a spin lock is acquired that was not initialised: its storage is not 0", request);
            ViLeaveAndReport(irql, &violation);
        }
        lock = ViInsert(request->Lock, request->Kind);
    } else if (!ViKindFits(lock->Kind, request->Kind)) {
        ViDescribe(&violation, VI_ACQUIRE_MISMATCH, request->Lock, 0, ViMixed(lock->Kind), request);
        violation.Site[1] = lock->Lowest;
        violation.SiteCount = 2;
        ViLeaveAndReport(irql, &violation);
    }
    if (lock != NULL) {
        lock->LastUse = ++ViUses;
        lock->Kind = request->Kind;
        if ((!request->Tries && !ViCheckOrder(lock, request, &violation)) ||
            (has_irql && !ViCheckIrqlOfLock(lock, request, &violation))) {
            ViLeaveAndReport(irql, &violation);
        }
    }
    KiReleaseLockFromHigh(&ViTableLock, irql);
}

VOID ViLearnKind(const VI_REQUEST *request) {
    KIRQL irql = KiAcquireLockAtHigh(&ViTableLock);
    VI_LOCK *lock = ViFind(request->Lock);
    if (lock == NULL) {
        lock = ViInsert(request->Lock, request->Kind);
    }
    if (lock != NULL) {
        lock->LastUse = ++ViUses;
        lock->Kind = request->Kind;
        ViFillSite(&lock->Lowest, request);
    }
    KiReleaseLockFromHigh(&ViTableLock, irql);
}

VOID ViAfterAcquire(const VI_REQUEST *request) {
    KIRQL irql = KiAcquireLockAtHigh(&ViTableLock);
    VI_LOCK *lock = ViFind(request->Lock);
    if (lock == NULL) { /* on a stack, and its last holder gave it back while this CPU waited */
        lock = ViInsert(request->Lock, request->Kind);
    }
    if (lock != NULL) {
        lock->Holders++;
        lock->HolderCpu = KiCurrentPrcb()->Number;
        lock->HolderThread = KeGetCurrentThread();
    }
    KiReleaseLockFromHigh(&ViTableLock, irql);
    if (request->Kind < ViMutex) {
        ViPushHeld(request);
    }
}

VOID ViBeforeRelease(const VI_REQUEST *held) {
    KIRQL irql = KiAcquireLockAtHigh(&ViTableLock);
    VI_LOCK *lock = ViFind(held->Lock);
    if (lock != NULL && lock->Holders != 0) {
        lock->Holders--;
        if (lock->Holders == 0 && ViIsOnStack(held->Lock)) {
            ViForget(lock);
        }
    }
    KiReleaseLockFromHigh(&ViTableLock, irql);
}

BOOLEAN ViIsHeldElsewhere(ULONG64 address, ULONG *cpu) {
    KIRQL irql = KiAcquireLockAtHigh(&ViTableLock);
    const VI_LOCK *lock = ViFind(address);
    BOOLEAN held = lock != NULL && lock->Holders != 0;
    *cpu = held ? lock->HolderCpu : 0;
    KiReleaseLockFromHigh(&ViTableLock, irql);
    return held;
}

VOID ViInitializeLock(PKSPIN_LOCK address, ULONG64 frame) {
    VI_REQUEST request = ViRequest((ULONG64)address, ViSpin, ViAtDpc, frame);
    VF_VIOLATION violation;
    ViCheckResident(request.Lock, frame);
    if (ViIsOnStack(request.Lock)) {
        return;
    }
    KIRQL irql = KiAcquireLockAtHigh(&ViTableLock);
    VI_LOCK *lock = ViFind(request.Lock);
    if (lock != NULL && (lock->Initialized || lock->Holders != 0)) {
        ViDescribe(&violation, VI_INITIALIZED_TWICE, request.Lock, 0, "a spin lock is initialised a second time",
                   &request);
        ViLeaveAndReport(irql, &violation);
    }
    if (lock != NULL) { /* known from before its storage was given to something else */
        ViForget(lock);
    }
    lock = ViInsert(request.Lock, ViUnknown);
    if (lock != NULL) {
        lock->Initialized = TRUE;
        lock->LastUse = ++ViUses;
    }
    KiReleaseLockFromHigh(&ViTableLock, irql);
}

VOID ViReleaseStorage(ULONG64 address, ULONG64 bytes) {
    ViForgetRemoveLocks(address, bytes);
    if (ViIsPool(address) && __atomic_load_n(&ViPoolLocks, __ATOMIC_RELAXED) == 0) {
        return;
    }
    KIRQL irql = KiAcquireLockAtHigh(&ViTableLock);
    for (ULONG i = 0; i < VI_LOCKS; i++) {
        VI_LOCK *lock = &ViLocks[i];
        if (lock->Address == 0 || lock->Address - address >= bytes) {
            continue;
        }
        if (lock->Holders != 0) {
            VI_REQUEST request = ViRequest(lock->Address, lock->Kind, ViAtDpc, VI_FRAME);
            VF_VIOLATION violation;
            ULONG64 owner = lock->Kind < ViMutex ? (ULONG64)&KiPcr[lock->HolderCpu].Prcb : (ULONG64)lock->HolderThread;
            ViDescribe(&violation, VI_FREED_LOCK, lock->Address, owner,
                       "the storage of a lock is given back while the lock is held", &request);
            ViLeaveAndReport(irql, &violation);
        }
        ViForget(lock);
    }
    KiReleaseLockFromHigh(&ViTableLock, irql);
}

VOID ViForgetLocks(VOID) {
    KIRQL irql = KiAcquireLockAtHigh(&ViTableLock);
    RtlZeroMemory(ViLocks, sizeof ViLocks);
    ViPoolLocks = 0;
    ViForgetOrder();
    KiReleaseLockFromHigh(&ViTableLock, irql);
}
