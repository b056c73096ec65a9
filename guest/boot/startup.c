/* SPDX-License-Identifier: Apache-2.0 */
/* The start of the executive, as a list. */
#include "boot.h"

#include "../cm/cm.h"
#include "../ex/worker.h"
#include "../hal/hal.h"
#include "../hal/regs.h"
#include "../io/iop.h"
#include "../ke/apc.h"
#include "../ke/spinwait.h"
#include "../ke/timer.h"
#include "../mm/mi.h"
#include "../monitor/monitor.h"
#include "../ps/ps.h"
#include "../rtl/strings.h"
#include "../seh/seh.h"
#include "../trace/trace.h"
#include "../verifier/vf.h"

#define KI_EMERGENCY_STACK_PAGES 2
#define KI_TAG_STRING            'rtSR'

HOST_BOOT_OPTIONS HostBootOptions __attribute__((section(".hostoptions,\"aw\",@nobits#")));

static BOOT_BLOCK KiBootBlock;

static VOID KiTakeBootBlock(ULONG64 boot_block, ULONG64 pvh_start_info) {
    if (pvh_start_info != 0) {
        if (!PvhBuildBootBlock(pvh_start_info, &KiBootBlock)) {
            KeBugCheckEx(PHASE0_INITIALIZATION_FAILED, 1, pvh_start_info, 0, 0);
        }
        return;
    }
    const BOOT_BLOCK *given = MiPhysicalToVirtual(boot_block);
    if (given->Magic != BOOT_BLOCK_MAGIC || given->Version != BOOT_BLOCK_VERSION ||
        given->Bytes != sizeof KiBootBlock) {
        KeBugCheckEx(PHASE0_INITIALIZATION_FAILED, 2, boot_block, given->Version, given->Bytes);
    }
    KiBootBlock = *given;
}

static VOID KiTakeBootOptions(VOID) {
    if (HostBootOptions.Magic != HOST_BOOT_OPTIONS_MAGIC) { /* no harness: every default */
        RtlZeroMemory(&HostBootOptions, sizeof HostBootOptions);
        HostBootOptions.Magic = HOST_BOOT_OPTIONS_MAGIC;
        HostBootOptions.TracePolicy = TraceOverwriteOld;
        HostBootOptions.TraceMask[0] = HostBootOptions.TraceMask[1] = ~0ull;
    }
}

static VOID KiCreateStacks(VOID) {
    for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
        KiPcr[cpu].Prcb.StackTop = MiCreateStack(KI_THREAD_STACK_PAGES);
        for (ULONG i = 0; i < KI_EMERGENCY_STACKS; i++) {
            KiSetEmergencyStack(cpu, i, MiCreateStack(KI_EMERGENCY_STACK_PAGES));
        }
    }
}

static PVOID KiAllocateString(SIZE_T bytes) {
    return ExAllocatePoolWithTag(PagedPool, bytes, KI_TAG_STRING);
}

static VOID KiFreeString(PVOID buffer) {
    ExFreePoolWithTag(buffer, 0); /* its caller may have allocated it under another tag */
}

/* The kernel writes the page where it lies in its image, drivers read it where the DDK's inline functions look. */
static VOID KiMapSharedData(VOID) {
    if (!MiMapPages(KI_USER_SHARED_DATA, (ULONG64)KiSharedData - MI_KERNEL_BASE, 1, MiReadOnly)) {
        KeBugCheckEx(INSTALL_MORE_MEMORY, MiTotalPageCount(), 1, 4, 0);
    }
}

static VOID KiCreateTraceRings(VOID) {
    ULONG records = TraceRecordsPerRing(KiProcessorCount);
    ULONG64 pages = BYTES_TO_PAGES((ULONG64)records * sizeof(TRACE_RECORD));
    for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
        ULONG64 physical = MiAllocatePages(pages);
        if (physical == 0) {
            KeBugCheckEx(INSTALL_MORE_MEMORY, pages, cpu, KiProcessorCount, MiFreePageCount());
        }
        TraceSetRing(cpu, physical, MiPhysicalToVirtual(physical), records);
        KiPcr[cpu].Prcb.TraceRing = &TraceRing[cpu];
    }
    TraceStart(KiProcessorCount);
}

/* On the boot CPU's own guarded stack: what becomes its idle thread. */
static VOID KiBootThread(VOID) {
    RtlpAllocateString = KiAllocateString;
    RtlpFreeString = KiFreeString;
    ObInitialize();
    PsInitializeProcess();
    CmInitialize();
    IopInitialize();
    KiStartProcessors();
    KiPublishProcessorCount();
    KiStartClock();
    KiLowerIrql(PASSIVE_LEVEL, KI_CALLER);
    _enable();
    PsStartProcessorThreads();
    ExInitializeWorkers(PsStartThread);
    MonitorStart();
    KiIdleLoop();
}

VOID KiSystemStartup(ULONG64 boot_block, ULONG64 pvh_start_info) {
    KiInitializeProcessor(0, 0);
    KiTakeBootBlock(boot_block, pvh_start_info);
    KiTakeBootOptions();
    KiProcessorCount = KiBootBlock.ProcessorCount;
    MiInitializePhysical(&KiBootBlock);
    MiBuildPageTables(&KiBootBlock);
    MiCreatePagedPool();
    lapic_use(MiMapDevice(LAPIC_PHYSICAL, PAGE_SIZE));
    lapic_enable();
    ioapic_use(MiMapDevice(IOAPIC_PHYSICAL, PAGE_SIZE));
    hpet_use(MiMapDevice(HPET_PHYSICAL, PAGE_SIZE));
    HalpInitializePci(&KiBootBlock);
    KiMapSharedData();
    KiCreateStacks();
    KiCreateTraceRings();
    KiInitializeDpcs(KiProcessorCount);
    KiInitializeTimers();
    KiInitializeScheduler();
    KiConnectDpcInterrupt();
    KiConnectApcInterrupt();
    KiConnectClock();
    KiConnectIpi();
    VfInitialize();
    SehInitialize();
    KiConnectSpinWait();
    MonitorInitialize();
    KiPcr[0].Prcb.Running = TRUE;
    trace(TraceCpuStart, lapic_id(), 0);
    KiSwitchStack(KiPcr[0].Prcb.StackTop, KiBootThread);
}
