/* SPDX-License-Identifier: Apache-2.0 */
/* The cases' own ground: work on other CPUs, calls to the host, interrupts from both sides, what is left behind. */
#include <ntddk.h>

#include <dirqltest.h>

static volatile LONG Ran;
static volatile LONG Interrupts;
static volatile ULONG Cpu;

static VOID NTAPI CountAndNote(PVOID Context) {
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ASSERT_EQ(KeGetCurrentProcessorNumber(), (ULONG_PTR)Context);
    InterlockedIncrement(&Ran);
}

TARGET_CASE("SYS-2", every_cpu_runs_work, "smp=2") {
    Ran = 0;
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlStartOn(cpu, CountAndNote, (PVOID)(ULONG_PTR)cpu);
    }
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlWaitFor(cpu);
    }
    ASSERT_EQ(Ran, TargetCpus() - 1);
}

TARGET_CASE("SYS-2", host_answers_a_call, "") {
    ULONG64 value = 0;
    ASSERT_EQ(DirqlHostCall(HostCallPing, 0x123456789abcdefull, 0, &value), STATUS_SUCCESS);
    ASSERT_EQ(value, 0x123456789abcdefull);
    ASSERT_EQ(DirqlHostCall(99, 0, 0, NULL), STATUS_NOT_IMPLEMENTED);
}

static BOOLEAN NTAPI CountInterrupt(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(ServiceContext);
    Cpu = KeGetCurrentProcessorNumber();
    InterlockedIncrement(&Interrupts);
    return TRUE;
}

TARGET_CASE("SYS-2", every_cpu_takes_an_interrupt, "oracle=INT-1") {
    PKINTERRUPT interrupt;
    ULONG vector = DirqlAllocateVector(5);
    ASSERT_EQ(vector >> 4, 5);
    ASSERT_EQ(IoConnectInterrupt(&interrupt, CountInterrupt, NULL, NULL, vector, 5, 5, Latched, FALSE,
                                 KeQueryActiveProcessors(), FALSE),
              STATUS_SUCCESS);
    Interrupts = 0;
    for (ULONG cpu = 0; cpu < TargetCpus(); cpu++) {
        DirqlInterrupt(cpu, vector);
        WAIT_UNTIL(Interrupts == (LONG)cpu * 2 + 1);
        ASSERT_EQ(Cpu, cpu);
        ASSERT_EQ(DirqlHostCall(HostCallInterrupt, cpu, vector, NULL), STATUS_SUCCESS);
        WAIT_UNTIL(Interrupts == (LONG)cpu * 2 + 2);
        ASSERT_EQ(Cpu, cpu);
    }
    IoDisconnectInterrupt(interrupt);
    DirqlFreeVector(vector);
}

TARGET_DRIVER
