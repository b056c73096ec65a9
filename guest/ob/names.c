/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of objects: one list of full paths. A path is brought into one form first (the several spellings of \??), so that
 * a name is compared as a whole; the directories are those that NT has from the start.
 */
#include "ob.h"

#include "../include/mutant.h"

#define OBP_MAXIMUM_PATH  1024 /* bytes of a path in its one form */
#define OBP_MAXIMUM_LINKS 32   /* one after the other: beyond that they go in circles */

typedef struct _OBP_NAME {
    LIST_ENTRY Entry;
    PVOID Object;          /* NULL: a link */
    UNICODE_STRING Target; /* of a link, in its one form */
    UNICODE_STRING Path;
    WCHAR Text[]; /* of both */
} OBP_NAME;

typedef struct _OBP_PATH {
    UNICODE_STRING String;
    WCHAR Text[OBP_MAXIMUM_PATH / sizeof(WCHAR)];
} OBP_PATH;

/* NOLINTNEXTLINE(misc-static-initialization-cycle): an address is a constant in C */
static LIST_ENTRY ObpNames = {&ObpNames, &ObpNames}; /* with the count under ObpNameLock */
static ULONG ObpNameCount;
static KSPIN_LOCK ObpNameLock;

static const struct {
    PCWSTR Written, Meant;
} ObpSpellings[] = {
    {L"\\\\.\\", L"\\??\\"},        {L"\\\\?\\", L"\\??\\"},        {L"\\DosDevices\\", L"\\??\\"},
    {L"\\GLOBAL\?\?\\", L"\\??\\"}, {L"\\??\\GLOBALROOT\\", L"\\"},
};

static PCWSTR const ObpDirectories[] = {
    L"\\??\\",       L"\\Device\\",     L"\\Driver\\",      L"\\BaseNamedObjects\\", L"\\KernelObjects\\",
    L"\\Callback\\", L"\\FileSystem\\", L"\\ObjectTypes\\",
};

static BOOLEAN ObpSame(WCHAR left, WCHAR right) {
    return left == right ||
        (RtlUpcaseUnicodeChar(left) == RtlUpcaseUnicodeChar(right) &&
         !MUTANT(NamesDifferByCase, "NAME-1", "names that differ by case are different names"));
}

static ULONG ObpLength(PCWSTR text) {
    ULONG length = 0;
    while (text[length] != 0) {
        length++;
    }
    return length;
}

/* Whether a path begins with so many characters. */
static BOOLEAN ObpBegins(PCUNICODE_STRING path, PCWSTR text, ULONG length) {
    if (path->Length / sizeof(WCHAR) < length) {
        return FALSE;
    }
    for (ULONG i = 0; i < length; i++) {
        if (!ObpSame(path->Buffer[i], text[i])) {
            return FALSE;
        }
    }
    return TRUE;
}

static NTSTATUS ObpJoin(OBP_PATH *path, PCWSTR head, ULONG characters, PCWSTR tail, ULONG tail_characters) {
    if ((characters + tail_characters) * sizeof(WCHAR) > sizeof path->Text) {
        return STATUS_OBJECT_NAME_INVALID;
    }
    WCHAR *end = path->Text + characters;
    RtlMoveMemory(end, tail, tail_characters * sizeof(WCHAR)); /* it may lie in the path itself */
    RtlMoveMemory(path->Text, head, characters * sizeof(WCHAR));
    path->String.Buffer = path->Text;
    path->String.Length = (USHORT)((characters + tail_characters) * sizeof(WCHAR));
    path->String.MaximumLength = path->String.Length;
    return STATUS_SUCCESS;
}

/* The one form of a path. name may be path's own string. */
static NTSTATUS ObpNormalise(PCUNICODE_STRING name, OBP_PATH *path) {
    ULONG length = name->Length / sizeof(WCHAR);
    if (length < 2 || name->Length % sizeof(WCHAR) != 0 || name->Buffer[0] != L'\\') {
        return STATUS_OBJECT_NAME_INVALID;
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(ObpSpellings); i++) {
        ULONG written = ObpLength(ObpSpellings[i].Written);
        if (ObpBegins(name, ObpSpellings[i].Written, written)) {
            return ObpJoin(path, ObpSpellings[i].Meant, ObpLength(ObpSpellings[i].Meant), name->Buffer + written,
                           length - written);
        }
    }
    return ObpJoin(path, name->Buffer, 0, name->Buffer, length);
}

/* In a directory that there is, and not the name of one. */
static NTSTATUS ObpCheckPlace(PCUNICODE_STRING path) {
    ULONG length = path->Length / sizeof(WCHAR);
    for (ULONG i = 0; i < RTL_NUMBER_OF(ObpDirectories); i++) {
        ULONG prefix = ObpLength(ObpDirectories[i]);
        if (!ObpBegins(path, ObpDirectories[i], prefix)) {
            continue;
        }
        if (length == prefix) {
            return STATUS_OBJECT_NAME_INVALID;
        }
        for (ULONG at = prefix; at < length; at++) {
            if (path->Buffer[at] == L'\\') {
                return STATUS_OBJECT_PATH_NOT_FOUND; /* it has no directories of its own */
            }
        }
        return STATUS_SUCCESS;
    }
    return STATUS_OBJECT_PATH_NOT_FOUND;
}

/* The lock held. The name that a path is, or begins with: the longest. */
static OBP_NAME *ObpFind(PCUNICODE_STRING path, BOOLEAN whole) {
    OBP_NAME *best = NULL;
    for (PLIST_ENTRY entry = ObpNames.Flink; entry != &ObpNames; entry = entry->Flink) {
        OBP_NAME *name = CONTAINING_RECORD(entry, OBP_NAME, Entry);
        ULONG length = name->Path.Length / sizeof(WCHAR);
        BOOLEAN ends = path->Length == name->Path.Length;
        if (ObpBegins(path, name->Path.Buffer, length) && (ends || (!whole && path->Buffer[length] == L'\\')) &&
            (best == NULL || name->Path.Length > best->Path.Length)) {
            best = name;
        }
    }
    return best;
}

static OBP_NAME *ObpAllocate(PCUNICODE_STRING path, PCUNICODE_STRING target) {
    ULONG more = target != NULL ? target->Length : 0;
    OBP_NAME *name = ExAllocatePoolWithTag(NonPagedPool, sizeof *name + path->Length + more, POOL_TAG_NAME);
    if (name == NULL) {
        return NULL;
    }
    name->Object = NULL;
    name->Path.Buffer = name->Text;
    name->Path.Length = name->Path.MaximumLength = path->Length;
    RtlCopyMemory(name->Text, path->Buffer, path->Length);
    ULONG characters = path->Length / (ULONG)sizeof(WCHAR);
    name->Target.Buffer = name->Text + characters;
    name->Target.Length = name->Target.MaximumLength = (USHORT)more;
    if (more != 0) {
        RtlCopyMemory(name->Target.Buffer, target->Buffer, more);
    }
    return name;
}

static NTSTATUS ObpInsert(PCUNICODE_STRING text, PVOID object, PCUNICODE_STRING target) {
    OBP_PATH path;
    NTSTATUS status = ObpNormalise(text, &path);
    if (NT_SUCCESS(status)) {
        status = ObpCheckPlace(&path.String);
    }
    if (!NT_SUCCESS(status)) {
        return status;
    }
    OBP_NAME *name = ObpAllocate(&path.String, target);
    if (name == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    name->Object = object;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&ObpNameLock);
    BOOLEAN taken = ObpFind(&path.String, TRUE) != NULL;
    if (!taken) {
        InsertTailList(&ObpNames, &name->Entry);
        ObpNameCount++;
    }
    KeReleaseSpinLock(&ObpNameLock, irql);
    if (taken) {
        ExFreePoolWithTag(name, POOL_TAG_NAME);
        return STATUS_OBJECT_NAME_COLLISION;
    }
    return STATUS_SUCCESS;
}

NTSTATUS ObInsertName(PCUNICODE_STRING name, PVOID object) {
    return ObpInsert(name, object, NULL);
}

NTSTATUS ObInsertLink(PCUNICODE_STRING name, PCUNICODE_STRING target) {
    OBP_PATH path;
    NTSTATUS status = ObpNormalise(target, &path);
    return NT_SUCCESS(status) ? ObpInsert(name, NULL, &path.String) : status;
}

/* The lock held. */
static VOID ObpRemove(OBP_NAME *name) {
    RemoveEntryList(&name->Entry);
    ObpNameCount--;
}

NTSTATUS ObRemoveLink(PCUNICODE_STRING name) {
    OBP_PATH path;
    NTSTATUS status = ObpNormalise(name, &path);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&ObpNameLock);
    OBP_NAME *found = ObpFind(&path.String, TRUE);
    if (found != NULL && found->Object == NULL) {
        ObpRemove(found);
        status = STATUS_SUCCESS;
    } else {
        status = found != NULL ? STATUS_OBJECT_TYPE_MISMATCH : STATUS_OBJECT_NAME_NOT_FOUND;
    }
    KeReleaseSpinLock(&ObpNameLock, irql);
    if (NT_SUCCESS(status)) {
        ExFreePoolWithTag(found, POOL_TAG_NAME);
    }
    return status;
}

VOID ObRemoveNameOf(PVOID object) {
    OBP_NAME *found = NULL;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&ObpNameLock);
    for (PLIST_ENTRY entry = ObpNames.Flink; entry != &ObpNames && found == NULL; entry = entry->Flink) {
        OBP_NAME *name = CONTAINING_RECORD(entry, OBP_NAME, Entry);
        found = name->Object == object ? name : NULL;
    }
    if (found != NULL) {
        ObpRemove(found);
    }
    KeReleaseSpinLock(&ObpNameLock, irql);
    if (found != NULL) {
        ExFreePoolWithTag(found, POOL_TAG_NAME);
    }
}

ULONG ObCountNames(VOID) {
    return __atomic_load_n(&ObpNameCount, __ATOMIC_RELAXED);
}

/* Follows one link. STATUS_REPARSE: the path is another now. Otherwise the object, if any, is referenced under the lock:
 * its name is there for as long as it is. */
static NTSTATUS ObpStep(OBP_PATH *path, PVOID *object, ULONG *used) {
    NTSTATUS status = STATUS_OBJECT_NAME_NOT_FOUND;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&ObpNameLock);
    OBP_NAME *name = ObpFind(&path->String, FALSE);
    if (name != NULL) {
        *used = name->Path.Length / sizeof(WCHAR);
        if (name->Object != NULL) {
            ObfReferenceObject(name->Object);
            *object = name->Object;
            status = STATUS_SUCCESS;
        } else {
            status = ObpJoin(path, name->Target.Buffer, name->Target.Length / sizeof(WCHAR), path->Text + *used,
                             path->String.Length / sizeof(WCHAR) - *used);
            status = NT_SUCCESS(status) ? STATUS_REPARSE : status;
        }
    }
    KeReleaseSpinLock(&ObpNameLock, irql);
    return status;
}

static NTSTATUS ObpKeepRest(const OBP_PATH *path, ULONG used, PUNICODE_STRING rest) {
    ULONG bytes = path->String.Length - used * sizeof(WCHAR);
    RtlZeroMemory(rest, sizeof *rest);
    if (bytes == 0) {
        return STATUS_SUCCESS;
    }
    rest->Buffer = ExAllocatePoolWithTag(NonPagedPool, bytes, POOL_TAG_NAME);
    if (rest->Buffer == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    rest->Length = rest->MaximumLength = (USHORT)bytes;
    RtlCopyMemory(rest->Buffer, path->Text + used, bytes);
    return STATUS_SUCCESS;
}

NTSTATUS ObFindByName(PCUNICODE_STRING name, POBJECT_TYPE type, PVOID *object, PUNICODE_STRING rest) {
    OBP_PATH path;
    ULONG used = 0;
    NTSTATUS status = ObpNormalise(name, &path);
    if (NT_SUCCESS(status)) {
        status = STATUS_REPARSE;
    }
    for (ULONG links = 0; status == STATUS_REPARSE; links++) {
        status = links <= OBP_MAXIMUM_LINKS ? ObpStep(&path, object, &used) : STATUS_OBJECT_PATH_INVALID;
    }
    if (!NT_SUCCESS(status)) {
        return status;
    }
    status = type == NULL || ObTypeOf(*object) == type ? ObpKeepRest(&path, used, rest) : STATUS_OBJECT_TYPE_MISMATCH;
    if (!NT_SUCCESS(status)) {
        ObfDereferenceObject(*object);
    }
    return status;
}
