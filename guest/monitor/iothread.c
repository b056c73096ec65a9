/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that call drivers for the host's I/O requests: each CPU has a queue of requests and threads bound to it, of which
 * one at a time is busy. A thread that waits in a driver lets the next take over; there is always one more than have waited
 * at once, so a request never waits for another to return.
 */
#include "io.h"

#include "../ke/ki.h"
#include "../mm/mi.h"
#include "../ob/ob.h"
#include "../ps/ps.h"

typedef struct _HOST_IO_CPU {
    KQUEUE Queue;       /* of HOST_IO_WORK */
    volatile LONG Idle; /* threads that look for a request */
    ULONG Number;
} HOST_IO_CPU;

static HOST_IO_CPU HostIoCpus[MAXIMUM_CPUS];
static PFILE_OBJECT HostIoFiles[HOST_IO_FILES]; /* entry n is changed by the open and the close of n alone */
static volatile LONG HostIoThreads;

ULONG HostIoThreadCount(VOID) {
    return (ULONG)__atomic_load_n(&HostIoThreads, __ATOMIC_RELAXED);
}

static PVOID HostIoData(ULONG offset, ULONG bytes) {
    return bytes == 0 ? NULL : (UCHAR *)MiPhysicalToVirtual(HostIoChannel.DataPhysical) + offset;
}

static VOID HostIoAnswer(HOST_IO *slot, NTSTATUS status, ULONG64 information) {
    slot->Status = status;
    slot->Information = information;
    slot->FinishedCpu = KiCurrentPrcb()->Number;
    slot->FinishedIrql = (UCHAR)__readcr8();
}

static UNICODE_STRING HostIoText(const HOST_IO *slot) {
    UNICODE_STRING text = {.Buffer = HostIoData(slot->Input, slot->InputBytes),
                           .Length = (USHORT)slot->InputBytes,
                           .MaximumLength = (USHORT)slot->InputBytes};
    return text;
}

static VOID HostIoOpen(HOST_IO *slot) {
    UNICODE_STRING name = HostIoText(slot);
    IOP_OPEN open = {.Access = slot->Code,
                     .Disposition = slot->Key >> 24,
                     .Options = slot->Key & 0xffffffu,
                     .Share = slot->Share,
                     .Attributes = FILE_ATTRIBUTE_NORMAL};
    slot->Returned = slot->InputBytes > MAXUSHORT - 1 || HostIoFiles[slot->File] != NULL
        ? STATUS_INVALID_PARAMETER
        : IopOpenFile(&name, &open, &HostIoFiles[slot->File]);
    HostIoAnswer(slot, slot->Returned, open.Information);
}

static VOID HostIoClose(HOST_IO *slot) {
    PFILE_OBJECT file = HostIoFiles[slot->File];
    slot->Returned = STATUS_INVALID_HANDLE;
    if (file != NULL) {
        HostIoFiles[slot->File] = NULL;
        IopCloseFile(file);
        slot->Returned = STATUS_SUCCESS;
    }
    HostIoAnswer(slot, slot->Returned, 0);
}

static VOID HostIoCompleted(IOP_REQUEST *request) {
    HOST_IO_WORK *work = request->Context;
    HostIoAnswer(HostIoSlotOf(work), request->Result.Status, request->Result.Information);
    HostIoRelease(work);
}

static VOID HostIoSend(HOST_IO_WORK *work) {
    HOST_IO *slot = HostIoSlotOf(work);
    KIRQL irql;
    RtlZeroMemory(&work->Request, sizeof work->Request);
    work->Request.MajorFunction = slot->MajorFunction;
    work->Request.MinorFunction = slot->MinorFunction;
    work->Request.File = HostIoFiles[slot->File];
    work->Request.Code = slot->Code;
    work->Request.Key = slot->Key;
    work->Request.Offset.QuadPart = slot->Offset;
    work->Request.Input = HostIoData(slot->Input, slot->InputBytes);
    work->Request.InputBytes = slot->InputBytes;
    work->Request.Output = HostIoData(slot->Output, slot->OutputBytes);
    work->Request.OutputBytes = slot->OutputBytes;
    if (slot->MajorFunction == IRP_MJ_DIRECTORY_CONTROL && slot->InputBytes != 0) {
        work->Pattern = HostIoText(slot);
        work->Request.Pattern = &work->Pattern;
    }
    work->Request.Completed = HostIoCompleted;
    work->Request.Context = work;
    if (work->Request.File == NULL || work->Cancel) {
        slot->Returned = work->Cancel ? STATUS_CANCELLED : STATUS_INVALID_HANDLE;
        HostIoAnswer(slot, slot->Returned, 0);
        return;
    }
    __atomic_add_fetch(&work->References, 1, __ATOMIC_RELAXED); /* the driver's, which HostIoCompleted gives back */
    /* Sequentially consistent: see HostIoCancel. */
    __atomic_store_n(&work->Sent, TRUE, __ATOMIC_SEQ_CST);
    KeRaiseIrql(slot->Irql, &irql);
    slot->Returned = IopSendRequest(&work->Request);
    KIRQL after = (KIRQL)__readcr8();
    if (after != slot->Irql) {
        KeBugCheckEx(IRQL_UNEXPECTED_VALUE, (ULONG64)after << 16 | (ULONG64)slot->Irql << 8, (ULONG64)work->Request.Irp,
                     0, 0);
    }
    KeLowerIrql(irql);
    if (__atomic_load_n(&work->Cancel, __ATOMIC_SEQ_CST)) {
        IopCancelRequest(&work->Request); /* the IRP may not have been there yet when the word came */
    }
}

static VOID HostIoPerform(HOST_IO_WORK *work) {
    HOST_IO *slot = HostIoSlotOf(work);
    KPRIORITY usual = slot->Priority != 0 ? KeSetPriorityThread(KiCurrentThread(), slot->Priority) : 0;
    slot->State = HostIoStarted;
    switch (slot->MajorFunction) {
    case IRP_MJ_CREATE:
        HostIoOpen(slot);
        break;
    case IRP_MJ_CLOSE:
        HostIoClose(slot);
        break;
    default:
        HostIoSend(work);
        break;
    }
    if (usual != 0) {
        KeSetPriorityThread(KiCurrentThread(), usual);
    }
    HostIoHasReturned(work);
    HostIoRelease(work);
}

static VOID HostIoStartThread(HOST_IO_CPU *cpu);

static VOID HostIoThread(PVOID context) {
    HOST_IO_CPU *cpu = context;
    for (;;) {
        PLIST_ENTRY entry = KeRemoveQueue(&cpu->Queue, KernelMode, NULL);
        /* Relaxed: threads of one CPU, which only has to count them right. */
        if (__atomic_sub_fetch(&cpu->Idle, 1, __ATOMIC_RELAXED) == 0) {
            HostIoStartThread(cpu); /* this one may have to wait in the driver */
        }
        HostIoPerform(CONTAINING_RECORD(entry, HOST_IO_WORK, Entry));
        __atomic_add_fetch(&cpu->Idle, 1, __ATOMIC_RELAXED);
    }
}

/* Without memory for a thread the requests of the CPU wait for those that it has. */
static VOID HostIoStartThread(HOST_IO_CPU *cpu) {
    PKTHREAD thread = PsNewThread(HostIoThread, cpu, KI_NORMAL_PRIORITY, (KAFFINITY)1 << cpu->Number);
    if (thread != NULL) {
        __atomic_add_fetch(&cpu->Idle, 1, __ATOMIC_RELAXED);
        __atomic_add_fetch(&HostIoThreads, 1, __ATOMIC_RELAXED);
        KiStartThread(thread);
        ObDereferenceObject(thread);
    }
}

VOID HostIoQueue(HOST_IO_WORK *work, ULONG cpu) {
    KeInsertQueue(&HostIoCpus[cpu].Queue, &work->Entry);
}

VOID HostIoInitializeThreads(VOID) {
    for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
        HostIoCpus[cpu].Number = cpu;
        KeInitializeQueue(&HostIoCpus[cpu].Queue, 1);
    }
}

VOID HostIoStartThreads(VOID) {
    for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
        HostIoStartThread(&HostIoCpus[cpu]);
        if (HostIoCpus[cpu].Idle == 0) {
            KeBugCheckEx(INSTALL_MORE_MEMORY, cpu, (ULONG64)HostIoThread, 6, 0);
        }
    }
}
