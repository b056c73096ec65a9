/* SPDX-License-Identifier: Apache-2.0 */
/* Fast and guarded mutexes, executive resources, rundown protection: the contracts (see ../nt.h). */
#pragma once

#include "../ddk.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/*
 * Fast mutexes (ex/fastmutex.c). IRQL <= APC_LEVEL in, APC_LEVEL while held, the release goes back to the IRQL of the
 * acquisition. Waits. Not recursive: its owner would wait for ever. Released by its owner. TryTo does not wait; FALSE: not
 * held, and the IRQL is as before. Unsafe: the IRQL stays; APC_LEVEL, or in a critical or guarded region.
 */
VOID FASTCALL ExAcquireFastMutex(PFAST_MUTEX FastMutex);
VOID FASTCALL ExReleaseFastMutex(PFAST_MUTEX FastMutex);
BOOLEAN FASTCALL ExTryToAcquireFastMutex(PFAST_MUTEX FastMutex);
VOID FASTCALL ExAcquireFastMutexUnsafe(PFAST_MUTEX FastMutex);
VOID FASTCALL ExReleaseFastMutexUnsafe(PFAST_MUTEX FastMutex);

/*
 * Guarded mutexes (ke/guardedmutex.c). IRQL <= APC_LEVEL, which stays; its holder is in a guarded region. Otherwise as fast
 * mutexes. Unsafe: the caller is at APC_LEVEL or in a guarded region already.
 */
VOID FASTCALL KeInitializeGuardedMutex(PKGUARDED_MUTEX GuardedMutex);
VOID FASTCALL KeAcquireGuardedMutex(PKGUARDED_MUTEX GuardedMutex);
VOID FASTCALL KeReleaseGuardedMutex(PKGUARDED_MUTEX GuardedMutex);
BOOLEAN FASTCALL KeTryToAcquireGuardedMutex(PKGUARDED_MUTEX GuardedMutex);
VOID FASTCALL KeAcquireGuardedMutexUnsafe(PKGUARDED_MUTEX GuardedMutex);
VOID FASTCALL KeReleaseGuardedMutexUnsafe(PKGUARDED_MUTEX GuardedMutex);

/*
 * Executive resources (ex/resource.c): one exclusive owner or several shared ones. IRQL <= APC_LEVEL, normal kernel APCs held
 * back from the acquisition to the release. Wait FALSE: FALSE where the caller would have to wait. A thread that
 * holds it exclusively acquires it again either way, one that shares it shares it again; one that shares it and wants it
 * exclusively waits for itself for ever. Every acquisition has a release.
 *
 * Who may share while it is shared: by SharedLite, if nobody waits for exclusive access or the caller shares already; by
 * StarveExclusive, anybody; by WaitForExclusive, only if nobody waits for exclusive access. When an exclusive owner lets it go
 * all who wait to share come in, and before the next exclusive one; when the last who shares does, the exclusive one that
 * waits longest. So neither kind starves.
 */
NTSTATUS NTAPI ExInitializeResourceLite(PERESOURCE Resource);
NTSTATUS NTAPI ExReinitializeResourceLite(PERESOURCE Resource); /* nobody owns it or waits for it */
NTSTATUS NTAPI ExDeleteResourceLite(PERESOURCE Resource);       /* the same; PASSIVE_LEVEL */
BOOLEAN NTAPI ExAcquireResourceExclusiveLite(PERESOURCE Resource, BOOLEAN Wait);
BOOLEAN NTAPI ExAcquireResourceSharedLite(PERESOURCE Resource, BOOLEAN Wait);
BOOLEAN NTAPI ExAcquireSharedStarveExclusive(PERESOURCE Resource, BOOLEAN Wait);
BOOLEAN NTAPI ExAcquireSharedWaitForExclusive(PERESOURCE Resource, BOOLEAN Wait);
/* The caller owns it exclusively; who waits to share comes in. */
VOID NTAPI ExConvertExclusiveToSharedLite(PERESOURCE Resource);
/* IRQL <= DISPATCH_LEVEL. Not owned by the thread: bugcheck 0xE3. */
VOID FASTCALL ExReleaseResourceLite(PERESOURCE Resource);
VOID NTAPI ExReleaseResourceForThreadLite(PERESOURCE Resource, ERESOURCE_THREAD ResourceThreadId);
/* The caller's acquisitions are the pointer's from now on, two low bits set, and released by ForThread. */
VOID NTAPI ExSetResourceOwnerPointer(PERESOURCE Resource, PVOID OwnerPointer);
/* IRQL <= DISPATCH_LEVEL. By the caller; Shared counts acquisitions of both kinds. */
BOOLEAN NTAPI ExIsResourceAcquiredExclusiveLite(PERESOURCE Resource);
ULONG NTAPI ExIsResourceAcquiredSharedLite(PERESOURCE Resource);
/* IRQL <= DISPATCH_LEVEL. */
ULONG NTAPI ExGetExclusiveWaiterCount(PERESOURCE Resource);
ULONG NTAPI ExGetSharedWaiterCount(PERESOURCE Resource);
/* In one: KeEnterCriticalRegion and the acquisition, which waits; the release and KeLeaveCriticalRegion. */
PVOID NTAPI ExEnterCriticalRegionAndAcquireResourceExclusive(PERESOURCE Resource);
PVOID NTAPI ExEnterCriticalRegionAndAcquireResourceShared(PERESOURCE Resource);
PVOID NTAPI ExEnterCriticalRegionAndAcquireSharedWaitForExclusive(PERESOURCE Resource);
VOID FASTCALL ExReleaseResourceAndLeaveCriticalRegion(PERESOURCE Resource);

/*
 * Rundown protection (ex/rundown.c). Acquire: any IRQL; FALSE: the rundown has begun, and the object must not be touched.
 * Release: IRQL <= DISPATCH_LEVEL. Wait: IRQL <= APC_LEVEL, once; returns when all protection is released, and lets no more
 * be acquired. Completed, after it, and ReInitialize, any IRQL, by one caller.
 */
VOID FASTCALL ExInitializeRundownProtection(PEX_RUNDOWN_REF RunRef);
VOID FASTCALL ExReInitializeRundownProtection(PEX_RUNDOWN_REF RunRef);
BOOLEAN FASTCALL ExAcquireRundownProtection(PEX_RUNDOWN_REF RunRef);
BOOLEAN FASTCALL ExAcquireRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count);
VOID FASTCALL ExReleaseRundownProtection(PEX_RUNDOWN_REF RunRef);
VOID FASTCALL ExReleaseRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count);
VOID FASTCALL ExWaitForRundownProtectionRelease(PEX_RUNDOWN_REF RunRef);
VOID FASTCALL ExRundownCompleted(PEX_RUNDOWN_REF RunRef);

/* NOLINTEND(readability-redundant-declaration) */
