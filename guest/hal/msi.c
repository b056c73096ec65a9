/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message-signalled interrupts (PCI Local Bus 3.0, 6.8): MSI-X through the table in one of the function's BARs, or MSI
 * with a single message. Which vector and CPU a message means is decided above; here it becomes address and data.
 */
#include "hal.h"

#include "../include/vectors.h"
#include "regs.h"

#define CAPABILITY_MSI    0x05
#define CAPABILITY_MSIX   0x11
#define MSI_ENABLE        0x10000u
#define MSI_64_BIT        0x800000u
#define MSIX_ENABLE       0x80000000u
#define MSIX_MASK_ALL     0x40000000u
#define MSIX_ENTRY_BYTES  16
#define MSIX_ENTRY_MASKED 1u

ULONG HalpMessageCount(ULONG location) {
    ULONG msix = HalpFindCapability(location, CAPABILITY_MSIX);
    if (msix != 0) {
        return (HalpReadConfig(location, msix) >> 16 & 0x7ffu) + 1;
    }
    return HalpFindCapability(location, CAPABILITY_MSI) != 0 ? 1 : 0;
}

BOOLEAN HalpFindMessageTable(ULONG location, ULONG64 *physical, ULONG64 *bytes) {
    ULONG msix = HalpFindCapability(location, CAPABILITY_MSIX);
    if (msix == 0) {
        return FALSE;
    }
    ULONG where = HalpReadConfig(location, msix + 4);
    const BOOT_PCI_FUNCTION *function = HalpFindFunction(location);
    const BOOT_PCI_BAR *bar = &function->Bar[(where & 7u) < 6 ? where & 7u : 0];
    ULONG64 offset = where & ~7u;
    *physical = bar->Base + offset;
    *bytes = (ULONG64)HalpMessageCount(location) * MSIX_ENTRY_BYTES;
    if (bar->Kind != BootBarMemory || offset + *bytes > bar->Bytes) {
        *bytes = 0;
    }
    return TRUE;
}

VOID HalpEnableMessages(ULONG location, volatile ULONG *table) {
    ULONG msix = HalpFindCapability(location, CAPABILITY_MSIX);
    if (table == NULL) {
        return; /* MSI is enabled with its message */
    }
    HalpWriteConfig(location, msix, HalpReadConfig(location, msix) | MSIX_ENABLE | MSIX_MASK_ALL);
    for (ULONG message = 0; message < HalpMessageCount(location); message++) {
        HalpSetMessage(location, table, message, SPURIOUS_VECTOR, 0, TRUE);
    }
    HalpWriteConfig(location, msix, (HalpReadConfig(location, msix) | MSIX_ENABLE) & ~MSIX_MASK_ALL);
}

VOID HalpDisableMessages(ULONG location) {
    ULONG msix = HalpFindCapability(location, CAPABILITY_MSIX);
    ULONG msi = HalpFindCapability(location, CAPABILITY_MSI);
    if (msix != 0) {
        HalpWriteConfig(location, msix, HalpReadConfig(location, msix) & ~MSIX_ENABLE);
    } else if (msi != 0) {
        HalpWriteConfig(location, msi, HalpReadConfig(location, msi) & ~MSI_ENABLE);
    }
}

VOID HalpSetMessage(ULONG location, volatile ULONG *table, ULONG message, ULONG vector, ULONG apic_id, BOOLEAN masked) {
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
    if ((control & MSI_ENABLE) != 0 && !masked) { /* its vector stays: only the CPU changes, and no message is missed */
        HalpWriteConfig(location, msi + 4, MSI_ADDRESS | apic_id << 12);
        return;
    }
    HalpWriteConfig(location, msi + 4, MSI_ADDRESS | apic_id << 12);
    if (control & MSI_64_BIT) {
        HalpWriteConfig(location, msi + 8, 0);
    }
    HalpWriteConfig(location, data, (HalpReadConfig(location, data) & 0xffff0000u) | vector);
    HalpWriteConfig(location, msi, masked ? control & ~MSI_ENABLE : control | MSI_ENABLE);
}
