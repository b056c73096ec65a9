/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads and writes: a request in pieces that end with a cylinder, each one command for both heads and one transfer of the system's
 * DMA channel 2. An error is tried again from the start of its piece, after the head has been sent home.
 */
#include "floppy.h"

#define FLOPPY_TRIES 3

/* DISPATCH_LEVEL: the channel is ours. The thread goes on. */
static IO_ALLOCATION_ACTION NTAPI FloppyAdapterControl(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID MapRegisterBase,
                                                       PVOID Context) {
    PFLOPPY_EXTENSION extension = Context;
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    extension->MapRegisterBase = MapRegisterBase;
    KeSetEvent(&extension->ChannelGranted, IO_NO_INCREMENT, FALSE);
    return KeepObject;
}

static NTSTATUS FloppyTakeChannel(PFLOPPY_EXTENSION extension, ULONG registers) {
    KIRQL irql;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    NTSTATUS status = extension->Adapter->DmaOperations->AllocateAdapterChannel(
        extension->Adapter, extension->Device, registers, FloppyAdapterControl, extension);
    KeLowerIrql(irql);
    if (NT_SUCCESS(status)) {
        KeWaitForSingleObject(&extension->ChannelGranted, Executive, KernelMode, FALSE, NULL);
    }
    return status;
}

static VOID FloppyFreeChannel(PFLOPPY_EXTENSION extension) {
    KIRQL irql;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    extension->Adapter->DmaOperations->FreeAdapterChannel(extension->Adapter);
    KeLowerIrql(irql);
}

/* What the three status bytes of a transfer say. */
static NTSTATUS FloppyStatusOf(const UCHAR *result) {
    if ((result[0] & FDC_0_ENDED) == 0) {
        return STATUS_SUCCESS;
    }
    if (result[1] & FDC_1_NOT_WRITABLE) {
        return STATUS_MEDIA_WRITE_PROTECTED;
    }
    if (result[1] & FDC_1_CRC) {
        return STATUS_CRC_ERROR;
    }
    if (result[1] & FDC_1_OVERRUN) {
        return STATUS_DATA_OVERRUN;
    }
    if (result[2] & FDC_2_CYLINDER) {
        return STATUS_FLOPPY_WRONG_CYLINDER;
    }
    if (result[1] & (FDC_1_NO_DATA | FDC_1_END)) {
        return STATUS_NONEXISTENT_SECTOR;
    }
    return result[1] & FDC_1_NO_MARK ? STATUS_FLOPPY_ID_MARK_NOT_FOUND : STATUS_FLOPPY_UNKNOWN_ERROR;
}

static NTSTATUS FloppyMove(PFLOPPY_EXTENSION extension, ULONG sector, BOOLEAN write) {
    UCHAR cylinder = (UCHAR)(sector / FLOPPY_CYLINDER_SECTORS);
    UCHAR head = (UCHAR)(sector / FLOPPY_SECTORS % FLOPPY_HEADS);
    const UCHAR command[] = {
        write ? FDC_WRITE_DATA : FDC_READ_DATA,
        (UCHAR)(head << 2),
        cylinder,
        head,
        (UCHAR)(sector % FLOPPY_SECTORS + 1),
        FDC_SECTOR_512,
        FLOPPY_SECTORS,
        FDC_GAP,
        FDC_NO_LENGTH,
    };
    NTSTATUS status = FloppyCommand(extension, command, sizeof command, 7);
    FloppyCounts.Transfers++;
    if ((READ_PORT_UCHAR(FDC_DIGITAL_OUTPUT) & FDC_OUTPUT_MOTOR) == 0) {
        FloppyCounts.Stalled++; /* a drive at rest would not have moved a byte */
        return STATUS_DEVICE_NOT_READY;
    }
    return NT_SUCCESS(status) ? FloppyStatusOf(extension->Result) : status;
}

/* One piece, once. *bytes: less where the adapter's map registers, or what it can reach at once, end before. */
static NTSTATUS FloppyTryPiece(PFLOPPY_EXTENSION extension, PMDL mdl, PUCHAR at, ULONG sector, ULONG *bytes,
                               BOOLEAN write) {
    NTSTATUS status = FloppyPrepare(extension);
    if (NT_SUCCESS(status) && extension->Cylinder != sector / FLOPPY_CYLINDER_SECTORS) {
        status = FloppySeek(extension, (UCHAR)(sector / FLOPPY_CYLINDER_SECTORS));
    }
    if (NT_SUCCESS(status)) {
        status = FloppyTakeChannel(extension, ADDRESS_AND_SIZE_TO_SPAN_PAGES(at, *bytes));
    }
    if (!NT_SUCCESS(status)) {
        return status;
    }
    PDMA_OPERATIONS operations = extension->Adapter->DmaOperations;
    ULONG mapped = *bytes;
    KeFlushIoBuffers(mdl, !write, TRUE);
    operations->MapTransfer(extension->Adapter, mdl, extension->MapRegisterBase, at, &mapped, write);
    *bytes = mapped;
    status = mapped % FLOPPY_SECTOR == 0 ? FloppyMove(extension, sector, write) : STATUS_INVALID_BUFFER_SIZE;
    operations->FlushAdapterBuffers(extension->Adapter, mdl, extension->MapRegisterBase, at, mapped, write);
    FloppyFreeChannel(extension);
    return status;
}

static BOOLEAN FloppyIsFinal(NTSTATUS status) {
    return NT_SUCCESS(status) || status == STATUS_MEDIA_WRITE_PROTECTED || status == STATUS_NO_MEDIA_IN_DEVICE ||
        status == STATUS_INVALID_BUFFER_SIZE || status == STATUS_INSUFFICIENT_RESOURCES;
}

static NTSTATUS FloppyMovePiece(PFLOPPY_EXTENSION extension, PMDL mdl, PUCHAR at, ULONG sector, ULONG *bytes,
                                BOOLEAN write) {
    ULONG wanted = *bytes;
    NTSTATUS status = STATUS_SUCCESS;
    for (ULONG tries = 0; tries < FLOPPY_TRIES; tries++) {
        *bytes = wanted;
        status = FloppyTryPiece(extension, mdl, at, sector, bytes, write);
        if (FloppyIsFinal(status)) {
            break;
        }
        FloppyCounts.Retries++;
        extension->Ready = FALSE; /* a reset and a recalibration come first */
    }
    return status;
}

VOID FloppyTransfer(PFLOPPY_EXTENSION extension, PIRP irp) {
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(irp);
    BOOLEAN write = location->MajorFunction == IRP_MJ_WRITE;
    ULONG sector = (ULONG)(location->Parameters.Read.ByteOffset.QuadPart / FLOPPY_SECTOR);
    ULONG length = location->Parameters.Read.Length;
    PUCHAR at = MmGetMdlVirtualAddress(irp->MdlAddress);
    ULONG done = 0;
    NTSTATUS status = STATUS_SUCCESS;
    while (done < length && NT_SUCCESS(status)) {
        ULONG bytes = (FLOPPY_CYLINDER_SECTORS - sector % FLOPPY_CYLINDER_SECTORS) * FLOPPY_SECTOR;
        ULONG most = (extension->MapRegisters - 1) * PAGE_SIZE; /* wherever in a page it begins */
        bytes = min(min(bytes, most), length - done);
        status = irp->Cancel ? STATUS_CANCELLED
                             : FloppyMovePiece(extension, irp->MdlAddress, at + done, sector, &bytes, write);
        if (NT_SUCCESS(status)) {
            done += bytes;
            sector += bytes / FLOPPY_SECTOR;
        }
    }
    FloppyComplete(irp, status, done);
}
