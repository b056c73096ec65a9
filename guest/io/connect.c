/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IoConnectInterrupt and IoConnectInterruptEx: from a device's resources to interrupt objects, and the routing of its
 * line to a CPU. Messages are connected in io/messages.c.
 */
#include "iop.h"

#include "../hal/hal.h"

/* The I/O APIC pin whose vector this is; BOOT_NO_PIN where the vector is a message's. */
static ULONG IopPinOf(IOP_PDO *pdo, ULONG vector) {
    return pdo != NULL && pdo->LineVector == vector ? pdo->Function->IoApicPin : BOOT_NO_PIN;
}

static IOP_PDO *IopFindByVector(ULONG vector) {
    PDEVICE_OBJECT device = NULL;
    for (ULONG location = 0; location < 0x100; location++) {
        device = IopFindPdo(location);
        if (device != NULL && IopPdoOf(device)->LineVector == vector) {
            return IopPdoOf(device);
        }
    }
    return NULL;
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
    ULONG pin = IopPinOf(pdo, parameters.Vector);
    if (pin != BOOT_NO_PIN) {
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
    BOOLEAN last = KiDisconnectInterrupt(InterruptObject);
    ExFreePoolWithTag(InterruptObject, POOL_TAG_INTERRUPT);
    ULONG pin = IopPinOf(IopFindByVector(vector), vector);
    if (last && pin != BOOT_NO_PIN) {
        ioapic_mask(pin);
    }
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
