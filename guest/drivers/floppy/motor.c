/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The motor. A dispatch routine that queues a request cancels the timer, the thread sets it after the last request, its DPC stops
 * the motor; all three on any CPU, so the timer object and what decides its meaning are under MotorLock. A timer that is
 * cancelled too late has its DPC queued already, or running: therefore the DPC decides by MotorUsers, not by having been called.
 */
#include "floppy.h"

static KDEFERRED_ROUTINE FloppyMotorDpc;

static VOID FloppyWriteOutput(PFLOPPY_EXTENSION extension, UCHAR value) {
    extension->Output = value;
    WRITE_PORT_UCHAR(FDC_DIGITAL_OUTPUT, value);
}

/* DISPATCH_LEVEL: the CustomTimerDpc. */
static VOID NTAPI FloppyMotorDpc(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    PFLOPPY_EXTENSION extension = DeferredContext;
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    KeAcquireSpinLockAtDpcLevel(&extension->MotorLock);
    if (extension->MotorUsers != 0 || !KeReadStateTimer(&extension->MotorTimer)) {
        FloppyCounts.MotorKept++; /* a request is here, or was, and the timer has been set again */
    } else if (extension->Output & FDC_OUTPUT_MOTOR) {
        FloppyCounts.MotorStops++;
        FloppyWriteOutput(extension, extension->Output & (UCHAR)~FDC_OUTPUT_MOTOR);
    }
    KeReleaseSpinLockFromDpcLevel(&extension->MotorLock);
}

VOID FloppyInitializeMotor(PFLOPPY_EXTENSION extension) {
    KeInitializeSpinLock(&extension->MotorLock);
    KeInitializeTimer(&extension->MotorTimer);
    KeInitializeDpc(&extension->MotorDpc, FloppyMotorDpc, extension);
    extension->Output = FDC_OUTPUT_RUN | FDC_OUTPUT_GATE;
}

VOID FloppyHoldMotor(PFLOPPY_EXTENSION extension) {
    KIRQL irql;
    KeAcquireSpinLock(&extension->MotorLock, &irql);
    if (extension->MotorUsers++ == 0) {
        KeCancelTimer(&extension->MotorTimer);
    }
    KeReleaseSpinLock(&extension->MotorLock, irql);
}

VOID FloppyReleaseMotor(PFLOPPY_EXTENSION extension) {
    KIRQL irql;
    KeAcquireSpinLock(&extension->MotorLock, &irql);
    if (--extension->MotorUsers == 0) {
        KeSetTimer(&extension->MotorTimer, extension->MotorOff, &extension->MotorDpc);
    }
    KeReleaseSpinLock(&extension->MotorLock, irql);
}

VOID FloppyStartMotor(PFLOPPY_EXTENSION extension) {
    KIRQL irql;
    KeAcquireSpinLock(&extension->MotorLock, &irql);
    BOOLEAN stands = (extension->Output & FDC_OUTPUT_MOTOR) == 0;
    if (stands) {
        FloppyCounts.MotorStarts++;
        FloppyWriteOutput(extension, extension->Output | FDC_OUTPUT_MOTOR);
    }
    KeReleaseSpinLock(&extension->MotorLock, irql);
    if (stands) {
        KeDelayExecutionThread(KernelMode, FALSE, &extension->SpinUp);
    }
}

VOID FloppyStopMotor(PFLOPPY_EXTENSION extension) {
    KIRQL irql;
    KeAcquireSpinLock(&extension->MotorLock, &irql);
    KeCancelTimer(&extension->MotorTimer);
    FloppyWriteOutput(extension, extension->Output & (UCHAR)~FDC_OUTPUT_MOTOR);
    KeReleaseSpinLock(&extension->MotorLock, irql);
    KeFlushQueuedDpcs(); /* the timer's may still be under way */
}

VOID FloppyOutput(PFLOPPY_EXTENSION extension, UCHAR clear, UCHAR set) {
    KIRQL irql;
    KeAcquireSpinLock(&extension->MotorLock, &irql);
    FloppyWriteOutput(extension, (extension->Output & (UCHAR)~clear) | set);
    KeReleaseSpinLock(&extension->MotorLock, irql);
}
