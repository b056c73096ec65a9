/* SPDX-License-Identifier: Apache-2.0 */
/* SYS-7: the figure of "Using Spin Locks: An Example", both legal orders of its third step. */
#include "../../guest/experiments/figure_16_script.h"

#include <dirqltest.h>

static PDRIVER_OBJECT Driver;

static VOID ExpectTurns(ULONG count, const FIGURE_TURN *expected) {
    ASSERT_EQ(Figure.Context.TurnCount, count);
    for (ULONG i = 0; i < count; i++) {
        ASSERT_EQ(Figure.Context.Turns[i].Routine, expected[i].Routine);
        ASSERT_EQ(Figure.Context.Turns[i].Cpu, expected[i].Cpu);
        ASSERT_EQ(Figure.Context.Turns[i].Irql, expected[i].Irql);
    }
    ASSERT_EQ(Figure.StartIrql[0], DISPATCH_LEVEL);
    ASSERT_EQ(Figure.StartIrql[1], DISPATCH_LEVEL);
    ASSERT_EQ(Figure.DpcIrql[0], DISPATCH_LEVEL);
    ASSERT_EQ(Figure.DpcIrql[1], DISPATCH_LEVEL);
    ASSERT_EQ(Figure.DpcCpu, FIGURE_DPC_CPU);
}

TARGET_CASE("SYS-7 SYN-5 SYN-6 DPC-7", the_figure_in_both_orders, "smp=3 oracle=INT-1,SYN-1,SYN-3,IRP-3") {
    static const FIGURE_TURN turns[2][4] = {{{FigureIsr, FIGURE_ISR_CPU, FIGURE_DIRQL},
                                             {FigureStartIo, FIGURE_START_CPU, FIGURE_DIRQL},
                                             {FigureDpcForIsr, FIGURE_DPC_CPU, FIGURE_DIRQL}},
                                            {{FigureIsr, FIGURE_ISR_CPU, FIGURE_DIRQL},
                                             {FigureStartIo, FIGURE_START_CPU, FIGURE_DIRQL},
                                             {FigureIsr, FIGURE_ISR_CPU, FIGURE_DIRQL},
                                             {FigureDpcForIsr, FIGURE_DPC_CPU, FIGURE_DIRQL}}};
    ASSERT_EQ(FigureBegin(Driver), STATUS_SUCCESS);
    for (ULONG order = 0; order < 2; order++) {
        FigurePlay((BOOLEAN)order);
        ExpectTurns(3 + order, turns[order]);
        ASSERT_EQ(Figure.Context.Taken, 1 + order);
        ASSERT_EQ(Figure.Context.Interrupts, 0);
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
