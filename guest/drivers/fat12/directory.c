/* SPDX-License-Identifier: Apache-2.0 */
/* Directories: the root, a fixed run of sectors, and the others, chains of clusters like files; and the way down a path. */
#include "fat12.h"

#define FAT_PER_SECTOR         (FAT_SECTOR / FAT_ENTRY)
#define FAT_LONGEST            65536u /* entries; no directory has more */
#define FAT_AT_ATTRIBUTES      11
#define FAT_AT_CLUSTER         26
#define FAT_AT_BYTES           28
#define FAT_NAME_END           0x00 /* no entry from here on */
#define FAT_NAME_DELETED       0xe5
#define FAT_NAME_STANDS_FOR_E5 0x05

/* The sector that entry `index` lies in. STATUS_NO_MORE_FILES: the directory ends before. */
static NTSTATUS FatDirectorySector(const FAT_VOLUME *volume, const FAT_NODE *directory, ULONG index, ULONG *sector) {
    ULONG number = index / FAT_PER_SECTOR;
    ULONG cluster = directory->Cluster;
    if (cluster == 0) {
        *sector = volume->RootSector + number;
        return index < volume->RootEntries ? STATUS_SUCCESS : STATUS_NO_MORE_FILES;
    }
    if (!FatIsCluster(volume, cluster)) {
        return STATUS_FILE_CORRUPT_ERROR;
    }
    for (ULONG skip = number / volume->ClusterSectors; skip != 0; skip--) {
        NTSTATUS status = FatNextCluster(volume, cluster, &cluster);
        if (!NT_SUCCESS(status)) {
            return status;
        }
        if (cluster == 0) {
            return STATUS_NO_MORE_FILES;
        }
    }
    *sector = FatSectorOf(volume, cluster) + number % volume->ClusterSectors;
    return index < FAT_LONGEST ? STATUS_SUCCESS : STATUS_FILE_CORRUPT_ERROR;
}

static VOID FatReadEntry(const UCHAR *entry, FAT_NODE *node) {
    RtlCopyMemory(node->Name, entry, FAT_NAME);
    if (node->Name[0] == FAT_NAME_STANDS_FOR_E5) {
        node->Name[0] = FAT_NAME_DELETED;
    }
    node->Attributes = entry[FAT_AT_ATTRIBUTES];
    node->Cluster = entry[FAT_AT_CLUSTER] | (ULONG)entry[FAT_AT_CLUSTER + 1] << 8;
    node->Bytes = entry[FAT_AT_BYTES] | (ULONG)entry[FAT_AT_BYTES + 1] << 8 | (ULONG)entry[FAT_AT_BYTES + 2] << 16 |
        (ULONG)entry[FAT_AT_BYTES + 3] << 24;
}

/* The first file from *index on in its sector, if there is one. STATUS_NO_MORE_ENTRIES: not in this sector. */
static NTSTATUS FatScanSector(const UCHAR *sector, ULONG *index, FAT_NODE *found) {
    do {
        const UCHAR *entry = &sector[(SIZE_T)(*index % FAT_PER_SECTOR) * FAT_ENTRY];
        if (entry[0] == FAT_NAME_END) {
            return STATUS_NO_MORE_FILES;
        }
        ++*index;
        if (entry[0] != FAT_NAME_DELETED && (entry[FAT_AT_ATTRIBUTES] & FAT_ATTRIBUTE_VOLUME) == 0) {
            FatReadEntry(entry, found);
            return STATUS_SUCCESS;
        }
    } while (*index % FAT_PER_SECTOR != 0);
    return STATUS_NO_MORE_ENTRIES;
}

/* As FatNextEntry, or only the one with that name. `sector` is memory for one. */
static NTSTATUS FatScan(PFAT_EXTENSION extension, const FAT_VOLUME *volume, const FAT_NODE *directory,
                        const UCHAR *name, ULONG *index, FAT_NODE *found, UCHAR *sector) {
    ULONG loaded = 0;
    for (;;) {
        ULONG number;
        NTSTATUS status = FatDirectorySector(volume, directory, *index, &number);
        if (NT_SUCCESS(status) && number != loaded) {
            status = FatReadSectors(extension, number, FAT_SECTOR, sector);
            loaded = number;
        }
        if (NT_SUCCESS(status)) {
            status = FatScanSector(sector, index, found);
        }
        if (status == STATUS_NO_MORE_ENTRIES) {
            continue;
        }
        if (!NT_SUCCESS(status) || name == NULL || RtlCompareMemory(name, found->Name, FAT_NAME) == FAT_NAME) {
            return status;
        }
    }
}

static NTSTATUS FatScanWithMemory(PFAT_EXTENSION extension, const FAT_VOLUME *volume, const FAT_NODE *directory,
                                  const UCHAR *name, ULONG *index, FAT_NODE *found) {
    UCHAR *sector = ExAllocatePoolWithTag(NonPagedPool, FAT_SECTOR, FAT_TAG);
    if (sector == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    NTSTATUS status = FatScan(extension, volume, directory, name, index, found, sector);
    ExFreePoolWithTag(sector, FAT_TAG);
    return status;
}

NTSTATUS FatNextEntry(PFAT_EXTENSION extension, const FAT_VOLUME *volume, const FAT_NODE *directory, ULONG *index,
                      FAT_NODE *found) {
    return FatScanWithMemory(extension, volume, directory, NULL, index, found);
}

static NTSTATUS FatFind(PFAT_EXTENSION extension, const FAT_VOLUME *volume, PCWCH part, ULONG length, FAT_NODE *node) {
    UCHAR name[FAT_NAME];
    ULONG index = 0;
    FAT_NODE found;
    NTSTATUS status = FatParseName(part, length, name);
    if (NT_SUCCESS(status)) {
        status = FatScanWithMemory(extension, volume, node, name, &index, &found);
    }
    if (NT_SUCCESS(status)) {
        *node = found;
    }
    return status == STATUS_NO_MORE_FILES ? STATUS_OBJECT_NAME_NOT_FOUND : status;
}

NTSTATUS FatLookUp(PFAT_EXTENSION extension, const FAT_VOLUME *volume, PCUNICODE_STRING path, FAT_NODE *found) {
    FAT_NODE node = {.Attributes = FAT_ATTRIBUTE_DIRECTORY};
    ULONG count = path->Length / sizeof(WCHAR);
    for (ULONG at = 0; at < count;) {
        if (path->Buffer[at] == '\\') {
            at++;
            continue;
        }
        ULONG length = 0;
        while (at + length < count && path->Buffer[at + length] != '\\') {
            length++;
        }
        if ((node.Attributes & FAT_ATTRIBUTE_DIRECTORY) == 0) {
            return STATUS_OBJECT_PATH_NOT_FOUND;
        }
        NTSTATUS status = FatFind(extension, volume, path->Buffer + at, length, &node);
        at += length;
        if (status == STATUS_OBJECT_NAME_NOT_FOUND && at < count) {
            return STATUS_OBJECT_PATH_NOT_FOUND;
        }
        if (!NT_SUCCESS(status)) {
            return status;
        }
    }
    *found = node;
    return STATUS_SUCCESS;
}
