/* SPDX-License-Identifier: Apache-2.0 */
/* Objects: a header with the count of references before the body. Who takes the last reference away deletes the object. */
#include "obp.h"

#include "../include/export.h"
#include "../include/mutant.h"

typedef struct DECLSPEC_ALIGN(16) _OBJECT_HEADER {
    POBJECT_TYPE Type;
    volatile LONG64 References;
    volatile LONG64 Handles;
    SINGLE_LIST_ENTRY Deferred; /* it waits to be deleted at PASSIVE_LEVEL */
} OBJECT_HEADER;

static OBJECT_HEADER *ObpHeader(PVOID object) {
    return (OBJECT_HEADER *)object - 1;
}

PVOID ObCreateObject(POBJECT_TYPE type, SIZE_T bytes) {
    OBJECT_HEADER *header = ExAllocatePoolWithTag(NonPagedPool, sizeof *header + bytes, type->Tag);
    if (header == NULL) {
        return NULL;
    }
    RtlZeroMemory(header, sizeof *header + bytes);
    header->Type = type;
    header->References = 1;
    __atomic_add_fetch(&type->Count, 1, __ATOMIC_RELAXED); /* a figure, it orders nothing */
    return header + 1;
}

LONG_PTR FASTCALL ObfReferenceObject(PVOID Object) {
    /* Relaxed: who adds a reference has one. */
    return __atomic_add_fetch(&ObpHeader(Object)->References, 1, __ATOMIC_RELAXED);
}
NT_EXPORT(ObfReferenceObject);

static VOID ObpDelete(OBJECT_HEADER *header) {
    POBJECT_TYPE type = header->Type;
    if (type->Delete != NULL) {
        type->Delete(header + 1);
    }
    ExFreePoolWithTag(header, type->Tag);
    __atomic_sub_fetch(&type->Count, 1, __ATOMIC_RELAXED);
}

/* Objects that wait for PASSIVE_LEVEL: a stack that anyone pushes to, and that who deletes takes as a whole. */
static PSINGLE_LIST_ENTRY ObpDeferred;
static LONG ObpDeferredQueued; /* the work item is in its queue */
static VOID NTAPI ObpDeleteDeferred(PVOID Parameter);
static WORK_QUEUE_ITEM ObpDeferredWork = {.WorkerRoutine = ObpDeleteDeferred};
static KEVENT ObpDeferredFree; /* set: nobody is deleting */

VOID ObInitialize(VOID) {
    KeInitializeEvent(&ObpDeferredFree, SynchronizationEvent, TRUE);
}

VOID ObDeleteDeferred(VOID) {
    /* An event, not a mutex: a driver's close routine runs in here, as in any thread at PASSIVE_LEVEL with APCs on. */
    KeWaitForSingleObject(&ObpDeferredFree, Executive, KernelMode, FALSE, NULL);
    /* Acquire: the entries were linked before. */
    PSINGLE_LIST_ENTRY entry = __atomic_exchange_n(&ObpDeferred, NULL, __ATOMIC_ACQUIRE);
    while (entry != NULL) {
        OBJECT_HEADER *header = CONTAINING_RECORD(entry, OBJECT_HEADER, Deferred);
        entry = entry->Next;
        ObpDelete(header);
    }
    KeSetEvent(&ObpDeferredFree, IO_NO_INCREMENT, FALSE);
}

static VOID NTAPI ObpDeleteDeferred(PVOID Parameter) {
    UNREFERENCED_PARAMETER(Parameter);
    /* Sequentially consistent, as the exchange in ObpDefer: what is pushed too late for this one finds the item free to be queued. */
    __atomic_store_n(&ObpDeferredQueued, 0, __ATOMIC_SEQ_CST);
    ObDeleteDeferred();
}

static VOID ObpDefer(OBJECT_HEADER *header) {
    header->Deferred.Next = __atomic_load_n(&ObpDeferred, __ATOMIC_RELAXED);
    /* Sequentially consistent: with what was done to it, and before the look at the item. */
    while (!__atomic_compare_exchange_n(&ObpDeferred, &header->Deferred.Next, &header->Deferred, FALSE,
                                        __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
    }
    if (__atomic_exchange_n(&ObpDeferredQueued, 1, __ATOMIC_SEQ_CST) == 0) {
        ExQueueWorkItem(&ObpDeferredWork, DelayedWorkQueue);
    }
}

LONG_PTR FASTCALL ObfDereferenceObject(PVOID Object) {
    OBJECT_HEADER *header = ObpHeader(Object);
    /* Release what was done to it, acquire what others did, for the one that deletes it. */
    LONG64 left = __atomic_sub_fetch(&header->References, 1, __ATOMIC_ACQ_REL);
    if (left == 0 && header->Type->Passive &&
        !MUTANT(ClosedAnywhere, "FILE-3", "a file whose last reference goes at DISPATCH_LEVEL is closed there") &&
        KeGetCurrentIrql() != PASSIVE_LEVEL) {
        ObpDefer(header);
    } else if (left == 0) {
        ObpDelete(header);
    } else if (left < 0) {
        KeBugCheckEx(REFERENCE_BY_POINTER, (ULONG64)header->Type, (ULONG64)Object, 2, (ULONG64)left);
    }
    return left;
}
NT_EXPORT(ObfDereferenceObject);

VOID NTAPI ObDereferenceObjectDeferDelete(PVOID Object) {
    ObfDereferenceObject(Object);
}
NT_EXPORT(ObDereferenceObjectDeferDelete);

POBJECT_TYPE ObTypeOf(PVOID object) {
    return ObpHeader(object)->Type;
}

NTSTATUS NTAPI ObReferenceObjectByPointer(PVOID Object, ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType,
                                          KPROCESSOR_MODE AccessMode) {
    UNREFERENCED_PARAMETER(DesiredAccess); /* everything here is the kernel's own */
    UNREFERENCED_PARAMETER(AccessMode);
    if (ObjectType != NULL && ObTypeOf(Object) != ObjectType->Self) {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    ObfReferenceObject(Object);
    return STATUS_SUCCESS;
}
NT_EXPORT(ObReferenceObjectByPointer);

VOID ObpAddHandle(PVOID object) {
    ObfReferenceObject(object);
    __atomic_add_fetch(&ObpHeader(object)->Handles, 1, __ATOMIC_RELAXED); /* as for references */
}

VOID ObpDropHandle(PVOID object) {
    /* Both: what was done through the other handles comes before the object is closed. */
    if (__atomic_sub_fetch(&ObpHeader(object)->Handles, 1, __ATOMIC_ACQ_REL) == 0 && ObTypeOf(object)->Close != NULL) {
        ObTypeOf(object)->Close(object);
    }
    ObfDereferenceObject(object);
}
