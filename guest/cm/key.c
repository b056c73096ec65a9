/* SPDX-License-Identifier: Apache-2.0 */
/* Keys: the objects, and their places in the tree. */
#include "cmp.h"

#include "../include/export.h"
#include "../include/mutant.h"

static FAST_MUTEX CmpLock;
CMP_KEY *CmpRoot;

/* Its values went when it left the tree. NOLINTNEXTLINE(misc-static-initialization-cycle): an address is a constant in C */
OBJECT_TYPE CmpKeyType = {.Self = &CmpKeyType, .Name = "Key", .Tag = 'yeKC'};
NT_EXPORT_AS(&CmpKeyType, CmKeyObjectType);

VOID CmpAcquire(VOID) {
    ExAcquireFastMutex(&CmpLock);
}

VOID CmpRelease(VOID) {
    ExReleaseFastMutex(&CmpLock);
}

VOID CmpTouch(CMP_KEY *key) {
    KeQuerySystemTime(&key->Written);
}

CMP_KEY *CmpFindChild(const CMP_KEY *parent, PCUNICODE_STRING name) {
    for (LIST_ENTRY *link = parent->Children.Flink; link != &parent->Children; link = link->Flink) {
        CMP_KEY *child = CONTAINING_RECORD(link, CMP_KEY, Sibling);
        if (RtlEqualUnicodeString(&child->Name, name,
                                  !MUTANT(KeyNamesHaveCase, "REG-1", "names of keys are compared with their case"))) {
            return child;
        }
    }
    return NULL;
}

NTSTATUS CmpCreateChild(CMP_KEY *parent, PCUNICODE_STRING name, CMP_KEY **child) {
    if (name->Length == 0 || name->Length > CMP_MAXIMUM_KEY_NAME) {
        return STATUS_INVALID_PARAMETER;
    }
    CMP_KEY *key = ObCreateObject(&CmpKeyType, sizeof *key + name->Length);
    if (key == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    key->Name.Buffer = key->NameText;
    key->Name.MaximumLength = name->Length;
    RtlCopyUnicodeString(&key->Name, name);
    InitializeListHead(&key->Children);
    InitializeListHead(&key->Values);
    CmpTouch(key);
    key->Parent = parent;
    if (parent != NULL) {
        InsertTailList(&parent->Children, &key->Sibling);
        parent->ChildCount++;
        CmpTouch(parent);
    }
    *child = key;
    return STATUS_SUCCESS;
}

static VOID CmpUnlink(CMP_KEY *key) {
    while (!IsListEmpty(&key->Values)) {
        CmpDeleteValue(key, CONTAINING_RECORD(key->Values.Flink, CMP_VALUE, Link));
    }
    RemoveEntryList(&key->Sibling);
    key->Parent->ChildCount--;
    CmpTouch(key->Parent);
    key->Parent = NULL;
    key->Deleted = TRUE;
    ObfDereferenceObject(key); /* the tree's; the last handle's takes its memory */
}

VOID CmpDeleteTree(CMP_KEY *key) {
    CMP_KEY *top = key->Parent;
    while (key != top) { /* the deepest first, without recursion: how deep a tree is, a driver decides */
        CMP_KEY *parent = key->Parent;
        if (!IsListEmpty(&key->Children)) {
            key = CONTAINING_RECORD(key->Children.Flink, CMP_KEY, Sibling);
            continue;
        }
        CmpUnlink(key);
        key = parent;
    }
}

static const WCHAR *const CmpAlways[] = {
    L"Machine\\Hardware\\DeviceMap",
    L"Machine\\System\\CurrentControlSet\\Control",
    L"Machine\\System\\CurrentControlSet\\Services",
    L"Machine\\Software\\Microsoft\\Windows NT\\CurrentVersion",
    L"User\\.Default",
};

static CMP_KEY *CmpAlwaysChild(CMP_KEY *parent, PCUNICODE_STRING name) {
    CMP_KEY *child = parent == NULL ? NULL : CmpFindChild(parent, name);
    NTSTATUS status = child != NULL ? STATUS_SUCCESS : CmpCreateChild(parent, name, &child);
    if (!NT_SUCCESS(status)) {
        KeBugCheckEx(INSTALL_MORE_MEMORY, 0, (ULONG64)name, 7, (ULONG64)status);
    }
    return child;
}

VOID CmInitialize(VOID) {
    UNICODE_STRING name;
    ExInitializeFastMutex(&CmpLock);
    RtlInitUnicodeString(&name, L"Registry");
    CmpRoot = CmpAlwaysChild(NULL, &name);
    for (ULONG i = 0; i < RTL_NUMBER_OF(CmpAlways); i++) {
        UNICODE_STRING rest;
        CMP_KEY *key = CmpRoot;
        RtlInitUnicodeString(&rest, CmpAlways[i]);
        for (name = CmpNextName(&rest); name.Length != 0; name = CmpNextName(&rest)) {
            key = CmpAlwaysChild(key, &name);
        }
    }
}
