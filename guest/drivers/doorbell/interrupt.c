/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interrupt path: the ISR counts, DpcForIsr takes the counts under the interrupt spin lock and tells the host. A count
 * that the ISR adds to survives any number of interrupts before the DPC runs, where a single value would be overwritten.
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

typedef struct _DOORBELL_TAKE {
    PDOORBELL_EXTENSION Extension;
    ULONG64 Taken[DOORBELL_MAXIMUM_VECTORS];
} DOORBELL_TAKE;

/* SynchCritSection: DIRQL, InterruptLock held. */
static BOOLEAN NTAPI DoorbellTakePending(PVOID SynchronizeContext) {
    DOORBELL_TAKE *take = SynchronizeContext;
    PDOORBELL_EXTENSION extension = take->Extension;
    BOOLEAN any = FALSE;
    for (ULONG i = 0; i < extension->Messages->MessageCount; i++) {
        take->Taken[i] = extension->Pending[i];
        extension->Pending[i] = 0;
        any |= take->Taken[i] != 0;
    }
    return any;
}

VOID NTAPI DoorbellDpcForIsr(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    PDOORBELL_EXTENSION extension = DeviceObject->DeviceExtension;
    DOORBELL_TAKE take = {.Extension = extension};
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    BOOLEAN any =
        KeSynchronizeExecution(extension->Messages->MessageInfo[0].InterruptObject, DoorbellTakePending, &take);
    KeAcquireSpinLockAtDpcLevel(&extension->TotalLock);
    extension->Shared->DpcRuns++;
    for (ULONG i = 0; i < extension->Messages->MessageCount; i++) {
        if (take.Taken[i] != 0) {
            extension->Total[i] += take.Taken[i];
            extension->Shared->Vector[i].Acknowledged = extension->Total[i];
        }
    }
    KeReleaseSpinLockFromDpcLevel(&extension->TotalLock);
    if (any) {
        WRITE_REGISTER_ULONG(&extension->Registers->Doorbell, (ULONG)extension->Shared->HostPeer << 16);
    }
}
