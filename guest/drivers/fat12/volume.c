/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The volume: sectors from the drive below, the boot sector, the file allocation table (Microsoft's FAT specification 1.03). Nothing that
 * the medium says is believed before it has been checked, so a damaged one costs a status and no more.
 */
#include "fat12.h"

/* Of the boot sector's BIOS parameter block: bytes, little-endian, without alignment. */
#define FAT_BPB_SECTOR_BYTES    11
#define FAT_BPB_CLUSTER_SECTORS 13
#define FAT_BPB_RESERVED        14
#define FAT_BPB_TABLES          16
#define FAT_BPB_ROOT_ENTRIES    17
#define FAT_BPB_SECTORS         19
#define FAT_BPB_TABLE_SECTORS   22
#define FAT_LARGEST             4085u /* clusters: with more it is FAT16 */
#define FAT_DRIVE_SECTORS       2880u

static ULONG FatWord(const UCHAR *at) {
    return at[0] | (ULONG)at[1] << 8;
}

static NTSTATUS FatSend(PFAT_EXTENSION extension, PIRP irp, PKEVENT event, PIO_STATUS_BLOCK result) {
    if (irp == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    IoGetNextIrpStackLocation(irp)->FileObject = extension->DriveFile;
    NTSTATUS status = IoCallDriver(extension->Drive, irp);
    if (status == STATUS_PENDING) {
        KeWaitForSingleObject(event, Executive, KernelMode, FALSE, NULL);
        status = result->Status;
    }
    return status;
}

NTSTATUS FatReadSectors(PFAT_EXTENSION extension, ULONG sector, ULONG bytes, PVOID buffer) {
    LARGE_INTEGER offset = {.QuadPart = (LONGLONG)sector * FAT_SECTOR};
    IO_STATUS_BLOCK result = {.Information = 0};
    KEVENT event;
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    PIRP irp = IoBuildSynchronousFsdRequest(IRP_MJ_READ, extension->Drive, buffer, bytes, &offset, &event, &result);
    NTSTATUS status = FatSend(extension, irp, &event, &result);
    return NT_SUCCESS(status) && result.Information != bytes ? STATUS_IO_DEVICE_ERROR : status;
}

/* How often there was another medium in the drive. */
static NTSTATUS FatCountMedia(PFAT_EXTENSION extension, ULONG *count) {
    IO_STATUS_BLOCK result;
    KEVENT event;
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    PIRP irp = IoBuildDeviceIoControlRequest(IOCTL_STORAGE_CHECK_VERIFY, extension->Drive, NULL, 0, count,
                                             sizeof *count, FALSE, &event, &result);
    return FatSend(extension, irp, &event, &result);
}

/* The boot sector of a volume that this driver can read, and that fits into the drive and into its own tables. */
static BOOLEAN FatReadLayout(const UCHAR *boot, PFAT_VOLUME volume) {
    ULONG reserved = FatWord(boot + FAT_BPB_RESERVED);
    ULONG tables = boot[FAT_BPB_TABLES];
    ULONG table_sectors = FatWord(boot + FAT_BPB_TABLE_SECTORS);
    ULONG sectors = FatWord(boot + FAT_BPB_SECTORS);
    ULONG per_cluster = boot[FAT_BPB_CLUSTER_SECTORS];
    ULONG entries = FatWord(boot + FAT_BPB_ROOT_ENTRIES);
    volume->RootSector = reserved + tables * table_sectors;
    volume->RootEntries = entries;
    volume->DataSector = volume->RootSector + entries * FAT_ENTRY / FAT_SECTOR;
    if (FatWord(boot + FAT_BPB_SECTOR_BYTES) != FAT_SECTOR || per_cluster == 0 ||
        (per_cluster & (per_cluster - 1)) != 0 || reserved == 0 || tables == 0 || entries == 0 ||
        entries % (FAT_SECTOR / FAT_ENTRY) != 0 || sectors > FAT_DRIVE_SECTORS || volume->DataSector >= sectors) {
        return FALSE;
    }
    volume->ClusterSectors = per_cluster;
    volume->Clusters = (sectors - volume->DataSector) / per_cluster;
    volume->TableBytes = ((volume->Clusters + FAT_FIRST) * 3 + 1) / 2; /* an entry is a byte and a half */
    return volume->Clusters != 0 && volume->Clusters < FAT_LARGEST && volume->TableBytes <= table_sectors * FAT_SECTOR;
}

static NTSTATUS FatReadVolume(PFAT_EXTENSION extension, ULONG change, PFAT_VOLUME *volume) {
    FAT_VOLUME layout = {.References = 1, .Change = change};
    PUCHAR boot = ExAllocatePoolWithTag(NonPagedPool, FAT_SECTOR, FAT_TAG);
    if (boot == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    NTSTATUS status = FatReadSectors(extension, 0, FAT_SECTOR, boot);
    BOOLEAN known = NT_SUCCESS(status) && FatReadLayout(boot, &layout);
    ULONG table = FatWord(boot + FAT_BPB_RESERVED);
    ExFreePoolWithTag(boot, FAT_TAG);
    if (!known) {
        return NT_SUCCESS(status) ? STATUS_UNRECOGNIZED_VOLUME : status;
    }
    ULONG bytes = (layout.TableBytes + FAT_SECTOR - 1) / FAT_SECTOR * FAT_SECTOR;
    *volume = ExAllocatePoolWithTag(NonPagedPool, sizeof layout + bytes, FAT_TAG);
    if (*volume == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    **volume = layout;
    status = FatReadSectors(extension, table, bytes, (*volume)->Table);
    if (!NT_SUCCESS(status)) {
        ExFreePoolWithTag(*volume, FAT_TAG);
    }
    return status;
}

VOID FatDereferenceVolume(PFAT_VOLUME volume) {
    if (InterlockedDecrement(&volume->References) == 0) {
        ExFreePoolWithTag(volume, FAT_TAG);
    }
}

/*
 * A mutex over waits for the drive, at APC_LEVEL: the drive's completions come by special kernel APCs, which a fast mutex holds
 * back. Hence it is held for the pointer only; two that mount at once read the volume twice, and the first one stays.
 */
static PFAT_VOLUME FatMounted(PFAT_EXTENSION extension, ULONG change) {
    ExAcquireFastMutex(&extension->MountMutex);
    PFAT_VOLUME volume = extension->Volume;
    volume = volume != NULL && volume->Change == change ? volume : NULL;
    if (volume != NULL) {
        InterlockedIncrement(&volume->References);
    }
    ExReleaseFastMutex(&extension->MountMutex);
    return volume;
}

static VOID FatPutMounted(PFAT_EXTENSION extension, PFAT_VOLUME volume) {
    InterlockedIncrement(&volume->References);
    ExAcquireFastMutex(&extension->MountMutex);
    PFAT_VOLUME before = extension->Volume;
    extension->Volume = volume;
    ExReleaseFastMutex(&extension->MountMutex);
    if (before != NULL) {
        FatDereferenceVolume(before);
    }
}

NTSTATUS FatMount(PFAT_EXTENSION extension, PFAT_VOLUME *volume) {
    ULONG change;
    NTSTATUS status = FatCountMedia(extension, &change);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    *volume = FatMounted(extension, change);
    if (*volume != NULL) {
        return STATUS_SUCCESS;
    }
    status = FatReadVolume(extension, change, volume);
    if (NT_SUCCESS(status)) {
        FatPutMounted(extension, *volume);
    }
    return status;
}

NTSTATUS FatVerify(PFAT_EXTENSION extension, const FAT_VOLUME *volume) {
    ULONG change;
    NTSTATUS status = FatCountMedia(extension, &change);
    return NT_SUCCESS(status) && change != volume->Change ? STATUS_WRONG_VOLUME : status;
}

BOOLEAN FatIsCluster(const FAT_VOLUME *volume, ULONG cluster) {
    return cluster >= FAT_FIRST && cluster - FAT_FIRST < volume->Clusters;
}

NTSTATUS FatNextCluster(const FAT_VOLUME *volume, ULONG cluster, ULONG *next) {
    if (!FatIsCluster(volume, cluster)) {
        return STATUS_FILE_CORRUPT_ERROR;
    }
    ULONG pair = FatWord(volume->Table + cluster * 3 / 2);
    ULONG entry = cluster % 2 != 0 ? pair >> 4 : pair & 0xfffu;
    *next = entry >= FAT_END_OF_CHAIN ? 0 : entry; /* an entry of 0 is a free cluster's, and ends no chain */
    return entry >= FAT_END_OF_CHAIN || FatIsCluster(volume, entry) ? STATUS_SUCCESS : STATUS_FILE_CORRUPT_ERROR;
}

/* A chain with more clusters than the volume has goes round in a circle. */
NTSTATUS FatCheckChain(const FAT_VOLUME *volume, ULONG cluster, ULONG *clusters) {
    NTSTATUS status = STATUS_SUCCESS;
    for (*clusters = 0; cluster != 0 && NT_SUCCESS(status); ++*clusters) {
        if (*clusters == volume->Clusters) {
            return STATUS_FILE_CORRUPT_ERROR;
        }
        status = FatNextCluster(volume, cluster, &cluster);
    }
    return status;
}

ULONG FatSectorOf(const FAT_VOLUME *volume, ULONG cluster) {
    return volume->DataSector + (cluster - FAT_FIRST) * volume->ClusterSectors;
}
