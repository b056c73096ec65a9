/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hardware resources of a PCI function: its BARs, and vectors for its messages or its line. The messages of a function
 * share one DIRQL; functions are given DIRQLs in turn, so that different devices can interrupt each other.
 */
#include "iop.h"

#include "../hal/hal.h"

static volatile LONG IopDevicesAssigned;

VOID IopReleaseInterrupts(IOP_PDO *pdo) {
    for (ULONG i = 0; i < pdo->MessageCount; i++) {
        KiFreeVector(pdo->MessageVector[i]);
    }
    pdo->MessageCount = 0;
    pdo->LineVector = 0; /* the pin keeps it */
}

NTSTATUS IopAssignInterrupts(IOP_PDO *pdo) {
    ULONG messages = HalpMessageCount(pdo->Location);
    messages = messages < IOP_MAXIMUM_MESSAGES ? messages : IOP_MAXIMUM_MESSAGES;
    ULONG turn = (ULONG)(__atomic_fetch_add(&IopDevicesAssigned, 1, __ATOMIC_RELAXED)) % IOP_DIRQLS;
    for (ULONG step = 0; step < IOP_DIRQLS && messages != 0; step++) {
        pdo->Irql = (KIRQL)(IOP_FIRST_DIRQL + (turn + step) % IOP_DIRQLS);
        while (pdo->MessageCount < messages &&
               (pdo->MessageVector[pdo->MessageCount] = KiAllocateVector(pdo->Irql)) != 0) {
            pdo->MessageCount++;
        }
        if (pdo->MessageCount != 0) {
            return STATUS_SUCCESS; /* all of a device's messages share one level; fewer than it has is allowed */
        }
    }
    if (pdo->Function->IoApicPin != BOOT_NO_PIN) {
        pdo->LineVector = IopLineVector(pdo->Function->IoApicPin);
        pdo->Irql = VECTOR_IRQL(pdo->LineVector);
        return pdo->LineVector != 0 ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
    }
    return STATUS_SUCCESS;
}

static VOID IopAddBar(PCM_PARTIAL_RESOURCE_DESCRIPTOR descriptor, const BOOT_PCI_BAR *bar) {
    descriptor->Type = bar->Kind == BootBarPort ? CmResourceTypePort : CmResourceTypeMemory;
    descriptor->ShareDisposition = CmResourceShareDeviceExclusive;
    descriptor->Flags = bar->Kind == BootBarPort ? CM_RESOURCE_PORT_IO : CM_RESOURCE_MEMORY_READ_WRITE;
    descriptor->u.Memory.Start.QuadPart = (LONGLONG)bar->Base;
    descriptor->u.Memory.Length = (ULONG)bar->Bytes;
}

static VOID IopAddMessage(PCM_PARTIAL_RESOURCE_DESCRIPTOR descriptor, const IOP_PDO *pdo, ULONG message,
                          BOOLEAN translated) {
    descriptor->Type = CmResourceTypeInterrupt;
    descriptor->ShareDisposition = CmResourceShareDeviceExclusive;
    descriptor->Flags = CM_RESOURCE_INTERRUPT_LATCHED | CM_RESOURCE_INTERRUPT_MESSAGE;
    if (translated) {
        descriptor->u.MessageInterrupt.Translated.Level = pdo->Irql;
        descriptor->u.MessageInterrupt.Translated.Vector = pdo->MessageVector[message];
        descriptor->u.MessageInterrupt.Translated.Affinity = IopDeviceProcessors();
    } else {
        descriptor->u.MessageInterrupt.Raw.MessageCount = 1;
        descriptor->u.MessageInterrupt.Raw.Vector = CM_RESOURCE_INTERRUPT_MESSAGE_TOKEN;
        descriptor->u.MessageInterrupt.Raw.Affinity = IopDeviceProcessors();
    }
}

static VOID IopAddLine(PCM_PARTIAL_RESOURCE_DESCRIPTOR descriptor, const IOP_PDO *pdo, BOOLEAN translated) {
    descriptor->Type = CmResourceTypeInterrupt;
    descriptor->ShareDisposition = CmResourceShareShared;
    descriptor->Flags = CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE;
    descriptor->u.Interrupt.Level = translated ? pdo->Irql : pdo->Function->IoApicPin;
    descriptor->u.Interrupt.Vector = translated ? pdo->LineVector : pdo->Function->IoApicPin;
    descriptor->u.Interrupt.Affinity = IopDeviceProcessors();
}

PCM_RESOURCE_LIST IopBuildResources(const IOP_PDO *pdo, BOOLEAN translated) {
    ULONG most = 6 + pdo->MessageCount + 1;
    ULONG64 bytes = sizeof(CM_RESOURCE_LIST) + most * sizeof(CM_PARTIAL_RESOURCE_DESCRIPTOR);
    PCM_RESOURCE_LIST list = ExAllocatePoolWithTag(NonPagedPool, bytes, POOL_TAG_RESOURCES);
    if (list == NULL) {
        return NULL;
    }
    RtlZeroMemory(list, bytes);
    list->Count = 1;
    list->List[0].InterfaceType = PCIBus;
    list->List[0].BusNumber = pdo->Location >> 8;
    PCM_PARTIAL_RESOURCE_LIST partial = &list->List[0].PartialResourceList;
    partial->Version = 1;
    partial->Revision = 1;
    for (ULONG i = 0; i < 6; i++) {
        if (pdo->Function->Bar[i].Kind != BootBarNone) {
            IopAddBar(&partial->PartialDescriptors[partial->Count++], &pdo->Function->Bar[i]);
        }
    }
    for (ULONG i = 0; i < pdo->MessageCount; i++) {
        IopAddMessage(&partial->PartialDescriptors[partial->Count++], pdo, i, translated);
    }
    if (pdo->LineVector != 0) {
        IopAddLine(&partial->PartialDescriptors[partial->Count++], pdo, translated);
    }
    return list;
}
