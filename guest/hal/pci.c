/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI configuration space. The address and data ports are a pair for the whole machine: one lock, taken at HIGH_LEVEL
 * because interrupt routing may be changed at any IRQL.
 */
#include "hal.h"

#include "../include/highlock.h"
#include "../include/pciscan.h"

#define PCI_STATUS_CAPABILITIES 0x100000u
#define PCI_CAPABILITY_POINTER  0x34

static const BOOT_BLOCK *HalpBootBlock;
static KSPIN_LOCK HalpConfigLock;

VOID HalpInitializePci(const BOOT_BLOCK *block) {
    HalpBootBlock = block;
}

const BOOT_PCI_FUNCTION *HalpFindFunction(ULONG location) {
    for (ULONG i = 0; i < HalpBootBlock->FunctionCount; i++) {
        if (HalpBootBlock->Function[i].Location == location) {
            return &HalpBootBlock->Function[i];
        }
    }
    return NULL;
}

const BOOT_PCI_FUNCTION *HalpFindFunctionById(USHORT vendor, USHORT device) {
    for (ULONG i = 0; i < HalpBootBlock->FunctionCount; i++) {
        const BOOT_PCI_FUNCTION *function = &HalpBootBlock->Function[i];
        if (function->VendorId == vendor && function->DeviceId == device) {
            return function;
        }
    }
    return NULL;
}

ULONG HalpReadConfig(ULONG location, ULONG offset) {
    KIRQL irql = KiAcquireLockAtHigh(&HalpConfigLock);
    ULONG value = pci_read32(location, offset);
    KiReleaseLockFromHigh(&HalpConfigLock, irql);
    return value;
}

VOID HalpWriteConfig(ULONG location, ULONG offset, ULONG value) {
    KIRQL irql = KiAcquireLockAtHigh(&HalpConfigLock);
    pci_write32(location, offset, value);
    KiReleaseLockFromHigh(&HalpConfigLock, irql);
}

ULONG HalpFindCapability(ULONG location, UCHAR id) {
    if ((HalpReadConfig(location, PCI_COMMAND) & PCI_STATUS_CAPABILITIES) == 0) {
        return 0;
    }
    ULONG offset = HalpReadConfig(location, PCI_CAPABILITY_POINTER) & 0xfcu;
    for (ULONG guard = 0; offset != 0 && guard < 48; guard++) { /* 48 capabilities fill the space: a loop ends here */
        ULONG header = HalpReadConfig(location, offset);
        if ((header & 0xffu) == id) {
            return offset;
        }
        offset = header >> 8 & 0xfcu;
    }
    return 0;
}

ULONG HalpWriteConfigPart(ULONG location, ULONG offset, const UCHAR *bytes, ULONG length) {
    ULONG first = offset & 3u;
    ULONG count = length < 4 - first ? length : 4 - first;
    USHORT data = (USHORT)(PCI_CONFIG_DATA + first);
    KIRQL irql = KiAcquireLockAtHigh(&HalpConfigLock);
    scan_out32(PCI_CONFIG_ADDRESS, 0x80000000u | location << 8 | (offset & 0xfcu));
    if (count == 4) {
        scan_out32(data, bytes[0] | (ULONG)bytes[1] << 8 | (ULONG)bytes[2] << 16 | (ULONG)bytes[3] << 24);
    } else if (count == 2 && first != 1) {
        scan_out16(data, (USHORT)(bytes[0] | bytes[1] << 8));
    } else {
        for (ULONG i = 0; i < count; i++) {
            scan_out8((USHORT)(data + i), bytes[i]);
        }
    }
    KiReleaseLockFromHigh(&HalpConfigLock, irql);
    return count;
}
