/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hardware resources of a device: a PCI function's BARs and vectors for its messages or its line; ports, IRQ and DMA channel of a
 * device on ISA. The messages of a function share one DIRQL; functions are given DIRQLs in turn, so that different devices can
 * interrupt each other.
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

static ULONG IopMessagesOf(const IOP_PDO *pdo) {
    ULONG messages = pdo->Function != NULL ? HalpMessageCount(pdo->Location) : 0;
    return messages < IOP_MAXIMUM_MESSAGES ? messages : IOP_MAXIMUM_MESSAGES;
}

NTSTATUS IopAssignInterrupts(IOP_PDO *pdo, ULONG messages, BOOLEAN line) {
    ULONG most = IopMessagesOf(pdo);
    messages = messages < most ? messages : most;
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
    if (pdo->Pin != BOOT_NO_PIN && line) {
        pdo->LineVector = IopLineVector(pdo->Pin);
        pdo->Irql = VECTOR_IRQL(pdo->LineVector);
        return pdo->LineVector != 0 ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
    }
    return STATUS_SUCCESS;
}

static VOID IopAddRange(PCM_PARTIAL_RESOURCE_DESCRIPTOR descriptor, BOOLEAN port, ULONG64 base, ULONG64 bytes) {
    descriptor->Type = port ? CmResourceTypePort : CmResourceTypeMemory;
    descriptor->ShareDisposition = CmResourceShareDeviceExclusive;
    descriptor->Flags = port ? CM_RESOURCE_PORT_IO : CM_RESOURCE_MEMORY_READ_WRITE;
    descriptor->u.Memory.Start.QuadPart = (LONGLONG)base;
    descriptor->u.Memory.Length = (ULONG)bytes;
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

/* ISA's lines are edge-triggered and a device's own; raw, its IRQ is what it is called by. */
static VOID IopAddLine(PCM_PARTIAL_RESOURCE_DESCRIPTOR descriptor, const IOP_PDO *pdo, BOOLEAN translated) {
    BOOLEAN isa = pdo->Function == NULL;
    ULONG raw = isa ? pdo->Isa.Irq : pdo->Pin;
    descriptor->Type = CmResourceTypeInterrupt;
    descriptor->ShareDisposition = isa ? CmResourceShareDeviceExclusive : CmResourceShareShared;
    descriptor->Flags = isa ? CM_RESOURCE_INTERRUPT_LATCHED : CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE;
    descriptor->u.Interrupt.Level = translated ? pdo->Irql : raw;
    descriptor->u.Interrupt.Vector = translated ? pdo->LineVector : raw;
    descriptor->u.Interrupt.Affinity = IopDeviceProcessors();
}

static VOID IopAddChannel(PCM_PARTIAL_RESOURCE_DESCRIPTOR descriptor, ULONG channel) {
    descriptor->Type = CmResourceTypeDma;
    descriptor->ShareDisposition = CmResourceShareDeviceExclusive;
    descriptor->Flags = channel < 4 ? CM_RESOURCE_DMA_8 : CM_RESOURCE_DMA_16;
    descriptor->u.Dma.Channel = channel;
    descriptor->u.Dma.Port = 0;
}

PCM_RESOURCE_LIST IopBuildResources(const IOP_PDO *pdo, BOOLEAN translated) {
    ULONG most = 6 + pdo->MessageCount + 2; /* ranges, messages, line and channel */
    ULONG64 bytes = sizeof(CM_RESOURCE_LIST) + most * sizeof(CM_PARTIAL_RESOURCE_DESCRIPTOR);
    PCM_RESOURCE_LIST list = ExAllocatePoolWithTag(NonPagedPool, bytes, POOL_TAG_RESOURCES);
    if (list == NULL) {
        return NULL;
    }
    RtlZeroMemory(list, bytes);
    list->Count = 1;
    list->List[0].InterfaceType = pdo->Function != NULL ? PCIBus : Isa;
    list->List[0].BusNumber = 0;
    PCM_PARTIAL_RESOURCE_LIST partial = &list->List[0].PartialResourceList;
    partial->Version = 1;
    partial->Revision = 1;
    for (ULONG i = 0; i < 6 && pdo->Function != NULL; i++) {
        const BOOT_PCI_BAR *bar = &pdo->Function->Bar[i];
        if (bar->Kind != BootBarNone) {
            IopAddRange(&partial->PartialDescriptors[partial->Count++], bar->Kind == BootBarPort, bar->Base,
                        bar->Bytes);
        }
    }
    for (ULONG i = 0; i < pdo->Isa.Ranges; i++) {
        IopAddRange(&partial->PartialDescriptors[partial->Count++], TRUE, pdo->Isa.Port[i].Base,
                    pdo->Isa.Port[i].Bytes);
    }
    for (ULONG i = 0; i < pdo->MessageCount; i++) {
        IopAddMessage(&partial->PartialDescriptors[partial->Count++], pdo, i, translated);
    }
    if (pdo->LineVector != 0) {
        IopAddLine(&partial->PartialDescriptors[partial->Count++], pdo, translated);
    }
    if (pdo->Function == NULL && pdo->Isa.Channel != IOP_NONE) {
        IopAddChannel(&partial->PartialDescriptors[partial->Count++], pdo->Isa.Channel);
    }
    return list;
}

/* The same as a wish: each range where it is, any of the messages; or, an alternative to these, the line. */
PIO_RESOURCE_REQUIREMENTS_LIST IopBuildRequirements(const IOP_PDO *pdo) {
    IOP_PDO bare = {.Location = pdo->Location, .Function = pdo->Function, .Isa = pdo->Isa};
    PCM_RESOURCE_LIST fixed = IopBuildResources(&bare, FALSE);
    if (fixed == NULL) {
        return NULL;
    }
    const CM_PARTIAL_RESOURCE_LIST *partial = &fixed->List[0].PartialResourceList;
    ULONG64 bytes = sizeof(IO_RESOURCE_REQUIREMENTS_LIST) + (partial->Count + 2) * sizeof(IO_RESOURCE_DESCRIPTOR);
    PIO_RESOURCE_REQUIREMENTS_LIST list = ExAllocatePoolWithTag(PagedPool, bytes, POOL_TAG_RESOURCES);
    if (list != NULL) {
        RtlZeroMemory(list, bytes);
        list->ListSize = (ULONG)bytes;
        list->InterfaceType = fixed->List[0].InterfaceType;
        list->SlotNumber = (pdo->Location >> 3 & 0x1fu) | (pdo->Location & 7u) << 5;
        list->AlternativeLists = 1;
        PIO_RESOURCE_LIST wishes =
            &list->List[0]; /* a pointer: the compiler takes List[0].Descriptors for one element */
        wishes->Version = 1;
        wishes->Revision = 1;
        PIO_RESOURCE_DESCRIPTOR next = wishes->Descriptors;
        for (ULONG i = 0; i < partial->Count; i++, next++) {
            const CM_PARTIAL_RESOURCE_DESCRIPTOR *each = &partial->PartialDescriptors[i];
            next->Type = each->Type;
            next->ShareDisposition = each->ShareDisposition;
            next->Flags = each->Flags;
            if (each->Type == CmResourceTypeDma) {
                next->u.Dma.MinimumChannel = each->u.Dma.Channel;
                next->u.Dma.MaximumChannel = each->u.Dma.Channel;
                continue;
            }
            next->u.Memory.Length = each->u.Memory.Length;
            next->u.Memory.Alignment = 1;
            next->u.Memory.MinimumAddress = each->u.Memory.Start;
            next->u.Memory.MaximumAddress.QuadPart = each->u.Memory.Start.QuadPart + each->u.Memory.Length - 1;
        }
        ULONG messages = IopMessagesOf(pdo);
        if (messages != 0) {
            next->Type = CmResourceTypeInterrupt;
            next->ShareDisposition = CmResourceShareDeviceExclusive;
            next->Flags = CM_RESOURCE_INTERRUPT_LATCHED | CM_RESOURCE_INTERRUPT_MESSAGE;
            next->u.Interrupt.MinimumVector = CM_RESOURCE_INTERRUPT_MESSAGE_TOKEN - messages + 1;
            next->u.Interrupt.MaximumVector = CM_RESOURCE_INTERRUPT_MESSAGE_TOKEN;
            next++;
        }
        if (pdo->Pin != BOOT_NO_PIN) {
            BOOLEAN isa = pdo->Function == NULL;
            next->Option = messages != 0 ? IO_RESOURCE_ALTERNATIVE : 0;
            next->Type = CmResourceTypeInterrupt;
            next->ShareDisposition = isa ? CmResourceShareDeviceExclusive : CmResourceShareShared;
            next->Flags = isa ? CM_RESOURCE_INTERRUPT_LATCHED : CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE;
            next->u.Interrupt.MinimumVector = isa ? pdo->Isa.Irq : pdo->Pin;
            next->u.Interrupt.MaximumVector = next->u.Interrupt.MinimumVector;
            next++;
        }
        wishes->Count = partial->Count + (messages != 0) + (pdo->Pin != BOOT_NO_PIN);
    }
    ExFreePoolWithTag(fixed, POOL_TAG_RESOURCES);
    return list;
}

VOID IopReadRequirements(const IO_RESOURCE_REQUIREMENTS_LIST *list, ULONG *messages, BOOLEAN *line) {
    const IO_RESOURCE_LIST *first = &list->List[0];
    *messages = 0;
    *line = FALSE;
    for (ULONG i = 0; i < first->Count; i++) {
        const IO_RESOURCE_DESCRIPTOR *each = &first->Descriptors[i];
        if (each->Type != CmResourceTypeInterrupt) {
            continue;
        }
        if ((each->Flags & CM_RESOURCE_INTERRUPT_MESSAGE) != 0) {
            *messages += each->u.Interrupt.MaximumVector - each->u.Interrupt.MinimumVector + 1;
        } else {
            *line = TRUE;
        }
    }
}
