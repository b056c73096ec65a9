/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IoConnectInterrupt and IoConnectInterruptEx: from a device's resources to interrupt objects, and the routing of its
 * line to a CPU. Messages are connected in io/messages.c.
 */
#include "iop.h"

#include "../hal/hal.h"

static ULONG IopPinVectors[24]; /* the vector that a pin of the I/O APIC is routed to; 0: none */

/* The device that a vector was given to, by its line or one of its messages; NULL: none. */
static IOP_PDO *IopFindByVector(ULONG vector) {
    for (ULONG location = 0; location < 0x100; location++) {
        PDEVICE_OBJECT device = IopFindPdo(location);
        IOP_PDO *pdo = IopPdoOf(device);
        if (pdo == NULL) {
            continue;
        }
        if (pdo->LineVector == vector) {
            return pdo;
        }
        for (ULONG i = 0; i < pdo->MessageCount; i++) {
            if (pdo->MessageVector[i] == vector) {
                return pdo;
            }
        }
    }
    return NULL;
}

/* The I/O APIC pin whose vector this is; BOOT_NO_PIN where it is not a line's. */
static ULONG IopPinOf(const IOP_PDO *pdo, ULONG vector) {
    return pdo != NULL && pdo->LineVector == vector ? pdo->Function->IoApicPin : BOOT_NO_PIN;
}

static NTSTATUS IopConnectLine(IOP_PDO *pdo, const KI_INTERRUPT_PARAMETERS *given, KAFFINITY mask,
                               PKINTERRUPT *interrupt) {
    KI_INTERRUPT_PARAMETERS parameters = *given;
    KAFFINITY usable = mask & KeQueryActiveProcessors();
    if (usable == 0 || (parameters.SynchronizeIrql < parameters.Irql) || parameters.Vector < FIRST_DEVICE_VECTOR ||
        parameters.Vector > LAST_DEVICE_VECTOR || VECTOR_IRQL(parameters.Vector) != parameters.Irql) {
        return STATUS_INVALID_PARAMETER;
    }
    parameters.Cpu = (ULONG)__builtin_ctzll(usable);
    ULONG pin = IopPinOf(pdo, parameters.Vector);
    if (pdo != NULL && pin == BOOT_NO_PIN) {
        DbgPrint("io: vector 0x%02x is a message's: it is connected by CONNECT_MESSAGE_BASED only\n",
                 parameters.Vector);
        return STATUS_NOT_SUPPORTED;
    }
    if (pin != BOOT_NO_PIN && IopPinVectors[pin] != 0 && IopPinVectors[pin] != parameters.Vector) {
        DbgPrint("io: another device's line is connected on pin %u of the I/O APIC: lines cannot be shared\n", pin);
        return STATUS_NOT_SUPPORTED;
    }
    PKINTERRUPT object = ExAllocatePoolWithTag(NonPagedPool, sizeof *object, POOL_TAG_INTERRUPT);
    if (object == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    *interrupt = object; /* before the first interrupt: the service routine may want it (INT-7) */
    NTSTATUS status = KiConnectInterrupt(object, &parameters);
    if (!NT_SUCCESS(status)) {
        *interrupt = NULL;
        ExFreePoolWithTag(object, POOL_TAG_INTERRUPT);
        return status;
    }
    if (pin != BOOT_NO_PIN && IopPinVectors[pin] == 0) {
        IopPinVectors[pin] = parameters.Vector;
        ioapic_route(pin, parameters.Vector, KiPcr[parameters.Cpu].Prcb.ApicId, parameters.Mode == LevelSensitive);
    }
    return STATUS_SUCCESS;
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
    };
    *InterruptObject = NULL;
    return IopConnectLine(IopFindByVector(Vector), &parameters, ProcessorEnableMask, InterruptObject);
}
NT_EXPORT(IoConnectInterrupt);

VOID NTAPI IoDisconnectInterrupt(PKINTERRUPT InterruptObject) {
    ULONG vector = KiInterruptVector(InterruptObject);
    ULONG pin = IopPinOf(IopFindByVector(vector), vector);
    if (pin != BOOT_NO_PIN && KiIsOnlyInterrupt(InterruptObject)) {
        ioapic_mask(pin); /* first: a line that is still asserted would interrupt for ever */
        IopPinVectors[pin] = 0;
    }
    KiDisconnectInterrupt(InterruptObject);
    ExFreePoolWithTag(InterruptObject, POOL_TAG_INTERRUPT);
}
NT_EXPORT(IoDisconnectInterrupt);

static NTSTATUS IopConnectFullySpecified(const IO_CONNECT_INTERRUPT_FULLY_SPECIFIED_PARAMETERS *p) {
    return IoConnectInterrupt(p->InterruptObject, p->ServiceRoutine, p->ServiceContext, p->SpinLock, p->Vector, p->Irql,
                              p->SynchronizeIrql, p->InterruptMode, p->ShareVector, p->ProcessorEnableMask,
                              p->FloatingSave);
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
    };
    return IopConnectLine(pdo, &parameters, KeQueryActiveProcessors(), p->InterruptObject);
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
