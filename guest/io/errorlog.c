/* SPDX-License-Identifier: Apache-2.0 */
/* The error log: what a driver writes to it goes to the console, and so into the run's folder. */
#include "iop.h"

#define POOL_TAG_ERROR_LOG   'LrrE'
#define IOP_ERROR_LOG_MOST   240 /* ERROR_LOG_MAXIMUM_SIZE */
#define IOP_DUMP_WORDS_SHOWN 8

typedef struct _IOP_ERROR_LOG {
    PVOID Object; /* device or driver */
    UCHAR Bytes;
    __attribute__((aligned(8))) UCHAR Packet[];
} IOP_ERROR_LOG;

PVOID NTAPI IoAllocateErrorLogEntry(PVOID IoObject, UCHAR EntrySize) {
    if (EntrySize < sizeof(IO_ERROR_LOG_PACKET) || EntrySize > IOP_ERROR_LOG_MOST) {
        return NULL;
    }
    IOP_ERROR_LOG *entry = ExAllocatePoolWithTag(NonPagedPool, sizeof *entry + EntrySize, POOL_TAG_ERROR_LOG);
    if (entry == NULL) {
        return NULL;
    }
    RtlZeroMemory(entry, sizeof *entry + EntrySize);
    ObfReferenceObject(IoObject);
    entry->Object = IoObject;
    entry->Bytes = EntrySize;
    return entry->Packet;
}
NT_EXPORT(IoAllocateErrorLogEntry);

VOID NTAPI IoFreeErrorLogEntry(PVOID ElEntry) {
    IOP_ERROR_LOG *entry = CONTAINING_RECORD(ElEntry, IOP_ERROR_LOG, Packet);
    ObfDereferenceObject(entry->Object);
    ExFreePoolWithTag(entry, POOL_TAG_ERROR_LOG);
}
NT_EXPORT(IoFreeErrorLogEntry);

static PUNICODE_STRING IopWriter(PVOID object) {
    PDEVICE_OBJECT device = object; /* both kinds begin with their type */
    return device->Type == IO_TYPE_DEVICE ? &device->DriverObject->DriverName : &((PDRIVER_OBJECT)object)->DriverName;
}

VOID NTAPI IoWriteErrorLogEntry(PVOID ElEntry) {
    IOP_ERROR_LOG *entry = CONTAINING_RECORD(ElEntry, IOP_ERROR_LOG, Packet);
    const IO_ERROR_LOG_PACKET *packet = ElEntry;
    DbgPrint("error log: %wZ: error %08x, final status %08x, unique value %08x, major function 0x%02x, code %08x\n",
             IopWriter(entry->Object), packet->ErrorCode, packet->FinalStatus, packet->UniqueErrorValue,
             packet->MajorFunctionCode, packet->IoControlCode);
    ULONG room = (entry->Bytes - FIELD_OFFSET(IO_ERROR_LOG_PACKET, DumpData)) / (ULONG)sizeof(ULONG);
    ULONG words = packet->DumpDataSize / (ULONG)sizeof(ULONG);
    for (ULONG i = 0; i < words && i < room && i < IOP_DUMP_WORDS_SHOWN; i++) {
        DbgPrint("error log:   dump data [%u] %08x\n", i, packet->DumpData[i]);
    }
    IoFreeErrorLogEntry(ElEntry);
}
NT_EXPORT(IoWriteErrorLogEntry);
