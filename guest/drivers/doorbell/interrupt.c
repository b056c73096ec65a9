/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interrupt path: the ISR counts, DpcForIsr takes the counts under the interrupt spin lock, tells the host and completes a
 * read. A count that the ISR adds to survives any number of interrupts before the DPC runs, where a single value would be
 * overwritten (naive.sys shows that).
 */
#include "doorbell.h"

BOOLEAN NTAPI DoorbellIsr(PKINTERRUPT Interrupt, PVOID ServiceContext, ULONG MessageId) {
    PDEVICE_OBJECT device = ServiceContext;
    PDOORBELL_EXTENSION extension = device->DeviceExtension;
    DOORBELL_VECTOR *vector = &extension->Shared->Vector[MessageId];
    ULONG64 sent = vector->Sent;
    ULONG64 arrived = sent - extension->Seen[MessageId];
    UNREFERENCED_PARAMETER(Interrupt);
    extension->Seen[MessageId] = sent;
    extension->Pending[MessageId] += arrived;
    vector->Delivered++;
    vector->Merged += (LONG64)arrived - 1;
    if (!extension->Stopping) {
        IoRequestDpc(device, NULL, NULL);
    }
    return TRUE;
}

/* The vectors from First up to End are guarded by one interrupt spin lock. */
typedef struct _DOORBELL_TAKE {
    PDOORBELL_EXTENSION Extension;
    ULONG First;
    ULONG End;
    ULONG64 Taken[DOORBELL_MAXIMUM_VECTORS];
} DOORBELL_TAKE;

/* SynchCritSection: DIRQL, their lock held. */
static BOOLEAN NTAPI DoorbellTakePending(PVOID SynchronizeContext) {
    DOORBELL_TAKE *take = SynchronizeContext;
    PDOORBELL_EXTENSION extension = take->Extension;
    BOOLEAN any = FALSE;
    for (ULONG i = take->First; i < take->End; i++) {
        take->Taken[i] = extension->Pending[i];
        extension->Pending[i] = 0;
        any |= take->Taken[i] != 0;
    }
    return any;
}

/* SynchCritSection */
static BOOLEAN NTAPI DoorbellSetStopping(PVOID SynchronizeContext) {
    ((DOORBELL_TAKE *)SynchronizeContext)->Extension->Stopping = TRUE;
    return TRUE;
}

/* Calls a routine under each interrupt spin lock in turn, for the vectors that it guards. Returns whether any call was TRUE. */
static BOOLEAN DoorbellUnderLocks(DOORBELL_TAKE *take, PKSYNCHRONIZE_ROUTINE routine) {
    PIO_INTERRUPT_MESSAGE_INFO messages = take->Extension->Messages;
    ULONG guarded = take->Extension->LockPerVector ? 1 : messages->MessageCount;
    BOOLEAN any = FALSE;
    for (take->First = 0; take->First < messages->MessageCount; take->First = take->End) {
        take->End = take->First + guarded;
        any |= KeSynchronizeExecution(messages->MessageInfo[take->First].InterruptObject, routine, take);
    }
    return any;
}

VOID NTAPI DoorbellDpcForIsr(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    PDOORBELL_EXTENSION extension = DeviceObject->DeviceExtension;
    DOORBELL_TAKE take = {.Extension = extension};
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    BOOLEAN any = DoorbellUnderLocks(&take, DoorbellTakePending);
    KeAcquireSpinLockAtDpcLevel(&extension->CountLock);
    extension->Shared->DpcRuns++;
    for (ULONG i = 0; i < extension->Messages->MessageCount; i++) {
        if (take.Taken[i] != 0) {
            extension->Total[i] += take.Taken[i];
            extension->Unread[i] += take.Taken[i];
            extension->Shared->Vector[i].Acknowledged = extension->Total[i];
        }
    }
    PIRP reader = any ? DoorbellTakeReader(extension) : NULL;
    KeReleaseSpinLockFromDpcLevel(&extension->CountLock);
    if (reader != NULL) {
        DoorbellEndRead(DeviceObject, reader);
    }
    if (any) {
        WRITE_REGISTER_ULONG(&extension->Registers->Doorbell, (ULONG)extension->Shared->HostPeer << 16);
    }
}

NTSTATUS DoorbellConnect(PDEVICE_OBJECT device) {
    PDOORBELL_EXTENSION extension = device->DeviceExtension;
    IO_CONNECT_INTERRUPT_PARAMETERS parameters = {.Version = CONNECT_MESSAGE_BASED};
    extension->Stopping = FALSE;
    parameters.MessageBased.PhysicalDeviceObject = extension->PhysicalDevice;
    parameters.MessageBased.ConnectionContext.InterruptMessageTable = &extension->Messages;
    parameters.MessageBased.MessageServiceRoutine = DoorbellIsr;
    parameters.MessageBased.ServiceContext = device;
    /* Without one of the driver's, each vector's interrupt object has a lock of its own. */
    parameters.MessageBased.SpinLock = extension->LockPerVector ? NULL : &extension->InterruptLock;
    return IoConnectInterruptEx(&parameters);
}

/* The DPC uses the interrupt objects, so they go last. */
VOID DoorbellDisconnect(PDOORBELL_EXTENSION extension) {
    DOORBELL_TAKE take = {.Extension = extension};
    if (extension->Messages == NULL) {
        return;
    }
    DoorbellUnderLocks(&take, DoorbellSetStopping);
    KeFlushQueuedDpcs();
    IO_DISCONNECT_INTERRUPT_PARAMETERS parameters = {.Version = CONNECT_MESSAGE_BASED};
    parameters.ConnectionContext.InterruptMessageTable = extension->Messages;
    IoDisconnectInterruptEx(&parameters);
    extension->Messages = NULL;
}
