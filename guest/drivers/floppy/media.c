/* SPDX-License-Identifier: Apache-2.0 */
/* The medium: is one in, is it another than before, may it be written; and what IRP_MJ_DEVICE_CONTROL asks of it. */
#include "floppy.h"

/*
 * The drive says that its medium was changed until the head steps with one in: then it knows of the new one. If it says so
 * still, nothing is in.
 */
static NTSTATUS FloppyFindMedium(PFLOPPY_EXTENSION extension) {
    if ((READ_PORT_UCHAR(FDC_DIGITAL_INPUT) & FDC_INPUT_CHANGED) == 0) {
        return STATUS_SUCCESS;
    }
    NTSTATUS status = FloppySeek(extension, extension->Cylinder == 0 ? 1 : 0);
    if (NT_SUCCESS(status)) {
        status = FloppyRecalibrate(extension);
    }
    if (NT_SUCCESS(status) && READ_PORT_UCHAR(FDC_DIGITAL_INPUT) & FDC_INPUT_CHANGED) {
        status = STATUS_NO_MEDIA_IN_DEVICE;
    }
    if (NT_SUCCESS(status)) {
        extension->Reported = extension->MediaChange++ == 0; /* the first is no change */
    }
    return status;
}

NTSTATUS FloppyPrepare(PFLOPPY_EXTENSION extension) {
    NTSTATUS status = STATUS_SUCCESS;
    FloppyStartMotor(extension);
    if (!extension->Ready) {
        status = FloppyReset(extension);
    }
    return NT_SUCCESS(status) ? FloppyFindMedium(extension) : status;
}

static NTSTATUS FloppyCheckVerify(PFLOPPY_EXTENSION extension, PIRP irp, ULONG room, ULONG_PTR *information) {
    if (room >= sizeof(ULONG)) { /* the count, so that each that asks can tell for itself */
        *(ULONG *)irp->AssociatedIrp.SystemBuffer = extension->MediaChange;
        *information = sizeof(ULONG);
        return STATUS_SUCCESS;
    }
    BOOLEAN reported = extension->Reported;
    extension->Reported = TRUE;
    return reported ? STATUS_SUCCESS : STATUS_VERIFY_REQUIRED;
}

static NTSTATUS FloppyGiveGeometry(PIRP irp, ULONG room, ULONG_PTR *information) {
    DISK_GEOMETRY *geometry = irp->AssociatedIrp.SystemBuffer;
    if (room < sizeof *geometry) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    geometry->Cylinders.QuadPart = FLOPPY_CYLINDERS;
    geometry->MediaType = F3_1Pt44_512;
    geometry->TracksPerCylinder = FLOPPY_HEADS;
    geometry->SectorsPerTrack = FLOPPY_SECTORS;
    geometry->BytesPerSector = FLOPPY_SECTOR;
    *information = sizeof *geometry;
    return STATUS_SUCCESS;
}

static NTSTATUS FloppyIsWritable(PFLOPPY_EXTENSION extension) {
    UCHAR status3;
    NTSTATUS status = FloppyDriveStatus(extension, &status3);
    return NT_SUCCESS(status) && status3 & FDC_3_PROTECTED ? STATUS_MEDIA_WRITE_PROTECTED : status;
}

VOID FloppyControl(PFLOPPY_EXTENSION extension, PIRP irp) {
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(irp);
    ULONG room = location->Parameters.DeviceIoControl.OutputBufferLength;
    ULONG_PTR information = 0;
    NTSTATUS status = FloppyPrepare(extension);
    if (NT_SUCCESS(status)) {
        switch (location->Parameters.DeviceIoControl.IoControlCode) {
        case IOCTL_DISK_GET_MEDIA_TYPES: /* one for this drive: its geometry */
        case IOCTL_DISK_GET_DRIVE_GEOMETRY:
            status = FloppyGiveGeometry(irp, room, &information);
            break;
        case IOCTL_DISK_CHECK_VERIFY:
        case IOCTL_STORAGE_CHECK_VERIFY:
            status = FloppyCheckVerify(extension, irp, room, &information);
            break;
        case IOCTL_DISK_IS_WRITABLE:
            status = FloppyIsWritable(extension);
            break;
        default: /* ejecting among them: no motor does that */
            status = STATUS_INVALID_DEVICE_REQUEST;
            break;
        }
    }
    FloppyComplete(irp, status, information);
}
