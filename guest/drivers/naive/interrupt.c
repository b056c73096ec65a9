/* SPDX-License-Identifier: Apache-2.0 */
/* The interrupt path, the same for all cures: the ISR leaves what the device said, DpcForIsr completes the reads that it belongs to. */
#include "naive.h"

BOOLEAN NTAPI NaiveIsr(PKINTERRUPT Interrupt, PVOID ServiceContext, ULONG MessageId) {
    PDEVICE_OBJECT device = ServiceContext;
    PNAIVE_EXTENSION extension = device->DeviceExtension;
    NAIVE_DATA data = {MessageId, extension->Shared->Channel[MessageId].Result};
    UNREFERENCED_PARAMETER(Interrupt);
    NaiveCures[NaiveCure].Leave(extension, &data);
    extension->Shared->Channel[MessageId].Delivered++;
    if (!extension->Stopping) {
        IoRequestDpc(device, NULL, NULL);
    }
    return TRUE;
}

typedef struct _NAIVE_TAKE {
    PNAIVE_EXTENSION Extension;
    ULONG Count;
    NAIVE_DATA Data[NAIVE_MAXIMUM_CHANNELS];
    PIRP Irp[NAIVE_MAXIMUM_CHANNELS]; /* of each; NULL: nobody waits */
} NAIVE_TAKE;

/* SynchCritSection: DIRQL, the interrupt spin lock held. */
static BOOLEAN NTAPI NaiveTake(PVOID SynchronizeContext) {
    NAIVE_TAKE *take = SynchronizeContext;
    PNAIVE_EXTENSION extension = take->Extension;
    take->Count = NaiveCures[NaiveCure].Take(extension, take->Data);
    for (ULONG i = 0; i < take->Count; i++) {
        take->Irp[i] = extension->Request[take->Data[i].Channel];
        extension->Request[take->Data[i].Channel] = NULL;
    }
    return TRUE;
}

VOID NTAPI NaiveDpcForIsr(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    NAIVE_TAKE take = {.Extension = DeviceObject->DeviceExtension};
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    KeSynchronizeExecution(take.Extension->Messages->MessageInfo[0].InterruptObject, NaiveTake, &take);
    InterlockedIncrement64((volatile LONG64 *)&take.Extension->Shared->DpcRuns);
    if (take.Count == 0) {
        InterlockedIncrement64((volatile LONG64 *)&take.Extension->Shared->EmptyRuns);
    }
    for (ULONG i = 0; i < take.Count; i++) {
        if (take.Irp[i] != NULL) {
            NaiveEndRead(take.Irp[i], take.Data[i].Result);
        }
    }
}

NTSTATUS NaiveConnect(PDEVICE_OBJECT device) {
    PNAIVE_EXTENSION extension = device->DeviceExtension;
    IO_CONNECT_INTERRUPT_PARAMETERS parameters = {.Version = CONNECT_MESSAGE_BASED};
    extension->Stopping = FALSE;
    parameters.MessageBased.PhysicalDeviceObject = extension->PhysicalDevice;
    parameters.MessageBased.ConnectionContext.InterruptMessageTable = &extension->Messages;
    parameters.MessageBased.MessageServiceRoutine = NaiveIsr;
    parameters.MessageBased.ServiceContext = device;
    parameters.MessageBased.SpinLock = &extension->InterruptLock;
    return IoConnectInterruptEx(&parameters);
}

static BOOLEAN NTAPI NaiveSetStopping(PVOID SynchronizeContext) {
    ((PNAIVE_EXTENSION)SynchronizeContext)->Stopping = TRUE;
    return TRUE;
}

/* No new DPC, then none left, then no interrupt: the DPC uses the interrupt object, so that goes last. */
VOID NaiveDisconnect(PNAIVE_EXTENSION extension) {
    KIRQL irql;
    if (extension->Messages == NULL) {
        return;
    }
    KeSynchronizeExecution(extension->Messages->MessageInfo[0].InterruptObject, NaiveSetStopping, extension);
    KeFlushQueuedDpcs();
    NaiveCancelReads(extension);
    IoAcquireCancelSpinLock(&irql); /* a Cancel routine that is on its way uses the interrupt object under this lock */
    IoReleaseCancelSpinLock(irql);
    IO_DISCONNECT_INTERRUPT_PARAMETERS parameters = {.Version = CONNECT_MESSAGE_BASED};
    parameters.ConnectionContext.InterruptMessageTable = extension->Messages;
    IoDisconnectInterruptEx(&parameters);
    extension->Messages = NULL;
}
