/* SPDX-License-Identifier: Apache-2.0 */
/* Device queues, StartIo, cancelling, cancel-safe queues and a device's timer: the contracts (see ../nt.h). */
#pragma once

#include "../ddk.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/*
 * Device queues (ke/devicequeue.c): a queue with a state. Not busy: Insert says FALSE, leaves the entry alone and makes the queue
 * busy; the caller has the device. Busy: Insert says TRUE, and the entry is the last, or by key behind all whose key is not
 * greater. Remove gives the first entry, or by key the first whose key is not less, else the first; no entry: NULL, and the queue is
 * not busy any more. On a queue that is not busy Remove is an error; IfBusy then gives NULL and does nothing. RemoveEntry: FALSE, the
 * entry is not queued. IRQL: Initialize any; RemoveEntry <= DISPATCH_LEVEL; all others DISPATCH_LEVEL.
 */
VOID NTAPI KeInitializeDeviceQueue(PKDEVICE_QUEUE DeviceQueue);
BOOLEAN NTAPI KeInsertDeviceQueue(PKDEVICE_QUEUE DeviceQueue, PKDEVICE_QUEUE_ENTRY DeviceQueueEntry);
BOOLEAN NTAPI KeInsertByKeyDeviceQueue(PKDEVICE_QUEUE DeviceQueue, PKDEVICE_QUEUE_ENTRY DeviceQueueEntry,
                                       ULONG SortKey);
PKDEVICE_QUEUE_ENTRY NTAPI KeRemoveDeviceQueue(PKDEVICE_QUEUE DeviceQueue);
PKDEVICE_QUEUE_ENTRY NTAPI KeRemoveByKeyDeviceQueue(PKDEVICE_QUEUE DeviceQueue, ULONG SortKey);
PKDEVICE_QUEUE_ENTRY NTAPI KeRemoveByKeyDeviceQueueIfBusy(PKDEVICE_QUEUE DeviceQueue, ULONG SortKey);
BOOLEAN NTAPI KeRemoveEntryDeviceQueue(PKDEVICE_QUEUE DeviceQueue, PKDEVICE_QUEUE_ENTRY DeviceQueueEntry);

/*
 * StartIo (io/startio.c), which is called at DISPATCH_LEVEL with no lock held. IoStartPacket: IRQL <= DISPATCH_LEVEL; makes the IRP
 * the current one and calls StartIo, or queues it, by key if Key is not NULL. CancelFunction is then its Cancel routine; an IRP
 * that has been cancelled already and is queued gets it called at once, one that StartIo is called for does not: StartIo looks at
 * Irp->Cancel. IoStartNextPacket: DISPATCH_LEVEL; ByKey: IRQL <= DISPATCH_LEVEL. The next IRP becomes the current one and StartIo is
 * called, or there is none, and the device is not busy any more. Cancelable: the cancel spin lock guards queue and CurrentIrp.
 * Attributes: any IRQL. DeferredStartIo: nobody is in StartIo twice, on whatever CPUs; the call is made by the CPU that is in it,
 * when it comes back. NonCancelable: an IRP that StartIo is called for has no Cancel routine any more.
 */
VOID NTAPI IoStartPacket(PDEVICE_OBJECT DeviceObject, PIRP Irp, PULONG Key, PDRIVER_CANCEL CancelFunction);
VOID NTAPI IoStartNextPacket(PDEVICE_OBJECT DeviceObject, BOOLEAN Cancelable);
VOID NTAPI IoStartNextPacketByKey(PDEVICE_OBJECT DeviceObject, BOOLEAN Cancelable, ULONG Key);
VOID NTAPI IoSetStartIoAttributes(PDEVICE_OBJECT DeviceObject, BOOLEAN DeferredStartIo, BOOLEAN NonCancelable);

/*
 * Cancelling (io/cancel.c). IRQL <= DISPATCH_LEVEL. IoCancelIrp marks the IRP as cancelled and calls its Cancel routine, if it has
 * one, at DISPATCH_LEVEL with the cancel spin lock held, once; the routine releases the lock by Irp->CancelIrql and returns, at that
 * level; it still held: bugcheck 0x11B. TRUE: there was a routine. The caller holds no cancel spin lock.
 * IoAcquireCancelSpinLock: DISPATCH_LEVEL out, Release restores. IoSetCancelRoutine is inline: who gets the old routine back has the IRP.
 */
BOOLEAN NTAPI IoCancelIrp(PIRP Irp);
VOID NTAPI IoAcquireCancelSpinLock(PKIRQL Irql);
VOID NTAPI IoReleaseCancelSpinLock(KIRQL Irql);

/*
 * Cancel-safe queues (io/csq.c): the driver's routines keep the queue and lock it, these decide who has an IRP. IRQL <=
 * DISPATCH_LEVEL. Insert marks the IRP pending; one that has been cancelled already is not inserted but completed by the driver's
 * CompleteCanceledIrp. InsertEx gives the value of the driver's InsertIrpEx; an error leaves the IRP to the caller. STATUS_SUCCESS where
 * there is no such routine, and for an IRP that was cancelled. Remove: NULL, it is not queued any more, or is being cancelled.
 * DriverContext[3] of a queued IRP is the queue's.
 */
NTSTATUS NTAPI IoCsqInitialize(PIO_CSQ Csq, PIO_CSQ_INSERT_IRP CsqInsertIrp, PIO_CSQ_REMOVE_IRP CsqRemoveIrp,
                               PIO_CSQ_PEEK_NEXT_IRP CsqPeekNextIrp, PIO_CSQ_ACQUIRE_LOCK CsqAcquireLock,
                               PIO_CSQ_RELEASE_LOCK CsqReleaseLock,
                               PIO_CSQ_COMPLETE_CANCELED_IRP CsqCompleteCanceledIrp);
NTSTATUS NTAPI IoCsqInitializeEx(PIO_CSQ Csq, PIO_CSQ_INSERT_IRP_EX CsqInsertIrp, PIO_CSQ_REMOVE_IRP CsqRemoveIrp,
                                 PIO_CSQ_PEEK_NEXT_IRP CsqPeekNextIrp, PIO_CSQ_ACQUIRE_LOCK CsqAcquireLock,
                                 PIO_CSQ_RELEASE_LOCK CsqReleaseLock,
                                 PIO_CSQ_COMPLETE_CANCELED_IRP CsqCompleteCanceledIrp);
VOID NTAPI IoCsqInsertIrp(PIO_CSQ Csq, PIRP Irp, PIO_CSQ_IRP_CONTEXT Context);
NTSTATUS NTAPI IoCsqInsertIrpEx(PIO_CSQ Csq, PIRP Irp, PIO_CSQ_IRP_CONTEXT Context, PVOID InsertContext);
PIRP NTAPI IoCsqRemoveIrp(PIO_CSQ Csq, PIO_CSQ_IRP_CONTEXT Context);
PIRP NTAPI IoCsqRemoveNextIrp(PIO_CSQ Csq, PVOID PeekContext);

/*
 * A device's timer (io/iotimer.c): its routine is called at DISPATCH_LEVEL once a second from IoStartTimer on, until IoStopTimer.
 * Initialize: PASSIVE_LEVEL, once for a device. Start, Stop: IRQL <= DISPATCH_LEVEL; Stop not from the routine. When Stop returns a
 * call that had begun on another CPU may still be about to end; IoDeleteDevice waits for that one.
 */
NTSTATUS NTAPI IoInitializeTimer(PDEVICE_OBJECT DeviceObject, PIO_TIMER_ROUTINE TimerRoutine, PVOID Context);
VOID NTAPI IoStartTimer(PDEVICE_OBJECT DeviceObject);
VOID NTAPI IoStopTimer(PDEVICE_OBJECT DeviceObject);

/* NOLINTEND(readability-redundant-declaration) */
