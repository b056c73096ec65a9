/* SPDX-License-Identifier: Apache-2.0 */
/* figure-16, the half on the guest: both orders of the figure, one after the other, as often as the host asks for. */
#include "figure_16_script.h"

typedef struct _FIGURE_16_RUN {
    ULONG Rounds;      /* of each order */
    ULONG64 Interrupt; /* for the host: the trace names the two by their addresses */
    ULONG64 Lock;
} FIGURE_16_RUN;

FIGURE_16_RUN Figure16Run;

static PDRIVER_OBJECT Driver;

VOID NTAPI RunFigure16(PVOID Context);
/* Called by the host, which has filled in Rounds. PASSIVE_LEVEL, on CPU 0. */
VOID NTAPI RunFigure16(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    NTSTATUS status = FigureBegin(Driver);
    if (!NT_SUCCESS(status)) {
        KeBugCheckEx(MANUALLY_INITIATED_CRASH, (ULONG_PTR)status, 0, 0, 0);
    }
    Figure16Run.Interrupt = (ULONG64)Figure.Interrupt;
    Figure16Run.Lock = (ULONG64)&Figure.Lock;
    for (ULONG round = 0; round < Figure16Run.Rounds; round++) {
        FigurePlay(FALSE);
        FigurePlay(TRUE);
    }
    FigureEnd();
}

static VOID NTAPI FigureUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

DRIVER_INITIALIZE DriverEntry;
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    Driver = DriverObject;
    DriverObject->DriverUnload = FigureUnload;
    return STATUS_SUCCESS;
}
