/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_pool.sys: pairs of allocation and free on every CPU at once, and a page that was put out and is brought back. The host runs
 * the routines and reads Pool; ticks are the TSC's, under icount 1/8 instruction.
 */
#include <ntddk.h>

#include <dirql.h>

#define PAIRS  100000
#define ROUNDS 256
#define BYTES  64
#define TAG    'hcnB'

typedef struct _POOL {
    ULONG64 Pairs;          /* on each CPU */
    ULONG64 Ticks;          /* from the first CPU's start to the last one's end */
    ULONG64 Rounds;         /* of the next two */
    ULONG64 PageIn[ROUNDS]; /* a touch of a page that is out */
    ULONG64 Copy[ROUNDS];   /* a page copied, nothing else */
} POOL;

DRIVER_INITIALIZE DriverEntry;
DIRQL_WORK_ROUTINE MeasurePool, MeasurePageIn;

POOL Pool = {.Pairs = PAIRS, .Rounds = ROUNDS};

static volatile LONG Ready, Done;
static volatile LONG Go;

static VOID NTAPI Pairs(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    ExFreePoolWithTag(ExAllocatePoolWithTag(NonPagedPoolNx, BYTES, TAG), TAG); /* this CPU's stock is there now */
    InterlockedIncrement(&Ready);
    while (!Go) {
        YieldProcessor();
    }
    for (ULONG i = 0; i < PAIRS; i++) {
        ExFreePoolWithTag(ExAllocatePoolWithTag(NonPagedPoolNx, BYTES, TAG), TAG);
    }
    InterlockedIncrement(&Done);
}

VOID NTAPI MeasurePool(PVOID Context) {
    ULONG cpus = (ULONG)(ULONG_PTR)Context;
    Ready = Done = Go = 0;
    for (ULONG cpu = 1; cpu < cpus; cpu++) {
        DirqlStartOn(cpu, Pairs, NULL);
    }
    while ((ULONG)Ready != cpus - 1) {
        YieldProcessor();
    }
    ULONG64 started = __rdtsc();
    Go = 1;
    Pairs(NULL);
    while ((ULONG)Done != cpus) {
        YieldProcessor();
    }
    Pool.Ticks = __rdtsc() - started;
    for (ULONG cpu = 1; cpu < cpus; cpu++) {
        DirqlWaitFor(cpu);
    }
}

static ULONG64 MeasureTouch(volatile ULONG64 *page) {
    ULONG64 started = __rdtsc();
    *page = 1;
    return __rdtsc() - started;
}

static ULONG64 MeasureCopy(PVOID to, const VOID *from) {
    ULONG64 words = PAGE_SIZE / sizeof(ULONG64);
    ULONG64 started = __rdtsc();
    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
    return __rdtsc() - started;
}

VOID NTAPI MeasurePageIn(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    ULONG64 *page = ExAllocatePoolWithTag(PagedPool, PAGE_SIZE, TAG);
    UCHAR *pair = ExAllocatePoolWithTag(NonPagedPoolNx, 2ull * PAGE_SIZE, TAG);
    for (ULONG i = 0; i < ROUNDS; i++) {
        DirqlPageOut(page, PAGE_SIZE);
        Pool.PageIn[i] = MeasureTouch(page);
        Pool.Copy[i] = MeasureCopy(pair, pair + PAGE_SIZE);
    }
    ExFreePoolWithTag(pair, TAG);
    ExFreePoolWithTag(page, TAG);
}

static VOID NTAPI PoolUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = PoolUnload;
    return STATUS_SUCCESS;
}
