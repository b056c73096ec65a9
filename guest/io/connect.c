/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IoConnectInterrupt and IoConnectInterruptEx: from what a driver says of its interrupt to interrupt objects. Lines and
 * their routing are in io/line.c, messages in io/messages.c.
 */
#include "../include/mutant.h"
#include "iop.h"

#include "../hal/hal.h"

static BOOLEAN IopIsMessageVector(ULONG vector) {
    for (ULONG location = 0; location < 0x100; location++) {
        IOP_PDO *pdo = IopPdoOf(IopFindPdo(location));
        for (ULONG i = 0; pdo != NULL && i < pdo->MessageCount; i++) {
            if (pdo->MessageVector[i] == vector) {
                return TRUE;
            }
        }
    }
    return FALSE;
}

/* INT-5, INT-6, INT-9: what can be said of the parameters alone. */
static NTSTATUS IopCheckParameters(const KI_INTERRUPT_PARAMETERS *p) {
    if (p->Irql == PASSIVE_LEVEL) {
        if (p->SpinLock != NULL &&
            !MUTANT(PassiveTakesLock, "INT-9", "a passive-level interrupt is not refused for its spin lock")) {
            return STATUS_INVALID_PARAMETER;
        }
        if (p->SynchronizeIrql != PASSIVE_LEVEL) {
            return STATUS_INVALID_PARAMETER;
        }
    }
    if (!KiIsDeviceVector(p->Vector) || (p->Irql != PASSIVE_LEVEL && VECTOR_IRQL(p->Vector) != p->Irql) ||
        (p->SynchronizeIrql < p->Irql &&
         !MUTANT(LowSynchronizeAccepted, "INT-5", "a SynchronizeIrql below Irql is accepted")) ||
        p->SynchronizeIrql > HIGH_LEVEL || p->ServiceRoutine == NULL) {
        return STATUS_INVALID_PARAMETER;
    }
    if ((p->Affinity & KeQueryActiveProcessors()) == 0 &&
        !MUTANT(NoCpuAccepted, "INT-6", "an interrupt that no CPU may take is connected")) {
        return STATUS_INVALID_PARAMETER;
    }
    if (IopIsMessageVector(p->Vector)) {
        DbgPrint("io: vector 0x%02x is a message's: it is connected by CONNECT_MESSAGE_BASED only\n", p->Vector);
        return STATUS_NOT_SUPPORTED;
    }
    return STATUS_SUCCESS;
}

static NTSTATUS IopConnect(const KI_INTERRUPT_PARAMETERS *given, PKINTERRUPT *interrupt) {
    KI_INTERRUPT_PARAMETERS parameters = *given;
    *interrupt = NULL;
    NTSTATUS status = IopCheckParameters(given);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (given->Irql == PASSIVE_LEVEL) {
        return IopConnectPassive(given, interrupt);
    }
    PKINTERRUPT object = ExAllocatePoolWithTag(NonPagedPool, sizeof *object, POOL_TAG_INTERRUPT);
    if (object == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    BOOLEAN late = MUTANT(ObjectStoredLate, "INT-7", "the object is stored when the interrupt is already connected");
    *interrupt = late ? NULL : object; /* before the first interrupt: the service routine may want it (INT-7) */
    ULONG pin = IopPinOfVector(parameters.Vector);
    if (pin != BOOT_NO_PIN) {
        status = IopConnectToLine(pin, object, &parameters);
    } else {
        parameters.Cpu = (ULONG)__builtin_ctzll(parameters.Affinity | 1ull << 63);
        status = KiConnectInterrupt(object, &parameters);
    }
    if (!NT_SUCCESS(status)) {
        *interrupt = NULL;
        ExFreePoolWithTag(object, POOL_TAG_INTERRUPT);
    } else if (late) {
        *interrupt = object;
    }
    return status;
}

NTSTATUS NTAPI IoConnectInterrupt(PKINTERRUPT *InterruptObject, PKSERVICE_ROUTINE ServiceRoutine, PVOID ServiceContext,
                                  PKSPIN_LOCK SpinLock, ULONG Vector, KIRQL Irql, KIRQL SynchronizeIrql,
                                  KINTERRUPT_MODE InterruptMode, BOOLEAN ShareVector, KAFFINITY ProcessorEnableMask,
                                  BOOLEAN FloatingSave) {
    UNREFERENCED_PARAMETER(FloatingSave); /* XMM state is saved on every interrupt */
    KI_INTERRUPT_PARAMETERS parameters = {
        .ServiceRoutine = ServiceRoutine,
        .ServiceContext = ServiceContext,
        .SpinLock = SpinLock,
        .Vector = Vector,
        .Irql = Irql,
        .SynchronizeIrql = SynchronizeIrql,
        .Mode = InterruptMode,
        .ShareVector = ShareVector,
        .Affinity = ProcessorEnableMask,
    };
    return IopConnect(&parameters, InterruptObject);
}
NT_EXPORT(IoConnectInterrupt);

VOID NTAPI IoDisconnectInterrupt(PKINTERRUPT InterruptObject) {
    if (InterruptObject->PassiveLock != NULL) {
        IopDisconnectPassive(InterruptObject);
        return;
    }
    ULONG pin = IopPinOfVector(InterruptObject->Parameters.Vector);
    if (pin != BOOT_NO_PIN) {
        IopDisconnectFromLine(pin, InterruptObject);
    } else {
        KiDisconnectInterrupt(InterruptObject);
    }
    ExFreePoolWithTag(InterruptObject, POOL_TAG_INTERRUPT);
}
NT_EXPORT(IoDisconnectInterrupt);

VOID IopForceOff(const VOID *owner, ULONG64 base, ULONG64 size, PUNICODE_STRING whose) {
    PKINTERRUPT interrupt;
    while ((interrupt = KiFindInterrupt(owner, base, size)) != NULL) {
        DbgPrint("io: %wZ left vector 0x%02x connected\n", whose, interrupt->Parameters.Vector);
        IoDisconnectInterrupt(interrupt);
    }
}

static NTSTATUS IopConnectFullySpecified(const IO_CONNECT_INTERRUPT_FULLY_SPECIFIED_PARAMETERS *p) {
    KI_INTERRUPT_PARAMETERS parameters = {
        .ServiceRoutine = p->ServiceRoutine,
        .ServiceContext = p->ServiceContext,
        .SpinLock = p->SpinLock,
        .Vector = p->Vector,
        .Irql = p->Irql,
        .SynchronizeIrql = p->SynchronizeIrql,
        .Mode = p->InterruptMode,
        .ShareVector = p->ShareVector,
        .Affinity = p->ProcessorEnableMask,
        .Owner = IopPdoOf(p->PhysicalDeviceObject),
    };
    return IopConnect(&parameters, p->InterruptObject);
}

static NTSTATUS IopConnectLineBased(const IO_CONNECT_INTERRUPT_LINE_BASED_PARAMETERS *p) {
    IOP_PDO *pdo = IopPdoOf(p->PhysicalDeviceObject);
    if (pdo == NULL || pdo->LineVector == 0) {
        return STATUS_NOT_FOUND;
    }
    KI_INTERRUPT_PARAMETERS parameters = {
        .ServiceRoutine = p->ServiceRoutine,
        .ServiceContext = p->ServiceContext,
        .SpinLock = p->SpinLock,
        .Vector = pdo->LineVector,
        .Irql = pdo->Irql,
        .SynchronizeIrql = p->SynchronizeIrql != 0 ? p->SynchronizeIrql : pdo->Irql,
        .Mode = LevelSensitive,
        .ShareVector = TRUE,
        .Affinity = KeQueryActiveProcessors(),
        .Owner = pdo,
    };
    return IopConnect(&parameters, p->InterruptObject);
}

NTSTATUS NTAPI IoConnectInterruptEx(PIO_CONNECT_INTERRUPT_PARAMETERS Parameters) {
    IOP_PDO *pdo;
    switch (Parameters->Version) {
    case CONNECT_FULLY_SPECIFIED:
    case CONNECT_FULLY_SPECIFIED_GROUP:
        return IopConnectFullySpecified(&Parameters->FullySpecified);
    case CONNECT_LINE_BASED:
        return IopConnectLineBased(&Parameters->LineBased);
    case CONNECT_MESSAGE_BASED:
        break;
    default:
        Parameters->Version = CONNECT_FULLY_SPECIFIED_GROUP; /* the highest version there is */
        return STATUS_NOT_SUPPORTED;
    }
    pdo = IopPdoOf(Parameters->MessageBased.PhysicalDeviceObject);
    if (pdo == NULL) {
        return STATUS_INVALID_PARAMETER;
    }
    if (pdo->MessageCount == 0) {
        /* No messages: the fallback routine on the line, and the version says which of the two it became. */
        const IO_CONNECT_INTERRUPT_MESSAGE_BASED_PARAMETERS *p = &Parameters->MessageBased;
        IO_CONNECT_INTERRUPT_LINE_BASED_PARAMETERS line = {
            .PhysicalDeviceObject = p->PhysicalDeviceObject,
            .InterruptObject = p->ConnectionContext.InterruptObject,
            .ServiceRoutine = p->FallBackServiceRoutine,
            .ServiceContext = p->ServiceContext,
            .SpinLock = p->SpinLock,
            .SynchronizeIrql = p->SynchronizeIrql,
            .FloatingSave = p->FloatingSave,
        };
        if (line.ServiceRoutine == NULL) {
            return STATUS_NOT_FOUND;
        }
        Parameters->Version = CONNECT_LINE_BASED;
        return IopConnectLineBased(&line);
    }
    return IopConnectMessages(pdo, &Parameters->MessageBased);
}
NT_EXPORT(IoConnectInterruptEx);

static IOP_PDO *IopFindByInterrupt(PKINTERRUPT interrupt) {
    for (ULONG location = 0; location < 0x100; location++) {
        PDEVICE_OBJECT device = IopFindPdo(location);
        if (device != NULL && IopPdoOf(device)->MessageInterrupt[0] == interrupt) {
            return IopPdoOf(device);
        }
    }
    return NULL;
}

VOID NTAPI IoDisconnectInterruptEx(PIO_DISCONNECT_INTERRUPT_PARAMETERS Parameters) {
    if (Parameters->Version != CONNECT_MESSAGE_BASED) {
        IoDisconnectInterrupt(Parameters->ConnectionContext.InterruptObject);
        return;
    }
    PIO_INTERRUPT_MESSAGE_INFO table = Parameters->ConnectionContext.InterruptMessageTable;
    IopDisconnectMessages(IopFindByInterrupt(table->MessageInfo[0].InterruptObject), table);
}
NT_EXPORT(IoDisconnectInterruptEx);

static VOID IopReportActive(PIO_REPORT_INTERRUPT_ACTIVE_STATE_PARAMETERS Parameters, BOOLEAN active) {
    if (Parameters->Version == CONNECT_MESSAGE_BASED) {
        IopSetMessagesActive(Parameters->ConnectionContext.InterruptMessageTable, active);
        return;
    }
    PKINTERRUPT interrupt = Parameters->ConnectionContext.InterruptObject;
    if (interrupt->PassiveLock != NULL) {
        IopSetPassiveActive(interrupt, active);
        return;
    }
    ULONG pin = IopPinOfVector(interrupt->Parameters.Vector);
    KiSetInterruptActive(interrupt, active);
    if (pin != BOOT_NO_PIN) {
        IopHoldLine(pin);
    }
}

VOID NTAPI IoReportInterruptActive(PIO_REPORT_INTERRUPT_ACTIVE_STATE_PARAMETERS Parameters) {
    IopReportActive(Parameters, TRUE);
}
NT_EXPORT(IoReportInterruptActive);

VOID NTAPI IoReportInterruptInactive(PIO_REPORT_INTERRUPT_ACTIVE_STATE_PARAMETERS Parameters) {
    IopReportActive(Parameters, FALSE);
}
NT_EXPORT(IoReportInterruptInactive);
