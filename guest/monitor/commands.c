/* SPDX-License-Identifier: Apache-2.0 */
/* The console's commands. */
#include <string.h>

#include "monitor.h"

#include "../ex/ex.h"
#include "../hal/hal.h"
#include "../ke/dispatcher.h"
#include "../ldr/ldr.h"
#include "../mm/mi.h"

typedef struct _CONSOLE_COMMAND {
    const char *Name;
    const char *Help;
    VOID (*Routine)(const char *arguments);
} CONSOLE_COMMAND;

static VOID CommandHelp(const char *arguments);

static VOID CommandCpus(const char *arguments) {
    UNREFERENCED_PARAMETER(arguments);
    ConsolePrint("cpu apic  interrupts        ipis       ticks        dpcs        nmis  unexpected\n");
    for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
        const KPRCB *prcb = &KiPcr[cpu].Prcb;
        ConsolePrint("%3u %4u %11I64d %11I64d %11I64d %11I64d %11I64d %11I64d\n", cpu, prcb->ApicId,
                     prcb->InterruptCount, prcb->IpiCount, prcb->ClockCount, prcb->DpcCount, prcb->NmiCount,
                     prcb->SpuriousCount);
    }
    ConsolePrint("%s, clock tick %u us, %I64u of %I64u pages free\n", lapic_is_x2apic() ? "x2APIC" : "xAPIC",
                 KiClockPeriod100ns / 10, MiFreePageCount(), MiTotalPageCount());
}

typedef struct _IRQL_SAMPLE {
    KIRQL Irql;
    ULONG64 Rip;
    BOOLEAN DpcActive;
} IRQL_SAMPLE;

/* At IPI_LEVEL on each CPU: the frame of this very IPI says what it interrupted, and at which IRQL. */
static VOID SampleIrql(PVOID context) {
    PKPRCB prcb = KiCurrentPrcb();
    IRQL_SAMPLE *sample = (IRQL_SAMPLE *)context + prcb->Number;
    sample->Irql = (KIRQL)prcb->InterruptFrame->PreviousIrql;
    sample->Rip = prcb->InterruptFrame->Rip;
    sample->DpcActive = prcb->DpcRoutineActive != FALSE;
}

static VOID CommandIrql(const char *arguments) {
    static IRQL_SAMPLE samples[MAXIMUM_CPUS];
    UNREFERENCED_PARAMETER(arguments);
    PKPRCB prcb = KiCurrentPrcb();
    KiCallOthers(SampleIrql, samples);
    samples[prcb->Number].Irql = (KIRQL)__readcr8();
    samples[prcb->Number].Rip = KI_CALLER;
    ConsolePrint("cpu irql rip               doing\n");
    for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
        ConsolePrint("%3u %4u %p  %s\n", cpu, samples[cpu].Irql, (PVOID)samples[cpu].Rip,
                     cpu == prcb->Number          ? "this command"
                         : samples[cpu].DpcActive ? "a DPC"
                         : samples[cpu].Irql != 0 ? "raised IRQL"
                                                  : "idle");
    }
}

static VOID CommandInts(const char *arguments) {
    UNREFERENCED_PARAMETER(arguments);
    ConsolePrint("vector irql object                  isr calls      claimed\n");
    for (ULONG vector = FIRST_DEVICE_VECTOR; vector <= LAST_DEVICE_VECTOR; vector++) {
        PKINTERRUPT interrupt = NULL;
        ULONG64 count, claimed;
        while (KiQueryInterrupt(vector, &interrupt, &count, &claimed)) {
            ConsolePrint("  0x%02x %4u %p %14I64u %12I64u\n", vector, VECTOR_IRQL(vector), interrupt, count, claimed);
        }
    }
    ConsolePrint("fixed: APC 0x%02x, DPC 0x%02x, COM1 0x%02x, COM2 0x%02x, CLOCK 0x%02x, IPI 0x%02x, wake-up 0x%02x, "
                 "spurious 0x%02x\n",
                 APC_VECTOR, DPC_VECTOR, CONSOLE_VECTOR, HOST_VECTOR, CLOCK_VECTOR, IPI_VECTOR, WAKE_VECTOR,
                 SPURIOUS_VECTOR);
}

static VOID CommandIrq(const char *arguments) {
    UNREFERENCED_PARAMETER(arguments);
    ConsolePrint("vector irql       taken  unexpected   unclaimed  by CPU\n");
    for (ULONG vector = 0; vector < 256; vector++) {
        ULONG64 taken = 0;
        for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
            taken += KiInterruptCounts[cpu][vector];
        }
        if (taken == 0) {
            continue;
        }
        ConsolePrint("  0x%02x %4u %11I64u %11I64u %11I64u ", vector, VECTOR_IRQL(vector), taken,
                     KiUnexpectedCounts[vector], KiUnclaimedCounts[vector]);
        for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
            ConsolePrint(" %I64u", KiInterruptCounts[cpu][vector]);
        }
        ConsolePrint("\n");
    }
}

static VOID CommandDpcs(const char *arguments) {
    static const char *const placement[] = {"by routine (IoRequestDpc: first available; KeInsertQueueDpc: current)",
                                            "first available processor", "current processor"};
    UNREFERENCED_PARAMETER(arguments);
    ConsolePrint("placement: %s\ncpu queued         run  running now\n", placement[HostBootOptions.DpcPlacement % 3]);
    for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
        const KPRCB *prcb = &KiPcr[cpu].Prcb;
        ConsolePrint("%3u %6u %11I64d  %p\n", cpu, prcb->DpcQueue.Depth, prcb->DpcCount, prcb->CurrentDpc);
    }
    ConsolePrint("any %6u\n", KiSharedDpcQueue.Depth);
}

/* Under the dispatcher lock nothing changes; what is printed meanwhile goes out at HIGH_LEVEL anyway. */
static VOID CommandThreads(const char *arguments) {
    static const char *const states[] = {"initialized", "ready", "standby", "running", "waiting", "terminated"};
    UNREFERENCED_PARAMETER(arguments);
    ConsolePrint("  id prio cpu    switches  does         start routine       waits for\n");
    KIRQL irql = KiLockDispatcher();
    for (PLIST_ENTRY entry = KiAllThreads.Flink; entry != &KiAllThreads; entry = entry->Flink) {
        const KTHREAD *thread = CONTAINING_RECORD(entry, KTHREAD, AllThreads);
        PVOID object = thread->State == KiThreadWaiting && thread->WaitBlock != NULL ? thread->WaitBlock->Object : NULL;
        ConsolePrint("%4u %4d %3u %11I64u  %-11s  %p  %p\n", thread->Id, thread->Priority, thread->Processor,
                     thread->Switches, states[thread->State], (PVOID)(ULONG64)thread->StartRoutine, object);
    }
    KiUnlockDispatcher(irql);
}

static VOID CommandRun(const char *arguments) {
    char name[16];
    ULONG length = 0;
    ULONG count = 0;
    while (arguments[length] > ' ' && length < sizeof name - 1) {
        name[length] = arguments[length];
        length++;
    }
    name[length] = 0;
    for (const char *digit = arguments + length; *digit != 0; digit++) {
        count = *digit >= '0' && *digit <= '9' ? count * 10 + (ULONG)(*digit - '0') : count;
    }
    if (!ConsoleExercise(name, count == 0 ? 1000 : count)) {
        ConsoleListExercises();
    }
}

static VOID CommandTrace(const char *arguments) {
    ULONG64 before[2];
    if (strcmp(arguments, "on") == 0) {
        TraceSetMask(~0ull, ~0ull, before);
    } else if (strcmp(arguments, "off") == 0) {
        TraceSetMask(0, 0, before);
    } else if (*arguments != 0) {
        ConsolePrint("trace on | off, not '%s'\n", arguments);
        return;
    }
    ConsolePrint("trace %s, full ring: %s\ncpu    records        lost\n",
                 (TraceControl.Mask[0] | TraceControl.Mask[1]) != 0 ? "on" : "off",
                 TraceControl.Policy == TraceDropNew ? "new records are dropped" : "old records are overwritten");
    for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
        ConsolePrint("%3u %10I64u %11I64u\n", cpu, TraceRing[cpu].Head, TraceRing[cpu].Lost);
    }
}

static VOID CommandPool(const char *arguments) {
    UNREFERENCED_PARAMETER(arguments);
    EX_POOL_TAG tag;
    ConsolePrint("tag   pool      allocated        freed       in use        bytes\n");
    for (ULONG i = 0; ExQueryPoolTag(i, &tag); i++) {
        for (ULONG kind = 0; kind < RTL_NUMBER_OF(tag.Pool); kind++) {
            if (tag.Pool[kind].Allocations != 0) {
                ConsolePrint("%-4.4s  %-8s %10I64u %12I64u %12I64u %12I64u\n",
                             tag.Tag == 0 ? "all " : (const char *)&tag.Tag, kind == 0 ? "nonpaged" : "paged",
                             tag.Pool[kind].Allocations, tag.Pool[kind].Frees,
                             tag.Pool[kind].Allocations - tag.Pool[kind].Frees, tag.Pool[kind].Bytes);
            }
        }
    }
}

static VOID CommandImages(const char *arguments) {
    UNREFERENCED_PARAMETER(arguments);
    ConsolePrint("base                  size  image\n");
    for (ULONG i = 0; i < MAXIMUM_IMAGES; i++) {
        if (LdrImages[i].Base != 0) {
            ConsolePrint("%p %9I64u  %s\n", (PVOID)LdrImages[i].Base, LdrImages[i].Size, LdrImages[i].Name);
        }
    }
}

static VOID CommandIrps(const char *arguments) {
    UNREFERENCED_PARAMETER(arguments);
    HostIoPrintAll();
}

static VOID CommandQuit(const char *arguments) {
    UNREFERENCED_PARAMETER(arguments);
    KiEndMachine(HostExitRequested);
}

static const CONSOLE_COMMAND ConsoleCommands[] = {
    {"help", "this list", CommandHelp},
    {"cpus", "each CPU's interrupts, IPIs, clock ticks, DPCs", CommandCpus},
    {"irql", "each CPU's IRQL and where it is", CommandIrql},
    {"ints", "connected interrupt objects and their counts", CommandInts},
    {"irq", "what was taken of each vector, unexpected ones included", CommandIrq},
    {"dpcs", "DPC queues", CommandDpcs},
    {"threads", "each thread: priority, CPU, what it does and waits for", CommandThreads},
    {"irps", "the host's I/O requests: IRP, driver, cancel routine", CommandIrps},
    {"run", "run NAME [COUNT]: an exercise; without a name, lists them", CommandRun},
    {"trace", "trace on | off: records events; without a word, shows the rings", CommandTrace},
    {"images", "loaded drivers", CommandImages},
    {"pool", "pool by tag", CommandPool},
    {"quit", "ends the machine", CommandQuit},
};

static VOID CommandHelp(const char *arguments) {
    UNREFERENCED_PARAMETER(arguments);
    for (ULONG i = 0; i < RTL_NUMBER_OF(ConsoleCommands); i++) {
        ConsolePrint("%-7s %s\n", ConsoleCommands[i].Name, ConsoleCommands[i].Help);
    }
}

VOID ConsoleExecute(char *line) {
    ULONG length = 0;
    while (*line == ' ') {
        line++;
    }
    while (line[length] > ' ') {
        length++;
    }
    char *arguments = line + length;
    while (*arguments == ' ') {
        *arguments++ = 0;
    }
    if (length == 0) {
        return;
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(ConsoleCommands); i++) {
        if (strcmp(ConsoleCommands[i].Name, line) == 0) {
            ConsoleCommands[i].Routine(arguments);
            return;
        }
    }
    ConsolePrint("no command '%s'; 'help' lists them\n", line);
}
