/* SPDX-License-Identifier: Apache-2.0 */
/*
 * naive.sys: a driver that is wrong, and two ways to make it right. Its ISR leaves what the device said (which channel is done, and
 * the result) for its DpcForIsr. The interrupt spin lock guards that, and yet it does not last: the next interrupt, on whatever CPU,
 * may come before the DpcForIsr has run ("Using Spin Locks: An Example", its end). The registry parameter Cure chooses:
 *
 *   0  none: the data is in the device extension, and the next interrupt writes over it
 *   1  the ISR puts the data into the IRP that it belongs to
 *   2  an ISR-augmented count: the ISR adds an entry, DpcForIsr deals with as many as the count says and sets it to zero
 *
 * cures.c has the three, side by side; interrupt.c what they share; driver.c Plug and Play; request.c the reads.
 */
#pragma once

#include <ntddk.h>

#include "shared.h"

#define NAIVE_NAME L"\\Device\\Naive0"
#define NAIVE_LINK L"\\??\\Naive0"

/* What an interrupt said. */
typedef struct _NAIVE_DATA {
    ULONG Channel;
    ULONG64 Result; /* 0: nothing */
} NAIVE_DATA;

typedef struct _NAIVE_EXTENSION {
    PDEVICE_OBJECT PhysicalDevice;
    PDEVICE_OBJECT LowerDevice;
    NAIVE_SHARED *Shared;
    SIZE_T SharedBytes;
    PIO_INTERRUPT_MESSAGE_INFO Messages; /* NULL: interrupts are not connected */
    KSPIN_LOCK InterruptLock;            /* one for all channels; guards all that follows */
    BOOLEAN Stopping;
    PIRP Request[NAIVE_MAXIMUM_CHANNELS]; /* the read that waits for the channel's operation; NULL: none */
    NAIVE_DATA Latest;                    /* no cure */
    NAIVE_DATA
    Entry[NAIVE_MAXIMUM_CHANNELS]; /* cure 2: the first Count of them; a channel has one operation at a time */
    ULONG Count;
} NAIVE_EXTENSION, *PNAIVE_EXTENSION;

/* cures.c: both at DIRQL, the interrupt spin lock held. Take gives what DpcForIsr has to deal with, and returns how much. */
typedef struct _NAIVE_CURE {
    VOID (*Leave)(PNAIVE_EXTENSION extension, const NAIVE_DATA *data);
    ULONG (*Take)(PNAIVE_EXTENSION extension, NAIVE_DATA *taken);
} NAIVE_CURE;
extern const NAIVE_CURE NaiveCures[3];
extern ULONG NaiveCure;

/* interrupt.c */
KMESSAGE_SERVICE_ROUTINE NaiveIsr;
IO_DPC_ROUTINE NaiveDpcForIsr;
NTSTATUS NaiveConnect(PDEVICE_OBJECT device);
VOID NaiveDisconnect(PNAIVE_EXTENSION extension);

/* request.c */
DRIVER_DISPATCH NaiveRead;
DRIVER_DISPATCH NaiveOpenClose; /* IRP_MJ_CREATE, IRP_MJ_CLOSE */
DRIVER_DISPATCH NaiveCleanup;
VOID NaiveEndRead(PIRP irp, ULONG64 result); /* the IRP is nobody else's */
VOID NaiveCancelReads(PNAIVE_EXTENSION extension);

/* driver.c */
DRIVER_INITIALIZE DriverEntry;
