/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message-signalled interrupts of a device: an interrupt object for each message, and which CPU each message goes to.
 * Message n goes to CPU n modulo the number of CPUs until it is retargeted, or all to CPU 0 (asymmetric routing).
 */
#include "iop.h"

#include "../hal/hal.h"
#include "../mm/mi.h"

#define POOL_TAG_MESSAGES 'gsMI'

static NTSTATUS IopMapMessageTable(IOP_PDO *pdo) {
    ULONG64 physical;
    if (!HalpFindMessageTable(pdo->Location, &physical, &pdo->MessageTableBytes)) {
        return STATUS_SUCCESS; /* MSI has no table */
    }
    if (pdo->MessageTableBytes == 0) {
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    }
    pdo->MessageTable = MiMapDevice(physical, pdo->MessageTableBytes);
    return pdo->MessageTable != NULL ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

static VOID IopTargetMessage(IOP_PDO *pdo, ULONG message, ULONG cpu) {
    HalpSetMessage(pdo->Location, pdo->MessageTable, message, pdo->MessageVector[message], KiPcr[cpu].Prcb.ApicId,
                   FALSE);
}

static NTSTATUS IopConnectMessage(IOP_PDO *pdo, ULONG message, PIO_INTERRUPT_MESSAGE_INFO table,
                                  const IO_CONNECT_INTERRUPT_MESSAGE_BASED_PARAMETERS *p) {
    KI_INTERRUPT_PARAMETERS parameters = {
        .MessageServiceRoutine = p->MessageServiceRoutine,
        .ServiceContext = p->ServiceContext,
        .MessageId = message,
        .SpinLock = p->SpinLock,
        .Vector = pdo->MessageVector[message],
        .Irql = pdo->Irql,
        .SynchronizeIrql = table->UnifiedIrql,
        .Mode = Latched,
        .Affinity = KeQueryActiveProcessors(),
        .Cpu = IopChooseCpu(KeQueryActiveProcessors(), message),
    };
    PKINTERRUPT interrupt = ExAllocatePoolWithTag(NonPagedPool, sizeof *interrupt, POOL_TAG_INTERRUPT);
    if (interrupt == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    NTSTATUS status = KiConnectInterrupt(interrupt, &parameters);
    if (!NT_SUCCESS(status)) {
        ExFreePoolWithTag(interrupt, POOL_TAG_INTERRUPT);
        return status;
    }
    pdo->MessageInterrupt[message] = interrupt;
    PIO_INTERRUPT_MESSAGE_INFO_ENTRY entry = &table->MessageInfo[message];
    entry->InterruptObject = interrupt;
    entry->TargetProcessorSet = (KAFFINITY)1 << parameters.Cpu;
    entry->MessageData = parameters.Vector;
    entry->Vector = parameters.Vector;
    entry->Irql = parameters.Irql;
    entry->Mode = Latched;
    return STATUS_SUCCESS;
}

VOID IopDisconnectMessages(IOP_PDO *pdo, PIO_INTERRUPT_MESSAGE_INFO table) {
    HalpDisableMessages(pdo->Location);
    for (ULONG i = 0; i < pdo->MessageCount; i++) {
        if (pdo->MessageInterrupt[i] != NULL) {
            KiDisconnectInterrupt(pdo->MessageInterrupt[i]);
            ExFreePoolWithTag(pdo->MessageInterrupt[i], POOL_TAG_INTERRUPT);
            pdo->MessageInterrupt[i] = NULL;
        }
    }
    if (pdo->MessageTable != NULL) {
        MiUnmapDevice((PVOID)pdo->MessageTable, pdo->MessageTableBytes);
        pdo->MessageTable = NULL;
    }
    if (table != NULL) {
        ExFreePoolWithTag(table, POOL_TAG_MESSAGES);
    }
}

NTSTATUS IopConnectMessages(IOP_PDO *pdo, const IO_CONNECT_INTERRUPT_MESSAGE_BASED_PARAMETERS *p) {
    ULONG64 bytes = FIELD_OFFSET(IO_INTERRUPT_MESSAGE_INFO, MessageInfo) +
        pdo->MessageCount * sizeof(IO_INTERRUPT_MESSAGE_INFO_ENTRY);
    if (pdo->MessageInterrupt[0] != NULL) {
        return STATUS_INVALID_PARAMETER; /* connected already */
    }
    PIO_INTERRUPT_MESSAGE_INFO table = ExAllocatePoolWithTag(NonPagedPool, bytes, POOL_TAG_MESSAGES);
    if (table == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    RtlZeroMemory(table, bytes);
    table->UnifiedIrql = p->SynchronizeIrql > pdo->Irql ? p->SynchronizeIrql : pdo->Irql;
    table->MessageCount = pdo->MessageCount;
    *p->ConnectionContext.InterruptMessageTable = table; /* before the first message: the ISR may want it (INT-7) */
    NTSTATUS status = IopMapMessageTable(pdo);
    if (NT_SUCCESS(status)) {
        HalpEnableMessages(pdo->Location, pdo->MessageTable);
    }
    for (ULONG i = 0; i < pdo->MessageCount && NT_SUCCESS(status); i++) {
        status = IopConnectMessage(pdo, i, table, p);
    }
    if (!NT_SUCCESS(status)) {
        *p->ConnectionContext.InterruptMessageTable = NULL;
        IopDisconnectMessages(pdo, table);
        return status;
    }
    for (ULONG i = 0; i < pdo->MessageCount; i++) { /* the first may arrive at once: every entry is complete by now */
        IopTargetMessage(pdo, i, pdo->MessageInterrupt[i]->Parameters.Cpu);
    }
    return STATUS_SUCCESS;
}

NTSTATUS IopRetargetDevice(ULONG location, ULONG first_cpu) {
    IOP_PDO *pdo = IopPdoOf(IopFindPdo(location));
    if (pdo == NULL) {
        return STATUS_NO_SUCH_DEVICE;
    }
    if (HostBootOptions.InterruptRouting == InterruptRoutingAsymmetric) {
        return STATUS_INVALID_DEVICE_REQUEST; /* CPU 0 takes them all */
    }
    if (pdo->MessageInterrupt[0] == NULL) {
        ULONG pin = IopPinOfVector(pdo->LineVector);
        return pin != BOOT_NO_PIN ? IopRetargetLine(pin, first_cpu % KiProcessorCount) : STATUS_NO_SUCH_DEVICE;
    }
    for (ULONG i = 0; i < pdo->MessageCount; i++) {
        ULONG cpu = (first_cpu + i) % KiProcessorCount;
        KiSetInterruptCpu(pdo->MessageInterrupt[i], cpu);
        IopTargetMessage(pdo, i, cpu);
    }
    return STATUS_SUCCESS;
}

VOID IopSetMessagesActive(PIO_INTERRUPT_MESSAGE_INFO table, BOOLEAN active) {
    for (ULONG i = 0; i < table->MessageCount; i++) {
        KiSetInterruptActive(table->MessageInfo[i].InterruptObject, active);
    }
}
