/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SYS-12: floppy.sys, as it is, inside a case: its two executive spin locks under load, and its motor-off timer that races
 * requests. What it writes and reads are real sectors of the emulated drive.
 */
#define DriverEntry FloppyDriverEntry
/* NOLINTBEGIN(bugprone-suspicious-include): the driver's own source, compiled into the cases */
#include "../../guest/drivers/floppy/controller.c"
#include "../../guest/drivers/floppy/driver.c"
#include "../../guest/drivers/floppy/media.c"
#include "../../guest/drivers/floppy/motor.c"
#include "../../guest/drivers/floppy/queue.c"
#include "../../guest/drivers/floppy/transfer.c"
/* NOLINTEND(bugprone-suspicious-include) */
#undef DriverEntry

#include "threads.h"

#define SWEEP       40u /* requests around the timer's expiry */
#define ATTEMPTS    500u
#define WORKERS     4u
#define FOR_EACH    6ull /* of a worker's transfers, written and read */
#define OWN_SECTORS 40u  /* more than a cylinder has */
#define TICK        (1 * MILLISECONDS)

static PDRIVER_OBJECT Self;
static WCHAR PathCharacters[256];
static UNICODE_STRING Path = {.Buffer = PathCharacters, .MaximumLength = sizeof PathCharacters};
static PFLOPPY_EXTENSION Floppy;

/* A request of one of the threads, and its own memory, which pages do not bound. */
typedef struct _TRANSFER {
    PUCHAR Memory;
    PIRP Irp;
    KEVENT Event;
    IO_STATUS_BLOCK Result;
} TRANSFER;

static TRANSFER Transfers[MAXIMUM_CPUS];

static VOID NTAPI TargetUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

static VOID Load(VOID) {
    RtlZeroMemory(&FloppyCounts, sizeof FloppyCounts);
    ASSERT_EQ(FloppyDriverEntry(Self, &Path), STATUS_SUCCESS);
    Floppy = Self->DeviceObject->DeviceExtension;
    Floppy->MotorOff.QuadPart = TICK;
    Floppy->SpinUp.QuadPart = TICK;
    for (ULONG i = 0; i < WORKERS; i++) {
        Transfers[i].Memory = ExAllocatePoolWithTag(NonPagedPool, OWN_SECTORS * FLOPPY_SECTOR + 100, FLOPPY_TAG);
        ASSERT_NE(Transfers[i].Memory, NULL);
    }
}

static VOID Unload(VOID) {
    for (ULONG i = 0; i < WORKERS; i++) {
        ExFreePoolWithTag(Transfers[i].Memory, FLOPPY_TAG);
    }
    Self->DriverUnload(Self);
    Self->DriverUnload = TargetUnload;
    ASSERT_EQ(Self->DeviceObject, NULL);
    ASSERT_EQ(READ_PORT_UCHAR(FDC_DIGITAL_OUTPUT) & FDC_OUTPUT_MOTOR, 0);
    ASSERT_EQ(FloppyCounts.Stalled, 0);
    ASSERT_EQ(FloppyCounts.Retries, 0);
    ASSERT_EQ(FloppyCounts.Strays, 0);
}

static VOID Build(TRANSFER *transfer, UCHAR major, ULONG sector, ULONG sectors) {
    LARGE_INTEGER offset = {.QuadPart = (LONGLONG)sector * FLOPPY_SECTOR};
    KeInitializeEvent(&transfer->Event, NotificationEvent, FALSE);
    transfer->Irp = IoBuildSynchronousFsdRequest(major, Self->DeviceObject, transfer->Memory, sectors * FLOPPY_SECTOR,
                                                 &offset, &transfer->Event, &transfer->Result);
    ASSERT_NE(transfer->Irp, NULL);
}

static VOID Finish(TRANSFER *transfer, ULONG sectors) {
    ASSERT_EQ(WaitFor(&transfer->Event), STATUS_SUCCESS);
    ASSERT_EQ(transfer->Result.Status, STATUS_SUCCESS);
    ASSERT_EQ(transfer->Result.Information, sectors * FLOPPY_SECTOR);
}

static VOID Do(TRANSFER *transfer, UCHAR major, ULONG sector, ULONG sectors) {
    Build(transfer, major, sector, sectors);
    ASSERT_EQ(IoCallDriver(Self->DeviceObject, transfer->Irp), STATUS_PENDING);
    Finish(transfer, sectors);
}

/* Another byte at each place, in each sector, of each writer. */
static UCHAR Pattern(ULONG seed, ULONG at) {
    return (UCHAR)(at * 7 + at / FLOPPY_SECTOR * 13 + seed * 31);
}

static VOID Fill(const TRANSFER *transfer, ULONG seed, ULONG sectors) {
    for (ULONG i = 0; i < sectors * FLOPPY_SECTOR; i++) {
        transfer->Memory[i] = Pattern(seed, i);
    }
}

static VOID Compare(const TRANSFER *transfer, ULONG seed, ULONG sectors) {
    ULONG equal = 0;
    while (equal < sectors * FLOPPY_SECTOR && transfer->Memory[equal] == Pattern(seed, equal)) {
        equal++;
    }
    ASSERT_EQ(equal, sectors * FLOPPY_SECTOR);
}

/*
 * The timer expires while this CPU is at DISPATCH_LEVEL, and the request comes before, at, or after that moment, later by a little from
 * round to round. The motor stops in between, or it does not; no sector is ever moved while it stands.
 */
TARGET_CASE("SYS-12", the_motor_off_timer_races_requests, "cpus=1,4 device=floppy " FAST_TICKS) {
    TRANSFER *transfer = &Transfers[0];
    Load();
    Fill(transfer, 1, 1);
    Do(transfer, IRP_MJ_WRITE, 7, 1);
    for (ULONG i = 0; i < SWEEP; i++) {
        KIRQL irql;
        RtlZeroMemory(transfer->Memory, FLOPPY_SECTOR);
        Build(transfer, IRP_MJ_READ, 7, 1);
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        SpinTicks(1);
        KeStallExecutionProcessor(i * 50);
        ASSERT_EQ(IoCallDriver(Self->DeviceObject, transfer->Irp), STATUS_PENDING);
        KeLowerIrql(irql);
        Finish(transfer, 1);
        Compare(transfer, 1, 1);
    }
    ULONG64 starts = FloppyCounts.MotorStarts;
    ASSERT_GE(starts, 1);
    /* Nothing more is asked of it: it stops, whoever won before. */
    WAIT_UNTIL((READ_PORT_UCHAR(FDC_DIGITAL_OUTPUT) & FDC_OUTPUT_MOTOR) == 0);
    Do(transfer, IRP_MJ_READ, 7, 1);
    Compare(transfer, 1, 1);
    ASSERT_EQ(FloppyCounts.MotorStarts, starts + 1);
    Unload();
}

static volatile LONG Go;

static VOID NTAPI SendsWhenTold(PVOID Context) {
    TRANSFER *transfer = Context;
    Build(transfer, IRP_MJ_READ, 7, 1);
    WAIT_UNTIL(Go);
    ASSERT_EQ(IoCallDriver(Self->DeviceObject, transfer->Irp), STATUS_PENDING);
    Finish(transfer, 1);
    Compare(transfer, 2, 1);
}

/* Holding MotorLock, with nobody using the motor. FALSE: its time is over already. */
static BOOLEAN TakeMotorLock(KIRQL *irql) {
    for (;;) {
        KeAcquireSpinLock(&Floppy->MotorLock, irql);
        BOOLEAN unused = Floppy->MotorUsers == 0;
        if (unused && !KeReadStateTimer(&Floppy->MotorTimer)) {
            return TRUE;
        }
        KeReleaseSpinLock(&Floppy->MotorLock, *irql);
        if (unused) {
            return FALSE;
        }
        YieldProcessor(); /* the thread completes a request before it lets go of the motor */
    }
}

/*
 * MotorLock is held here; a request on CPU 1 waits for it; then the timer expires, and its DPC, on a third CPU, waits behind. So the
 * dispatch routine cancels a timer whose DPC is on its way, and that DPC must leave the motor on. If the DPC came first, which is
 * right too, it is tried again.
 */
TARGET_CASE("SYS-12", a_request_comes_between_the_timer_and_its_dpc, "device=floppy smp=4 " FAST_TICKS) {
    TRANSFER *transfer = &Transfers[0];
    Load();
    Floppy->MotorOff.QuadPart = 5 * TICK; /* time for CPU 1 to come to the lock */
    Fill(transfer, 2, 1);
    Do(transfer, IRP_MJ_WRITE, 7, 1);
    for (ULONG i = 0; i < ATTEMPTS && FloppyCounts.MotorKept == 0; i++) {
        WORKER worker;
        KIRQL irql;
        Go = FALSE;
        StartWorker(&worker, SendsWhenTold, transfer, CASE_PRIORITY, ON(1));
        Do(&Transfers[1], IRP_MJ_READ, 9, 1);
        BOOLEAN held = TakeMotorLock(&irql);
        Go = TRUE;
        if (held) {
            WAIT_UNTIL(KeReadStateTimer(&Floppy->MotorTimer));
            KeReleaseSpinLock(&Floppy->MotorLock, irql);
        }
        EndWorker(&worker);
    }
    ASSERT_NE(FloppyCounts.MotorKept, 0);
    Unload();
}

/* Its part of the disk, over and over, with pauses of about as long as the motor runs on. */
static VOID NTAPI WritesAndReads(PVOID Context) {
    TRANSFER *transfer = Context;
    ULONG number = (ULONG)(transfer - Transfers);
    SIZE_T shift = number * (SIZE_T)28; /* begins anywhere in a page */
    ULONG first = 100 + number * OWN_SECTORS;
    transfer->Memory += shift;
    for (ULONG i = 0; i < FOR_EACH; i++) {
        LARGE_INTEGER time = {.QuadPart = TICK * (LONG)(i % 3)};
        Fill(transfer, number * 16 + i, OWN_SECTORS);
        Do(transfer, IRP_MJ_WRITE, first, OWN_SECTORS);
        RtlZeroMemory(transfer->Memory, (SIZE_T)OWN_SECTORS * FLOPPY_SECTOR);
        KeDelayExecutionThread(KernelMode, FALSE, &time);
        Do(transfer, IRP_MJ_READ, first, OWN_SECTORS);
        Compare(transfer, number * 16 + i, OWN_SECTORS);
    }
    transfer->Memory -= shift;
}

TARGET_CASE("SYS-12", requests_from_every_cpu, "device=floppy " FAST_TICKS " oracle=SPIN-1") {
    WORKER worker[WORKERS];
    Load();
    for (ULONG i = 0; i < WORKERS; i++) {
        StartWorker(&worker[i], WritesAndReads, &Transfers[i], CASE_PRIORITY, ON(CPU_OF(i)));
    }
    for (ULONG i = 0; i < WORKERS; i++) {
        EndWorker(&worker[i]);
    }
    ASSERT_GE(FloppyCounts.Transfers, WORKERS * FOR_EACH * 4); /* each is two pieces at least */
    ASSERT_GE(FloppyCounts.Interrupts, FloppyCounts.Transfers);
    Unload();
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    Self = DriverObject;
    Path.Length = min(RegistryPath->Length, Path.MaximumLength); /* it is ours until we return */
    RtlCopyMemory(Path.Buffer, RegistryPath->Buffer, Path.Length);
    DriverObject->DriverUnload = TargetUnload;
    return STATUS_SUCCESS;
}
