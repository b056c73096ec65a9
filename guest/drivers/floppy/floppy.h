/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's own state. Two executive spin locks, as seed 003 has them for the system floppy driver: QueueLock belongs to
 * the ExInterlocked routines and guards the work queue between the dispatch routines and the device's own thread; MotorLock
 * guards the motor: its timer object, shared by dispatch routines, thread and the timer's DPC, and the register with its bit.
 */
#pragma once

#include <ntddk.h>

#include <ddkinterrupts.h>
#include <ntdddisk.h>

#include "controller.h"

#define FLOPPY_TAG              'polF'
#define FLOPPY_SECTOR           512u
#define FLOPPY_SECTORS          18u /* of a track, 1.44 MB */
#define FLOPPY_HEADS            2u
#define FLOPPY_CYLINDERS        80u
#define FLOPPY_CYLINDER_SECTORS (FLOPPY_SECTORS * FLOPPY_HEADS)
#define FLOPPY_BYTES            1474560ll /* of all cylinders */

/* What the driver has seen, for whoever looks on. Each has one lock or thread that writes it. */
typedef struct _FLOPPY_COUNTS {
    volatile ULONG64 Interrupts;  /* interrupt lock: those that a command waited for */
    volatile ULONG64 Strays;      /* interrupt lock: others */
    volatile ULONG64 MotorStarts; /* MotorLock */
    volatile ULONG64 MotorStops;  /* MotorLock: by the timer */
    volatile ULONG64 MotorKept;   /* MotorLock: the timer's DPC came too late, a request had come before it */
    volatile ULONG64 Transfers;   /* thread: commands that moved data */
    volatile ULONG64 Stalled;     /* thread: commands whose motor was not on when they ended */
    volatile ULONG64 Retries;     /* thread */
    volatile ULONG64 Resets;      /* thread */
    volatile ULONG64 Cancelled;   /* thread: requests that were cancelled while they waited */
} FLOPPY_COUNTS;

typedef struct _FLOPPY_EXTENSION {
    PDEVICE_OBJECT Device;
    PKINTERRUPT Interrupt;
    PDMA_ADAPTER Adapter;
    ULONG MapRegisters; /* the most that the adapter gives at once */

    KSPIN_LOCK QueueLock;
    LIST_ENTRY Queue; /* of FLOPPY_REQUEST */
    KSEMAPHORE Work;  /* as many as there are entries, and one to end */
    PVOID Thread;

    KSPIN_LOCK MotorLock;
    KTIMER MotorTimer;
    KDPC MotorDpc;
    ULONG MotorUsers; /* requests that are queued or being worked on */
    UCHAR Output;     /* what the digital output register holds */
    LARGE_INTEGER MotorOff;
    LARGE_INTEGER SpinUp;

    BOOLEAN Expected; /* interrupt lock: the thread waits for an interrupt */
    BOOLEAN Arrived;  /* interrupt lock */
    KEVENT Interrupted;

    /* The thread's alone. */
    KEVENT ChannelGranted;
    PVOID MapRegisterBase;
    BOOLEAN Ready;     /* the controller is set up and its head was at cylinder 0 since */
    BOOLEAN Reported;  /* the last change of media has been told */
    ULONG MediaChange; /* how often there was other media, the first included */
    UCHAR Cylinder;
    UCHAR Result[7];
} FLOPPY_EXTENSION, *PFLOPPY_EXTENSION;

extern FLOPPY_COUNTS FloppyCounts;

/* queue.c */
NTSTATUS FloppyQueue(PFLOPPY_EXTENSION extension, PIRP irp); /* <= DISPATCH_LEVEL; what the dispatch routine returns */
NTSTATUS FloppyComplete(PIRP irp, NTSTATUS status, ULONG_PTR information);
NTSTATUS FloppyStartThread(PFLOPPY_EXTENSION extension);
VOID FloppyStopThread(PFLOPPY_EXTENSION extension);

/* motor.c */
VOID FloppyInitializeMotor(PFLOPPY_EXTENSION extension);
VOID FloppyHoldMotor(PFLOPPY_EXTENSION extension);    /* <= DISPATCH_LEVEL: a request has come, no stop from now on */
VOID FloppyReleaseMotor(PFLOPPY_EXTENSION extension); /* <= DISPATCH_LEVEL: it is done; the last one sets the timer */
VOID FloppyStartMotor(PFLOPPY_EXTENSION extension);   /* thread: returns when it turns at full speed */
VOID FloppyStopMotor(PFLOPPY_EXTENSION extension);    /* PASSIVE_LEVEL, no request is left: now, and no timer */
VOID FloppyOutput(PFLOPPY_EXTENSION extension, UCHAR clear, UCHAR set);

/* controller.c: thread, but for the interrupt's routines. */
KSERVICE_ROUTINE FloppyIsr;
IO_DPC_ROUTINE FloppyDpcForIsr;
BOOLEAN FloppyIsThere(VOID);
NTSTATUS FloppyReset(PFLOPPY_EXTENSION extension);
NTSTATUS FloppySeek(PFLOPPY_EXTENSION extension, UCHAR cylinder);
NTSTATUS FloppyRecalibrate(PFLOPPY_EXTENSION extension);
NTSTATUS FloppyDriveStatus(PFLOPPY_EXTENSION extension, UCHAR *status3);
/* A command that interrupts when it is through, and its result bytes. */
NTSTATUS FloppyCommand(PFLOPPY_EXTENSION extension, const UCHAR *bytes, ULONG count, ULONG results);

/* media.c: thread. Makes drive and controller ready. STATUS_NO_MEDIA_IN_DEVICE. */
NTSTATUS FloppyPrepare(PFLOPPY_EXTENSION extension);
VOID FloppyControl(PFLOPPY_EXTENSION extension, PIRP irp);

/* transfer.c: thread. */
VOID FloppyTransfer(PFLOPPY_EXTENSION extension, PIRP irp);

DRIVER_INITIALIZE DriverEntry;
