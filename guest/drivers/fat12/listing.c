/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IRP_MN_QUERY_DIRECTORY: what is in a directory, in the order of its entries, from where the last request ended; all of them: of
 * patterns only "*" is known. FileNamesInformation and FileDirectoryInformation.
 */
#include "fat12.h"

#define FAT_NAME_LIMIT 12u

/* Writes one entry at `at`. Returns its bytes; 0: there is no room. */
static ULONG FatWriteEntry(FILE_INFORMATION_CLASS kind, PUCHAR at, ULONG room, const FAT_NODE *node) {
    WCHAR name[FAT_NAME_LIMIT];
    ULONG bytes = FatFormatName(node->Name, name) * sizeof(WCHAR);
    ULONG header = kind == FileNamesInformation ? FIELD_OFFSET(FILE_NAMES_INFORMATION, FileName)
                                                : FIELD_OFFSET(FILE_DIRECTORY_INFORMATION, FileName);
    if (header + bytes > room) {
        return 0;
    }
    RtlZeroMemory(at, header);
    RtlCopyMemory(at + header, name, bytes);
    if (kind == FileNamesInformation) {
        ((FILE_NAMES_INFORMATION *)at)->FileNameLength = bytes;
    } else {
        FILE_DIRECTORY_INFORMATION *information = (FILE_DIRECTORY_INFORMATION *)at;
        information->FileNameLength = bytes;
        information->FileAttributes = node->Attributes;
        information->EndOfFile.QuadPart = node->Bytes;
    }
    return header + bytes;
}

static BOOLEAN FatIsEverything(PCUNICODE_STRING pattern) {
    return pattern == NULL || pattern->Length == 0 || (pattern->Length == sizeof(WCHAR) && pattern->Buffer[0] == '*');
}

/* ListingMutex is not held: it would hold back the drive's completions. `index` is where to begin, and to go on. */
static NTSTATUS FatFill(PFAT_EXTENSION extension, const FAT_FILE *file, const IO_STACK_LOCATION *location, PUCHAR to,
                        ULONG *index, ULONG_PTR *information) {
    FILE_INFORMATION_CLASS kind = location->Parameters.QueryDirectory.FileInformationClass;
    ULONG room = location->Parameters.QueryDirectory.Length;
    ULONG *link = NULL; /* NextEntryOffset of the entry before, which both kinds begin with */
    ULONG at = 0;
    for (;;) {
        ULONG following = *index;
        FAT_NODE node;
        NTSTATUS status = FatNextEntry(extension, file->Volume, &file->Node, &following, &node);
        if (!NT_SUCCESS(status)) {
            return status == STATUS_NO_MORE_FILES && link != NULL ? STATUS_SUCCESS : status;
        }
        ULONG bytes = at < room ? FatWriteEntry(kind, to + at, room - at, &node) : 0;
        if (bytes == 0) {
            return link != NULL ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;
        }
        if (link != NULL) {
            *link = at - (ULONG)((PUCHAR)link - to);
        }
        *index = following;
        *information = at + bytes;
        link = (ULONG *)(to + at);
        at += (bytes + 7u) & ~7u;
        if (location->Flags & SL_RETURN_SINGLE_ENTRY) {
            return STATUS_SUCCESS;
        }
    }
}

NTSTATUS FatQueryDirectory(PFAT_EXTENSION extension, PIRP irp, ULONG_PTR *information) {
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(irp);
    PFAT_FILE file = location->FileObject->FsContext;
    FILE_INFORMATION_CLASS kind = location->Parameters.QueryDirectory.FileInformationClass;
    if (location->MinorFunction != IRP_MN_QUERY_DIRECTORY) {
        return STATUS_NOT_IMPLEMENTED; /* IRP_MN_NOTIFY_CHANGE_DIRECTORY: nothing ever changes */
    }
    if ((file->Node.Attributes & FAT_ATTRIBUTE_DIRECTORY) == 0) {
        return STATUS_INVALID_PARAMETER;
    }
    if (kind != FileNamesInformation && kind != FileDirectoryInformation) {
        return STATUS_INVALID_INFO_CLASS;
    }
    if (!FatIsEverything((PCUNICODE_STRING)location->Parameters.QueryDirectory.FileName)) {
        return STATUS_NOT_SUPPORTED;
    }
    PUCHAR to = MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority);
    NTSTATUS status = to == NULL ? STATUS_INSUFFICIENT_RESOURCES : FatVerify(extension, file->Volume);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    ExAcquireFastMutex(&file->ListingMutex);
    ULONG index = location->Flags & SL_RESTART_SCAN ? 0 : file->Listed;
    ExReleaseFastMutex(&file->ListingMutex);
    status = FatFill(extension, file, location, to, &index, information);
    ExAcquireFastMutex(&file->ListingMutex);
    file->Listed = index;
    ExReleaseFastMutex(&file->ListingMutex);
    return status;
}
