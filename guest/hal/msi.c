/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message-signalled interrupts (PCI Local Bus 3.0, 6.8): MSI-X through the table in one of the function's BARs, or MSI
 * with a single message. Which vector and CPU a message means is decided above; here it becomes address and data.
 */
#include "hal.h"

#include "../ke/ki.h"
#include "../mm/mi.h"
#include "regs.h"

#define CAPABILITY_MSI    0x05
#define CAPABILITY_MSIX   0x11
#define MSI_ENABLE        0x10000u
#define MSI_64_BIT        0x800000u
#define MSIX_ENABLE       0x80000000u
#define MSIX_MASK_ALL     0x40000000u
#define MSIX_ENTRY_BYTES  16
#define MSIX_ENTRY_MASKED 1u

/* The mapped MSI-X table of each function that has been enabled. */
#define HALP_MAXIMUM_TABLES 32
static struct {
    ULONG Location; /* location + 1; 0: unused */
    ULONG Count;
    volatile ULONG *Table;
} HalpMessageTables[HALP_MAXIMUM_TABLES];

ULONG HalpMessageCount(ULONG location) {
    ULONG msix = HalpFindCapability(location, CAPABILITY_MSIX);
    if (msix != 0) {
        return (HalpReadConfig(location, msix) >> 16 & 0x7ffu) + 1;
    }
    return HalpFindCapability(location, CAPABILITY_MSI) != 0 ? 1 : 0;
}

static volatile ULONG *HalpMessageTable(ULONG location) {
    for (ULONG i = 0; i < HALP_MAXIMUM_TABLES; i++) {
        if (HalpMessageTables[i].Location == location + 1) {
            return HalpMessageTables[i].Table;
        }
    }
    return NULL;
}

static NTSTATUS HalpMapMessageTable(ULONG location, ULONG msix) {
    ULONG where = HalpReadConfig(location, msix + 4);
    const BOOT_PCI_FUNCTION *function = HalpFindFunction(location);
    const BOOT_PCI_BAR *bar = &function->Bar[(where & 7u) < 6 ? where & 7u : 0];
    ULONG count = HalpMessageCount(location);
    ULONG64 offset = where & ~7u;
    if (bar->Kind != BootBarMemory || offset + (ULONG64)count * MSIX_ENTRY_BYTES > bar->Bytes) {
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    }
    for (ULONG i = 0; i < HALP_MAXIMUM_TABLES; i++) {
        if (HalpMessageTables[i].Location == 0) {
            PVOID table = MiMapDevice(bar->Base + offset, (ULONG64)count * MSIX_ENTRY_BYTES);
            if (table == NULL) {
                return STATUS_INSUFFICIENT_RESOURCES;
            }
            HalpMessageTables[i].Table = table;
            HalpMessageTables[i].Count = count;
            HalpMessageTables[i].Location = location + 1;
            return STATUS_SUCCESS;
        }
    }
    return STATUS_INSUFFICIENT_RESOURCES;
}

NTSTATUS HalpEnableMessages(ULONG location) {
    ULONG msix = HalpFindCapability(location, CAPABILITY_MSIX);
    if (msix == 0) {
        return HalpFindCapability(location, CAPABILITY_MSI) != 0 ? STATUS_SUCCESS : STATUS_NOT_SUPPORTED;
    }
    if (HalpMessageTable(location) == NULL) {
        NTSTATUS status = HalpMapMessageTable(location, msix);
        if (!NT_SUCCESS(status)) {
            return status;
        }
    }
    HalpWriteConfig(location, msix, HalpReadConfig(location, msix) | MSIX_ENABLE | MSIX_MASK_ALL);
    for (ULONG message = 0; message < HalpMessageCount(location); message++) {
        HalpSetMessage(location, message, SPURIOUS_VECTOR, 0, TRUE);
    }
    HalpWriteConfig(location, msix, (HalpReadConfig(location, msix) | MSIX_ENABLE) & ~MSIX_MASK_ALL);
    return STATUS_SUCCESS;
}

VOID HalpDisableMessages(ULONG location) {
    ULONG msix = HalpFindCapability(location, CAPABILITY_MSIX);
    ULONG msi = HalpFindCapability(location, CAPABILITY_MSI);
    if (msix == 0) {
        if (msi != 0) {
            HalpWriteConfig(location, msi, HalpReadConfig(location, msi) & ~MSI_ENABLE);
        }
        return;
    }
    HalpWriteConfig(location, msix, HalpReadConfig(location, msix) & ~MSIX_ENABLE);
    for (ULONG i = 0; i < HALP_MAXIMUM_TABLES; i++) {
        if (HalpMessageTables[i].Location == location + 1) {
            HalpMessageTables[i].Location = 0;
            MiUnmapDevice((PVOID)HalpMessageTables[i].Table, (ULONG64)HalpMessageTables[i].Count * MSIX_ENTRY_BYTES);
        }
    }
}

VOID HalpSetMessage(ULONG location, ULONG message, ULONG vector, ULONG apic_id, BOOLEAN masked) {
    volatile ULONG *table = HalpMessageTable(location);
    if (table != NULL) {
        volatile ULONG *entry = table + message * (MSIX_ENTRY_BYTES / sizeof(ULONG));
        entry[3] = MSIX_ENTRY_MASKED; /* masked while it changes: no message with half of each (PCI 3.0, 6.8.3.5) */
        entry[0] = MSI_ADDRESS | apic_id << 12;
        entry[1] = 0;
        entry[2] = vector;
        entry[3] = masked ? MSIX_ENTRY_MASKED : 0;
        return;
    }
    ULONG msi = HalpFindCapability(location, CAPABILITY_MSI);
    ULONG control = HalpReadConfig(location, msi);
    ULONG data = msi + ((control & MSI_64_BIT) ? 12 : 8);
    HalpWriteConfig(location, msi, control & ~MSI_ENABLE);
    HalpWriteConfig(location, msi + 4, MSI_ADDRESS | apic_id << 12);
    if (control & MSI_64_BIT) {
        HalpWriteConfig(location, msi + 8, 0);
    }
    HalpWriteConfig(location, data, (HalpReadConfig(location, data) & 0xffff0000u) | vector);
    HalpWriteConfig(location, msi, masked ? control & ~MSI_ENABLE : control | MSI_ENABLE);
}
