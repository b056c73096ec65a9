/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edu.sys: a WDM function driver for QEMU's "edu" device (1234:11e8; QEMU's documentation, "EDU device"). Requests wait in a
 * cancel-safe queue and are worked on one at a time: a factorial, which the device computes in its own time, or a transfer between
 * its memory and a caller's buffer. Both end in an interrupt, by line or by message.
 *
 * Locks: the interrupt spin lock guards Raised; QueueLock guards the queue, Current and Open.
 */
#pragma once

#include <ntddk.h>

#include "shared.h"

#define EDU_TAG       ' udE'
#define EDU_MEMORY    0x40000u /* where its memory lies for its own DMA */
#define EDU_MOST      2048u    /* bytes at a time: a request takes several pieces */
#define EDU_FACTORIAL 0x001u   /* in the interrupt status: done */
#define EDU_DMA_DONE  0x100u

typedef struct _EDU_REGISTERS {
    ULONG Identity;
    ULONG Liveness;
    ULONG Factorial; /* write: compute; read: the result */
    ULONG Unused1[5];
    ULONG Status; /* bit 0: it computes, bit 7: it is to interrupt when done */
    ULONG InterruptStatus;
    ULONG Unused2[14];
    ULONG Raise;
    ULONG Acknowledge;
    ULONG Unused3[6];
    ULONG64 Source;
    ULONG64 Destination;
    ULONG64 Count;
    ULONG64 Command; /* bit 0: go, bit 1: to memory, bit 2: interrupt when done */
} EDU_REGISTERS;
C_ASSERT(FIELD_OFFSET(EDU_REGISTERS, Status) == 0x20);
C_ASSERT(FIELD_OFFSET(EDU_REGISTERS, Raise) == 0x60);
C_ASSERT(FIELD_OFFSET(EDU_REGISTERS, Source) == 0x80);

typedef struct _EDU_EXTENSION {
    PDEVICE_OBJECT Device;
    PDEVICE_OBJECT PhysicalDevice;
    PDEVICE_OBJECT LowerDevice;
    UNICODE_STRING Link;
    WCHAR LinkText[16];
    volatile EDU_REGISTERS *Registers; /* NULL: not started */
    SIZE_T RegistersBytes;
    ULONG ConnectVersion; /* CONNECT_...; 0: no interrupt is connected */
    PIO_INTERRUPT_MESSAGE_INFO Messages;
    PKINTERRUPT Interrupt; /* the line's, or the one message's */
    KSPIN_LOCK InterruptLock;
    ULONG Raised; /* what the ISR has drained and the DPC has not taken */
    PDMA_ADAPTER Adapter;
    ULONG MapRegisters;

    IO_REMOVE_LOCK RemoveLock;
    IO_CSQ Csq;
    KSPIN_LOCK QueueLock;
    LIST_ENTRY Queue;
    BOOLEAN Open;    /* requests are begun; otherwise they wait */
    BOOLEAN Removed; /* or fail */
    PIRP Current;
    KEVENT Idle; /* no request is being worked on */

    /* Of the current transfer. */
    PVOID MapBase;
    PUCHAR Va;   /* of the piece that is under way */
    ULONG Piece; /* its bytes */
    ULONG Done;  /* bytes before it */
    ULONG Pages;
} EDU_EXTENSION, *PEDU_EXTENSION;

extern ULONG EduUseMessages; /* parameters of the registry */
extern ULONG EduAddressBits;

/* pnp.c */
DRIVER_ADD_DEVICE EduAddDevice;
DRIVER_DISPATCH EduPnp;
DRIVER_DISPATCH EduPower;
DRIVER_DISPATCH EduPassDown;

/* interrupt.c: DIRQL, InterruptLock held; the DPC at DISPATCH_LEVEL. */
KSERVICE_ROUTINE EduIsr;
KMESSAGE_SERVICE_ROUTINE EduMessageIsr;
IO_DPC_ROUTINE EduDpcForIsr;

/* queue.c: IRQL <= DISPATCH_LEVEL */
VOID EduInitializeQueue(PEDU_EXTENSION extension);
NTSTATUS EduQueue(PEDU_EXTENSION extension, PIRP irp); /* STATUS_PENDING */
VOID EduFinish(PEDU_EXTENSION extension, NTSTATUS status,
               ULONG_PTR information); /* the current one; and begins the next */
VOID EduOpenQueue(PEDU_EXTENSION extension);
VOID EduCloseQueue(PEDU_EXTENSION extension); /* PASSIVE_LEVEL: waits until no request is being worked on */
VOID EduFailQueue(PEDU_EXTENSION extension, NTSTATUS status, BOOLEAN for_ever);

/* transfer.c: DISPATCH_LEVEL, Current is set and its caller's alone. */
VOID EduBegin(PEDU_EXTENSION extension);
VOID EduFactorialDone(PEDU_EXTENSION extension);
VOID EduPieceDone(PEDU_EXTENSION extension);
