/* SPDX-License-Identifier: Apache-2.0 */
/* Files: opened, which checks all that a read will rely on; read; asked for their size. All in workers, several at once. */
#include "fat12.h"

static ULONG FatClusterBytes(const FAT_VOLUME *volume) {
    return volume->ClusterSectors * FAT_SECTOR;
}

/* A file has as many clusters as its bytes need, or more; a directory's end with its chain. No chain goes round. */
static NTSTATUS FatCheckNode(const FAT_VOLUME *volume, const FAT_NODE *node) {
    ULONG clusters;
    if (node->Cluster == 0) {
        return node->Bytes == 0 ? STATUS_SUCCESS : STATUS_FILE_CORRUPT_ERROR;
    }
    NTSTATUS status = FatCheckChain(volume, node->Cluster, &clusters);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    return node->Bytes <= (ULONGLONG)clusters * FatClusterBytes(volume) ? STATUS_SUCCESS : STATUS_FILE_CORRUPT_ERROR;
}

static NTSTATUS FatCheckOptions(const IO_STACK_LOCATION *location, const FAT_NODE *node) {
    ULONG options = location->Parameters.Create.Options;
    BOOLEAN directory = (node->Attributes & FAT_ATTRIBUTE_DIRECTORY) != 0;
    ULONG disposition = options >> 24;
    if (disposition == FILE_CREATE) {
        return STATUS_OBJECT_NAME_COLLISION;
    }
    if (disposition != FILE_OPEN && disposition != FILE_OPEN_IF) {
        return STATUS_MEDIA_WRITE_PROTECTED;
    }
    if (options & FILE_DIRECTORY_FILE && !directory) {
        return STATUS_NOT_A_DIRECTORY;
    }
    return options & FILE_NON_DIRECTORY_FILE && directory ? STATUS_FILE_IS_A_DIRECTORY : STATUS_SUCCESS;
}

NTSTATUS FatCreate(PFAT_EXTENSION extension, PIRP irp, ULONG_PTR *information) {
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(irp);
    PFAT_FILE file = ExAllocatePoolWithTag(NonPagedPool, sizeof *file, FAT_TAG);
    if (file == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    NTSTATUS status = FatMount(extension, &file->Volume);
    if (!NT_SUCCESS(status)) {
        ExFreePoolWithTag(file, FAT_TAG);
        return status;
    }
    status = FatLookUp(extension, file->Volume, &location->FileObject->FileName, &file->Node);
    if (NT_SUCCESS(status)) {
        status = FatCheckOptions(location, &file->Node);
    }
    if (NT_SUCCESS(status)) {
        status = FatCheckNode(file->Volume, &file->Node);
    }
    if (!NT_SUCCESS(status)) {
        FatDereferenceVolume(file->Volume);
        ExFreePoolWithTag(file, FAT_TAG);
        return status;
    }
    ExInitializeFastMutex(&file->ListingMutex);
    file->Listed = 0;
    location->FileObject->FsContext = file;
    *information = FILE_OPENED;
    return STATUS_SUCCESS;
}

/* The cluster that byte `offset` of a file lies in, and for how many bytes from there on the clusters are neighbours. */
static NTSTATUS FatFindRun(const FAT_VOLUME *volume, ULONG cluster, ULONG offset, ULONG most, ULONG *first,
                           ULONG *bytes) {
    ULONG step = FatClusterBytes(volume);
    NTSTATUS status = STATUS_SUCCESS;
    for (ULONG skip = offset / step; skip != 0 && NT_SUCCESS(status); skip--) {
        status = FatNextCluster(volume, cluster, &cluster);
    }
    *first = cluster;
    *bytes = step - offset % step;
    while (NT_SUCCESS(status) && *bytes < most) {
        ULONG next;
        status = FatNextCluster(volume, cluster, &next);
        if (next != cluster + 1) {
            break;
        }
        cluster = next;
        *bytes += step;
    }
    *bytes = min(*bytes, most);
    return status;
}

/* A run of neighbouring clusters, or as much of it as `buffer` has room for. *bytes: how many were copied. */
static NTSTATUS FatReadRun(PFAT_EXTENSION extension, const FAT_FILE *file, ULONG offset, PUCHAR to, ULONG *bytes,
                           PUCHAR buffer, ULONG room) {
    const FAT_VOLUME *volume = file->Volume;
    ULONG skip = offset % FAT_SECTOR;
    ULONG cluster;
    ULONG run;
    NTSTATUS status = FatFindRun(volume, file->Node.Cluster, offset, min(*bytes, room - skip), &cluster, &run);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    ULONG sector = FatSectorOf(volume, cluster) + offset % FatClusterBytes(volume) / FAT_SECTOR;
    ULONG whole = (skip + run + FAT_SECTOR - 1) / FAT_SECTOR * FAT_SECTOR;
    status = FatReadSectors(extension, sector, whole, buffer);
    if (NT_SUCCESS(status)) {
        RtlCopyMemory(to, buffer + skip, run);
        *bytes = run;
    }
    return status;
}

NTSTATUS FatRead(PFAT_EXTENSION extension, PIRP irp, ULONG_PTR *information) {
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(irp);
    PFAT_FILE file = location->FileObject->FsContext;
    ULONG length = location->Parameters.Read.Length;
    LONGLONG offset = location->Parameters.Read.ByteOffset.QuadPart;
    if (file->Node.Attributes & FAT_ATTRIBUTE_DIRECTORY || offset < 0) {
        return STATUS_INVALID_PARAMETER;
    }
    if (length == 0) {
        return STATUS_SUCCESS;
    }
    if (offset >= file->Node.Bytes) {
        return STATUS_END_OF_FILE;
    }
    length = (ULONG)min(length, file->Node.Bytes - offset);
    NTSTATUS status = FatVerify(extension, file->Volume);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    PUCHAR to = MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority);
    ULONG room = min(FAT_SYNC_BYTES, (length + 2 * FAT_SECTOR - 1) / FAT_SECTOR * FAT_SECTOR);
    PUCHAR buffer = to == NULL ? NULL : ExAllocatePoolWithTag(NonPagedPool, room, FAT_TAG);
    if (buffer == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    for (ULONG done = 0; done < length && NT_SUCCESS(status); *information = done) {
        ULONG bytes = length - done;
        status = irp->Cancel ? STATUS_CANCELLED
                             : FatReadRun(extension, file, (ULONG)offset + done, to + done, &bytes, buffer, room);
        done += NT_SUCCESS(status) ? bytes : 0;
    }
    ExFreePoolWithTag(buffer, FAT_TAG);
    return status;
}

NTSTATUS FatQueryInformation(PIRP irp, ULONG_PTR *information) {
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(irp);
    PFAT_FILE file = location->FileObject->FsContext;
    FILE_STANDARD_INFORMATION *standard = irp->AssociatedIrp.SystemBuffer;
    if (location->Parameters.QueryFile.FileInformationClass != FileStandardInformation) {
        return STATUS_INVALID_INFO_CLASS;
    }
    if (location->Parameters.QueryFile.Length < sizeof *standard) {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    ULONG step = FatClusterBytes(file->Volume);
    standard->AllocationSize.QuadPart = (LONGLONG)(file->Node.Bytes + step - 1) / step * step;
    standard->EndOfFile.QuadPart = file->Node.Bytes;
    standard->NumberOfLinks = 1;
    standard->DeletePending = FALSE;
    standard->Directory = (file->Node.Attributes & FAT_ATTRIBUTE_DIRECTORY) != 0;
    *information = sizeof *standard;
    return STATUS_SUCCESS;
}
