/* SPDX-License-Identifier: Apache-2.0 */
/* Power IRPs: the contracts (see ../nt.h). IRQL <= DISPATCH_LEVEL. */
#pragma once

#include "../ddk.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/* As IofCallDriver; power IRPs of a device do not wait for each other, so PoStartNextPowerIrp has nothing to do. */
NTSTATUS NTAPI PoCallDriver(PDEVICE_OBJECT DeviceObject, PIRP Irp);
VOID NTAPI PoStartNextPowerIrp(PIRP Irp);
/* Returns the device's state before, at first D0; of a system state the state itself. */
POWER_STATE NTAPI PoSetPowerState(PDEVICE_OBJECT DeviceObject, POWER_STATE_TYPE Type, POWER_STATE State);
/*
 * Sends IRP_MN_SET_POWER or IRP_MN_QUERY_POWER for a device state, or IRP_MN_WAIT_WAKE, to the top of the device's stack, at
 * PASSIVE_LEVEL: at once, or from a worker thread where the caller is above it. STATUS_PENDING: the routine will be called,
 * or has been. No device here can wake the machine: IRP_MN_WAIT_WAKE ends in STATUS_NOT_SUPPORTED.
 */
NTSTATUS NTAPI PoRequestPowerIrp(PDEVICE_OBJECT DeviceObject, UCHAR MinorFunction, POWER_STATE PowerState,
                                 PREQUEST_POWER_COMPLETE CompletionFunction, PVOID Context, PIRP *Irp);

/* NOLINTEND(readability-redundant-declaration) */
