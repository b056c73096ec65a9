/* SPDX-License-Identifier: Apache-2.0 */
/* Objects: a header with the count of references before the body. Who takes the last reference away deletes the object. */
#include "ob.h"

#include "../include/export.h"

typedef struct DECLSPEC_ALIGN(16) _OBJECT_HEADER {
    POBJECT_TYPE Type;
    volatile LONG64 References;
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
    return header + 1;
}

LONG_PTR FASTCALL ObfReferenceObject(PVOID Object) {
    /* Relaxed: who adds a reference has one. */
    return __atomic_add_fetch(&ObpHeader(Object)->References, 1, __ATOMIC_RELAXED);
}
NT_EXPORT(ObfReferenceObject);

LONG_PTR FASTCALL ObfDereferenceObject(PVOID Object) {
    OBJECT_HEADER *header = ObpHeader(Object);
    /* Release what was done to it, acquire what others did, for the one that deletes it. */
    LONG64 left = __atomic_sub_fetch(&header->References, 1, __ATOMIC_ACQ_REL);
    if (left == 0) {
        POBJECT_TYPE type = header->Type;
        if (type->Delete != NULL) {
            type->Delete(Object);
        }
        ExFreePoolWithTag(header, type->Tag);
    } else if (left < 0) {
        KeBugCheckEx(REFERENCE_BY_POINTER, (ULONG64)header->Type, (ULONG64)Object, 2, (ULONG64)left);
    }
    return left;
}
NT_EXPORT(ObfDereferenceObject);

POBJECT_TYPE ObpTypeOf(PVOID object) {
    return ObpHeader(object)->Type;
}
