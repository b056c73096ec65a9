/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fat12.sys' own state: the volume that is in the drive, the files that are open on it, the queue of IRPs that wait for a worker.
 * A volume is read once, is never changed and goes with its last file; the one that is in the drive now is under MountMutex.
 */
#pragma once

#include <ntifs.h>

#include <ntdddisk.h>

#define FAT_TAG          '21tF'
#define FAT_SECTOR       512u
#define FAT_ENTRY        32u
#define FAT_NAME         11u /* 8 and 3, padded with blanks */
#define FAT_WORKERS      4u
#define FAT_SYNC_BYTES   (32u * 1024) /* that are read from the drive at once, at most */
#define FAT_FIRST        2u           /* number of the first cluster */
#define FAT_END_OF_CHAIN 0xff8u

#define FAT_ATTRIBUTE_VOLUME    0x08u /* a label, or a part of a long name */
#define FAT_ATTRIBUTE_DIRECTORY 0x10u

typedef struct _FAT_VOLUME {
    volatile LONG References;
    ULONG Change;         /* the drive's count of media when it was mounted */
    ULONG ClusterSectors; /* per cluster */
    ULONG Clusters;       /* numbered from FAT_FIRST */
    ULONG RootSector;
    ULONG RootEntries;
    ULONG DataSector; /* of cluster FAT_FIRST */
    ULONG TableBytes;
    UCHAR Table[]; /* the first FAT */
} FAT_VOLUME, *PFAT_VOLUME;

/* What a directory says of a file. Cluster 0 of a directory is the root; of a file, that there is nothing in it. */
typedef struct _FAT_NODE {
    UCHAR Name[FAT_NAME];
    UCHAR Attributes;
    ULONG Cluster;
    ULONG Bytes; /* 0 for a directory */
} FAT_NODE, *PFAT_NODE;

typedef struct _FAT_FILE {
    PFAT_VOLUME Volume;
    FAT_NODE Node;
    FAST_MUTEX ListingMutex;
    ULONG Listed; /* ListingMutex: entries of the directory that have been looked at */
} FAT_FILE, *PFAT_FILE;

typedef struct _FAT_WORKER {
    PIO_WORKITEM Item;
    volatile LONG Busy; /* 1: the item is queued or running */
} FAT_WORKER, *PFAT_WORKER;

typedef struct _FAT_EXTENSION {
    PDEVICE_OBJECT Device;
    PDEVICE_OBJECT Drive;
    PFILE_OBJECT DriveFile;

    KSPIN_LOCK QueueLock; /* of the ExInterlocked routines */
    LIST_ENTRY Queue;     /* IRPs, by Tail.Overlay.ListEntry */
    FAT_WORKER Worker[FAT_WORKERS];
    EX_RUNDOWN_REF Running; /* workers that are queued or running */

    FAST_MUTEX MountMutex;
    PFAT_VOLUME Volume; /* NULL: none mounted yet */
} FAT_EXTENSION, *PFAT_EXTENSION;

/* queue.c */
NTSTATUS FatInitializeQueue(PFAT_EXTENSION extension);
VOID FatEndQueue(PFAT_EXTENSION extension);
NTSTATUS FatQueue(PFAT_EXTENSION extension, PIRP irp); /* <= DISPATCH_LEVEL; what the dispatch routine returns */
NTSTATUS FatComplete(PIRP irp, NTSTATUS status, ULONG_PTR information);

/* volume.c: PASSIVE_LEVEL */
NTSTATUS FatReadSectors(PFAT_EXTENSION extension, ULONG sector, ULONG bytes, PVOID buffer);
NTSTATUS FatMount(PFAT_EXTENSION extension, PFAT_VOLUME *volume); /* the one that is in the drive, referenced */
NTSTATUS FatVerify(PFAT_EXTENSION extension,
                   const FAT_VOLUME *volume); /* STATUS_WRONG_VOLUME: another is in the drive */
VOID FatDereferenceVolume(PFAT_VOLUME volume);
BOOLEAN FatIsCluster(const FAT_VOLUME *volume, ULONG cluster);
/* The cluster after this one; 0 at the end. STATUS_FILE_CORRUPT_ERROR: it is none that a file can have. */
NTSTATUS FatNextCluster(const FAT_VOLUME *volume, ULONG cluster, ULONG *next);
NTSTATUS FatCheckChain(const FAT_VOLUME *volume, ULONG cluster, ULONG *clusters); /* how many there are, to the end */
ULONG FatSectorOf(const FAT_VOLUME *volume, ULONG cluster);

/* directory.c: PASSIVE_LEVEL */
/* Entry *index of a directory, or the next that is a file; *index is then behind it. STATUS_NO_MORE_FILES. */
NTSTATUS FatNextEntry(PFAT_EXTENSION extension, const FAT_VOLUME *volume, const FAT_NODE *directory, ULONG *index,
                      FAT_NODE *found);
NTSTATUS FatLookUp(PFAT_EXTENSION extension, const FAT_VOLUME *volume, PCUNICODE_STRING path, FAT_NODE *found);

/* name.c: any IRQL */
NTSTATUS FatParseName(PCWCH characters, ULONG count, UCHAR *name); /* STATUS_OBJECT_NAME_INVALID */
ULONG FatFormatName(const UCHAR *name, PWCH characters);           /* up to 12; how many */

/* file.c, listing.c: worker */
NTSTATUS FatCreate(PFAT_EXTENSION extension, PIRP irp, ULONG_PTR *information);
NTSTATUS FatRead(PFAT_EXTENSION extension, PIRP irp, ULONG_PTR *information);
NTSTATUS FatQueryInformation(PIRP irp, ULONG_PTR *information);
NTSTATUS FatQueryDirectory(PFAT_EXTENSION extension, PIRP irp, ULONG_PTR *information);

DRIVER_INITIALIZE DriverEntry;
