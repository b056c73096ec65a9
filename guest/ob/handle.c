/* SPDX-License-Identifier: Apache-2.0 */
/* The handle table: handle 4 * (n + 1) is entry n. An entry holds a reference to its object. */
#include "obp.h"

#include "../include/export.h"
#include "../include/highlock.h"

#define OBP_HANDLES 4096

static PVOID ObpHandles[OBP_HANDLES];
static ULONG ObpHandleCount, ObpHandleHint;
static KSPIN_LOCK ObpHandleLock;

ULONG ObCountHandles(VOID) {
    return __atomic_load_n(&ObpHandleCount, __ATOMIC_RELAXED);
}

NTSTATUS ObCreateHandle(PVOID object, PHANDLE handle) {
    NTSTATUS status = STATUS_INSUFFICIENT_RESOURCES;
    ObpAddHandle(object);
    KIRQL irql = KiAcquireLockAtHigh(&ObpHandleLock);
    for (ULONG tried = 0; tried < OBP_HANDLES; tried++) {
        ULONG index = (ObpHandleHint + tried) % OBP_HANDLES;
        if (ObpHandles[index] == NULL) {
            ObpHandles[index] = object;
            ObpHandleHint = index + 1;
            ObpHandleCount++;
            *handle = (HANDLE)(ULONG64)((index + 1) * sizeof(ULONG));
            status = STATUS_SUCCESS;
            break;
        }
    }
    KiReleaseLockFromHigh(&ObpHandleLock, irql);
    if (!NT_SUCCESS(status)) {
        ObpDropHandle(object);
    }
    return status;
}

/* The lock held. NULL: no such handle. */
static PVOID *ObpEntry(HANDLE handle) {
    ULONG64 value = (ULONG64)handle;
    ULONG64 index = value / sizeof(ULONG) - 1;
    if (value % sizeof(ULONG) != 0 || index >= OBP_HANDLES || ObpHandles[index] == NULL) {
        return NULL;
    }
    return &ObpHandles[index];
}

NTSTATUS NTAPI ObReferenceObjectByHandle(HANDLE Handle, ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType,
                                         KPROCESSOR_MODE AccessMode, PVOID *Object,
                                         POBJECT_HANDLE_INFORMATION HandleInformation) {
    UNREFERENCED_PARAMETER(DesiredAccess); /* everything here is the kernel's own */
    UNREFERENCED_PARAMETER(AccessMode);
    NTSTATUS status = STATUS_INVALID_HANDLE;
    KIRQL irql = KiAcquireLockAtHigh(&ObpHandleLock);
    PVOID *entry = ObpEntry(Handle);
    if (entry != NULL) {
        status =
            ObjectType == NULL || ObTypeOf(*entry) == ObjectType->Self ? STATUS_SUCCESS : STATUS_OBJECT_TYPE_MISMATCH;
    }
    if (NT_SUCCESS(status)) {
        *Object = *entry;
        ObfReferenceObject(*entry);
    }
    KiReleaseLockFromHigh(&ObpHandleLock, irql);
    if (NT_SUCCESS(status) && HandleInformation != NULL) {
        HandleInformation->HandleAttributes = OBJ_KERNEL_HANDLE;
        HandleInformation->GrantedAccess = GENERIC_ALL;
    }
    return status;
}
NT_EXPORT(ObReferenceObjectByHandle);

NTSTATUS NTAPI ZwClose(HANDLE Handle) {
    PVOID object = NULL;
    KIRQL irql = KiAcquireLockAtHigh(&ObpHandleLock);
    PVOID *entry = ObpEntry(Handle);
    if (entry != NULL) {
        object = *entry;
        *entry = NULL;
        ObpHandleCount--;
    }
    KiReleaseLockFromHigh(&ObpHandleLock, irql);
    if (object == NULL) {
        return STATUS_INVALID_HANDLE;
    }
    ObpDropHandle(object);
    return STATUS_SUCCESS;
}
NT_EXPORT(ZwClose);
