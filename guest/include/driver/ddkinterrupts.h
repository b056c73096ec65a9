/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documented interrupt routines that the mingw-w64 DDK headers do not declare, or not for 64 bits. A driver that uses them
 * includes this after its DDK header. Their contracts stand in include/nt/interrupts.h.
 */
#pragma once

/* Windows 8 and later, wdm.h. */
typedef struct _IO_REPORT_INTERRUPT_ACTIVE_STATE_PARAMETERS {
    ULONG Version;
    union {
        PVOID Generic;
        PKINTERRUPT InterruptObject;
        PIO_INTERRUPT_MESSAGE_INFO InterruptMessageTable;
    } ConnectionContext;
} IO_REPORT_INTERRUPT_ACTIVE_STATE_PARAMETERS, *PIO_REPORT_INTERRUPT_ACTIVE_STATE_PARAMETERS;

NTSYSAPI VOID NTAPI IoReportInterruptActive(PIO_REPORT_INTERRUPT_ACTIVE_STATE_PARAMETERS Parameters);
NTSYSAPI VOID NTAPI IoReportInterruptInactive(PIO_REPORT_INTERRUPT_ACTIVE_STATE_PARAMETERS Parameters);

/* ntddk.h has it for drivers without NO_LEGACY_DRIVERS. */
#ifdef NO_LEGACY_DRIVERS
NTSYSAPI ULONG NTAPI HalGetInterruptVector(INTERFACE_TYPE InterfaceType, ULONG BusNumber, ULONG BusInterruptLevel,
                                           ULONG BusInterruptVector, PKIRQL Irql, PKAFFINITY Affinity);
#endif
