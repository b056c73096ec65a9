/* SPDX-License-Identifier: Apache-2.0 */
/* What a driver keeps with its driver object: extensions by key, and routines to be called again once DriverEntry is over. */
#include "iop.h"

#define POOL_TAG_EXTENSION 'xEvD'

typedef struct _IOP_EXTENSION {
    SINGLE_LIST_ENTRY Entry;
    PVOID Key;
    __attribute__((aligned(16))) UCHAR Bytes[];
} IOP_EXTENSION;

static KSPIN_LOCK IopExtensionLock; /* the lists of all drivers */

/* The lock held. */
static IOP_EXTENSION *IopFindExtension(PDRIVER_OBJECT driver, PVOID key) {
    for (PSINGLE_LIST_ENTRY entry = IopExtensionsOf(driver)->Next; entry != NULL; entry = entry->Next) {
        IOP_EXTENSION *extension = CONTAINING_RECORD(entry, IOP_EXTENSION, Entry);
        if (extension->Key == key) {
            return extension;
        }
    }
    return NULL;
}

NTSTATUS NTAPI IoAllocateDriverObjectExtension(PDRIVER_OBJECT DriverObject, PVOID ClientIdentificationAddress,
                                               ULONG DriverObjectExtensionSize, PVOID *DriverObjectExtension) {
    IOP_EXTENSION *extension =
        ExAllocatePoolWithTag(NonPagedPool, sizeof *extension + DriverObjectExtensionSize, POOL_TAG_EXTENSION);
    *DriverObjectExtension = NULL;
    if (extension == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    RtlZeroMemory(extension, sizeof *extension + DriverObjectExtensionSize);
    extension->Key = ClientIdentificationAddress;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&IopExtensionLock);
    BOOLEAN taken = IopFindExtension(DriverObject, ClientIdentificationAddress) != NULL;
    if (!taken) {
        PushEntryList(IopExtensionsOf(DriverObject), &extension->Entry);
    }
    KeReleaseSpinLock(&IopExtensionLock, irql);
    if (taken) {
        ExFreePoolWithTag(extension, POOL_TAG_EXTENSION);
        return STATUS_OBJECT_NAME_COLLISION;
    }
    *DriverObjectExtension = extension->Bytes;
    return STATUS_SUCCESS;
}
NT_EXPORT(IoAllocateDriverObjectExtension);

PVOID NTAPI IoGetDriverObjectExtension(PDRIVER_OBJECT DriverObject, PVOID ClientIdentificationAddress) {
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&IopExtensionLock);
    IOP_EXTENSION *extension = IopFindExtension(DriverObject, ClientIdentificationAddress);
    KeReleaseSpinLock(&IopExtensionLock, irql);
    return extension != NULL ? extension->Bytes : NULL;
}
NT_EXPORT(IoGetDriverObjectExtension);

VOID IopFreeExtensions(PDRIVER_OBJECT driver) {
    PSINGLE_LIST_ENTRY entry;
    while ((entry = PopEntryList(IopExtensionsOf(driver))) != NULL) { /* nobody else knows the driver any more */
        ExFreePoolWithTag(CONTAINING_RECORD(entry, IOP_EXTENSION, Entry), POOL_TAG_EXTENSION);
    }
}
