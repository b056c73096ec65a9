/* SPDX-License-Identifier: Apache-2.0 */
/* The console's `irps`: where the host's I/O requests are that have not ended. A look without locks: what moves may be missed. */
#include "io.h"

#include "../ke/ki.h"

static const char *const HostIoStates[] = {"free", "posted", "started", "returned", "finished"};

static VOID HostIoPrint(ULONG index) {
    const HOST_IO *slot = &HostIoChannel.Slot[index];
    PIRP irp = HostIoWork[index].Sent ? HostIoWork[index].Request.Irp : NULL;
    ConsolePrint("%4u %3u %-8s  0x%02x %p", index, slot->Cpu, HostIoStates[slot->State % RTL_NUMBER_OF(HostIoStates)],
                 slot->MajorFunction, irp);
    if (irp != NULL && irp->CurrentLocation > 0 && irp->CurrentLocation <= irp->StackCount) {
        PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(irp);
        ConsolePrint(" %u/%u  %-7s  %-9s %p  %wZ", irp->CurrentLocation, irp->StackCount,
                     (location->Control & SL_PENDING_RETURNED) != 0 ? "pending" : "-", irp->Cancel ? "cancelled" : "-",
                     (PVOID)(ULONG64)irp->CancelRoutine, &location->DeviceObject->DriverObject->DriverName);
    }
    ConsolePrint("\n");
}

VOID HostIoPrintAll(VOID) {
    ULONG count = 0;
    ConsolePrint("slot cpu state     major IRP               at   pending  cancelled cancel routine    driver\n");
    for (ULONG i = 0; i < HOST_IO_SLOTS; i++) {
        if (__atomic_load_n(&HostIoWork[i].References, __ATOMIC_ACQUIRE) != 0) {
            HostIoPrint(i);
            count++;
        }
    }
    ConsolePrint("%u requests\n", count);
}
