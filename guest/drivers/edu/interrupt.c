/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interrupt: drained until the device has none left, for a cause that is raised while another is up sends no message of its own
 * that would be seen apart from it, and a line that is still up would only come again.
 */
#include "edu.h"

extern EDU_COUNTS EduCounts;

BOOLEAN NTAPI EduIsr(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    PEDU_EXTENSION extension = ((PDEVICE_OBJECT)ServiceContext)->DeviceExtension;
    BOOLEAN any = FALSE;
    ULONG status;
    UNREFERENCED_PARAMETER(Interrupt);
    while ((status = READ_REGISTER_ULONG((PULONG)&extension->Registers->InterruptStatus)) != 0) {
        WRITE_REGISTER_ULONG((PULONG)&extension->Registers->Acknowledge, status);
        for (ULONG bits = status; bits != 0; bits &= bits - 1) {
            EduCounts.Raised++;
        }
        extension->Raised |= status;
        any = TRUE;
    }
    if (!any) {
        EduCounts.Refused++;
        return FALSE;
    }
    EduCounts.Interrupts++;
    IoRequestDpc(extension->Device, NULL, NULL);
    return TRUE;
}

BOOLEAN NTAPI EduMessageIsr(PKINTERRUPT Interrupt, PVOID ServiceContext, ULONG MessageId) {
    UNREFERENCED_PARAMETER(MessageId);
    return EduIsr(Interrupt, ServiceContext);
}

typedef struct _EDU_TAKE {
    PEDU_EXTENSION Extension;
    ULONG Raised;
} EDU_TAKE;

/* SynchCritSection: DIRQL, InterruptLock held. */
static BOOLEAN NTAPI EduTakeRaised(PVOID SynchronizeContext) {
    EDU_TAKE *take = SynchronizeContext;
    take->Raised = take->Extension->Raised;
    take->Extension->Raised = 0;
    for (ULONG bits = take->Raised; bits != 0; bits &= bits - 1) {
        EduCounts.Taken++;
    }
    return TRUE;
}

VOID NTAPI EduDpcForIsr(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    EDU_TAKE take = {DeviceObject->DeviceExtension, 0};
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    KeSynchronizeExecution(take.Extension->Interrupt, EduTakeRaised, &take);
    if ((take.Raised & EDU_DMA_DONE) != 0) { /* one request at a time: never both */
        EduPieceDone(take.Extension);
    } else if ((take.Raised & EDU_FACTORIAL) != 0) {
        EduFactorialDone(take.Extension);
    }
}
