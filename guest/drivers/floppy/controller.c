/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands to the controller, and its interrupt. A command is bytes into the FIFO, an interrupt when it is through, result bytes
 * out of the FIFO. ISR and DpcForIsr only tell the thread that the interrupt came; Expected and Arrived are theirs and the
 * thread's, under the interrupt spin lock, so that an interrupt of a command given up long ago counts for no other.
 */
#include "floppy.h"

#define FLOPPY_FIFO_TRIES 1000          /* of 10 us: the data sheet allows a byte 250 us at most */
#define FLOPPY_PATIENCE   (-30000000ll) /* 3 s: a recalibration over 80 tracks and more turns than it needs */

BOOLEAN NTAPI FloppyIsr(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    PFLOPPY_EXTENSION extension = ServiceContext;
    UNREFERENCED_PARAMETER(Interrupt);
    if (!extension->Expected) {
        FloppyCounts.Strays++;
        return FALSE;
    }
    extension->Expected = FALSE;
    extension->Arrived = TRUE;
    FloppyCounts.Interrupts++;
    IoRequestDpc(extension->Device, NULL, NULL);
    return TRUE;
}

VOID NTAPI FloppyDpcForIsr(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    PFLOPPY_EXTENSION extension = DeviceObject->DeviceExtension;
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    KeSetEvent(&extension->Interrupted, IO_DISK_INCREMENT, FALSE);
}

/* SynchCritSections: DIRQL, interrupt spin lock held. */
static BOOLEAN NTAPI FloppyExpect(PVOID SynchronizeContext) {
    PFLOPPY_EXTENSION extension = SynchronizeContext;
    extension->Expected = TRUE;
    extension->Arrived = FALSE;
    return TRUE;
}

static BOOLEAN NTAPI FloppyTakeInterrupt(PVOID SynchronizeContext) {
    PFLOPPY_EXTENSION extension = SynchronizeContext;
    BOOLEAN arrived = extension->Arrived;
    extension->Arrived = FALSE;
    return arrived;
}

static BOOLEAN NTAPI FloppyGiveUp(PVOID SynchronizeContext) {
    ((PFLOPPY_EXTENSION)SynchronizeContext)->Expected = FALSE;
    return TRUE;
}

static NTSTATUS FloppyWaitInterrupt(PFLOPPY_EXTENSION extension) {
    LARGE_INTEGER patience = {.QuadPart = FLOPPY_PATIENCE};
    for (;;) { /* an event without an interrupt is a DPC of an earlier command that was late */
        NTSTATUS status = KeWaitForSingleObject(&extension->Interrupted, Executive, KernelMode, FALSE, &patience);
        if (KeSynchronizeExecution(extension->Interrupt, FloppyTakeInterrupt, extension)) {
            return STATUS_SUCCESS;
        }
        if (status == STATUS_TIMEOUT) {
            KeSynchronizeExecution(extension->Interrupt, FloppyGiveUp, extension);
            extension->Ready = FALSE; /* it may be anywhere: reset it before the next command */
            return STATUS_IO_TIMEOUT;
        }
    }
}

/* Waits until the FIFO is to be written, or read. */
static BOOLEAN FloppyFifoIs(UCHAR wanted) {
    for (ULONG tries = 0; tries < FLOPPY_FIFO_TRIES; tries++) {
        UCHAR status = READ_PORT_UCHAR(FDC_MAIN_STATUS);
        if ((status & (FDC_STATUS_READY | FDC_STATUS_TO_HOST)) == (FDC_STATUS_READY | wanted)) {
            return TRUE;
        }
        KeStallExecutionProcessor(10);
    }
    return FALSE;
}

static BOOLEAN FloppySend(const UCHAR *bytes, ULONG count) {
    for (ULONG i = 0; i < count; i++) {
        if (!FloppyFifoIs(0)) {
            return FALSE;
        }
        WRITE_PORT_UCHAR(FDC_FIFO, bytes[i]);
    }
    return TRUE;
}

static BOOLEAN FloppyReceive(UCHAR *bytes, ULONG count) {
    for (ULONG i = 0; i < count; i++) {
        if (!FloppyFifoIs(FDC_STATUS_TO_HOST)) {
            return FALSE;
        }
        bytes[i] = READ_PORT_UCHAR(FDC_FIFO);
    }
    return TRUE;
}

static NTSTATUS FloppyLost(PFLOPPY_EXTENSION extension) {
    extension->Ready = FALSE;
    return STATUS_DEVICE_NOT_READY;
}

NTSTATUS FloppyCommand(PFLOPPY_EXTENSION extension, const UCHAR *bytes, ULONG count, ULONG results) {
    KeClearEvent(&extension->Interrupted);
    KeSynchronizeExecution(extension->Interrupt, FloppyExpect, extension);
    if (!FloppySend(bytes, count)) {
        KeSynchronizeExecution(extension->Interrupt, FloppyGiveUp, extension);
        return FloppyLost(extension);
    }
    NTSTATUS status = FloppyWaitInterrupt(extension);
    if (NT_SUCCESS(status) && !FloppyReceive(extension->Result, results)) {
        return FloppyLost(extension);
    }
    return status;
}

/* After a seek, a recalibration or a reset: why it interrupted, and where the head is. */
static NTSTATUS FloppySenseInterrupt(PFLOPPY_EXTENSION extension) {
    static const UCHAR command[] = {FDC_SENSE_INTERRUPT};
    if (!FloppySend(command, sizeof command) || !FloppyReceive(extension->Result, 2)) {
        return FloppyLost(extension);
    }
    return STATUS_SUCCESS;
}

static NTSTATUS FloppyMoveHead(PFLOPPY_EXTENSION extension, const UCHAR *command, ULONG count, UCHAR cylinder) {
    NTSTATUS status = FloppyCommand(extension, command, count, 0);
    if (NT_SUCCESS(status)) {
        status = FloppySenseInterrupt(extension);
    }
    if (NT_SUCCESS(status) &&
        ((extension->Result[0] & (FDC_0_ENDED | FDC_0_SEEK_END)) != FDC_0_SEEK_END ||
         extension->Result[1] != cylinder)) {
        extension->Ready = FALSE;
        return STATUS_FLOPPY_WRONG_CYLINDER;
    }
    extension->Cylinder = cylinder;
    return status;
}

NTSTATUS FloppySeek(PFLOPPY_EXTENSION extension, UCHAR cylinder) {
    const UCHAR command[] = {FDC_SEEK, 0, cylinder};
    return FloppyMoveHead(extension, command, sizeof command, cylinder);
}

NTSTATUS FloppyRecalibrate(PFLOPPY_EXTENSION extension) {
    static const UCHAR command[] = {FDC_RECALIBRATE, 0};
    return FloppyMoveHead(extension, command, sizeof command, 0);
}

NTSTATUS FloppyDriveStatus(PFLOPPY_EXTENSION extension, UCHAR *status3) {
    static const UCHAR command[] = {FDC_SENSE_DRIVE, 0};
    if (!FloppySend(command, sizeof command) || !FloppyReceive(status3, 1)) {
        return FloppyLost(extension);
    }
    return STATUS_SUCCESS;
}

/* Nothing is connected yet, so by polling alone: an empty port reads as ones. */
BOOLEAN FloppyIsThere(VOID) {
    static const UCHAR command[] = {FDC_VERSION};
    UCHAR version = 0;
    if (READ_PORT_UCHAR(FDC_MAIN_STATUS) == 0xff) {
        return FALSE;
    }
    WRITE_PORT_UCHAR(FDC_DIGITAL_OUTPUT, FDC_OUTPUT_RUN | FDC_OUTPUT_GATE);
    return FloppySend(command, sizeof command) && FloppyReceive(&version, 1) && version == FDC_VERSION_82077;
}

NTSTATUS FloppyReset(PFLOPPY_EXTENSION extension) {
    static const UCHAR specify[] = {FDC_SPECIFY, FDC_STEP_HEAD, FDC_LOAD_DMA};
    static const UCHAR configure[] = {FDC_CONFIGURE, 0, FDC_FIFO_SEEK, 0};
    FloppyCounts.Resets++;
    KeClearEvent(&extension->Interrupted);
    KeSynchronizeExecution(extension->Interrupt, FloppyExpect, extension);
    FloppyOutput(extension, FDC_OUTPUT_RUN, 0);
    KeStallExecutionProcessor(10);
    FloppyOutput(extension, 0, FDC_OUTPUT_RUN);
    NTSTATUS status = FloppyWaitInterrupt(extension);
    for (ULONG drive = 0; drive < 4 && NT_SUCCESS(status); drive++) { /* it polls four drives, and tells of each */
        status = FloppySenseInterrupt(extension);
    }
    if (!NT_SUCCESS(status)) {
        return status;
    }
    WRITE_PORT_UCHAR(FDC_CONFIGURATION, FDC_500_KBPS);
    if (!FloppySend(configure, sizeof configure) || !FloppySend(specify, sizeof specify)) {
        return FloppyLost(extension);
    }
    status = FloppyRecalibrate(extension);
    extension->Ready = NT_SUCCESS(status);
    return status;
}
