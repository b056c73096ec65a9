/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to a device and how they end: REQ-1 to REQ-5. */
#include "device.h"

#define TAG 'seRF'

static PUCHAR Buffer(POOL_TYPE Pool, UCHAR First) {
    PUCHAR buffer = ExAllocatePoolWithTag(Pool, FILES_BYTES, TAG);
    ASSERT_NE(buffer, NULL);
    for (ULONG i = 0; i < FILES_BYTES; i++) {
        buffer[i] = (UCHAR)(First + i * 7);
    }
    return buffer;
}

static ULONG Differences(PUCHAR Left, PUCHAR Right, UCHAR Turn, ULONG Bytes) {
    ULONG different = 0;
    for (ULONG i = 0; i < Bytes; i++) {
        different += Left[i] != (Right[i] ^ Turn);
    }
    return different;
}

/* The caller's buffers are pageable, and out. */
TARGET_CASE("REQ-1", reads_and_writes_of_each_kind, "cpus=1,2") {
    static const ULONG kinds[] = {DO_BUFFERED_IO, DO_DIRECT_IO, 0};
    PUCHAR out = Buffer(PagedPool, 1);
    PUCHAR in = Buffer(PagedPool, 99);
    for (ULONG i = 0; i < RTL_NUMBER_OF(kinds); i++) {
        PDEVICE_OBJECT device;
        IO_STATUS_BLOCK result;
        LARGE_INTEGER offset = {.QuadPart = 0};
        ASSERT_EQ(FilesMakeDevice(L"\\Device\\FilesKind", kinds[i], FALSE, &device), STATUS_SUCCESS);
        HANDLE handle = FilesOpen(L"\\Device\\FilesKind");
        DirqlPageOut(out, FILES_BYTES);
        ASSERT_EQ(ZwWriteFile(handle, NULL, NULL, NULL, &result, out, FILES_BYTES, &offset, NULL), STATUS_SUCCESS);
        ASSERT_EQ(result.Information, FILES_BYTES);
        RtlZeroMemory(in, FILES_BYTES);
        DirqlPageOut(in, FILES_BYTES);
        ASSERT_EQ(ZwReadFile(handle, NULL, NULL, NULL, &result, in, FILES_BYTES, &offset, NULL), STATUS_SUCCESS);
        ASSERT_EQ(result.Information, FILES_BYTES);
        ASSERT_EQ(Differences(in, out, 0, FILES_BYTES), 0);
        offset.QuadPart = FILES_BYTES - 10;
        ASSERT_EQ(ZwReadFile(handle, NULL, NULL, NULL, &result, in, 11, &offset, NULL), STATUS_END_OF_FILE);
        ASSERT_EQ(result.Status, STATUS_END_OF_FILE);
        ZwClose(handle);
        IoDeleteDevice(device);
        out[i]++;
    }
    ExFreePoolWithTag(in, TAG);
    ExFreePoolWithTag(out, TAG);
}

TARGET_CASE("REQ-2", control_codes_of_each_method, "cpus=1,2") {
    static const ULONG methods[] = {METHOD_BUFFERED, METHOD_IN_DIRECT, METHOD_OUT_DIRECT, METHOD_NEITHER};
    PUCHAR input = Buffer(PagedPool, 3);
    PUCHAR output = Buffer(PagedPool, 0);
    HANDLE handle = FilesOpen(FILES_OPEN_NAME);
    for (ULONG i = 0; i < RTL_NUMBER_OF(methods); i++) {
        IO_STATUS_BLOCK result;
        RtlZeroMemory(output, FILES_BYTES);
        DirqlPageOut(output, FILES_BYTES);
        ASSERT_EQ(ZwDeviceIoControlFile(handle, NULL, NULL, NULL, &result, FILES_CODE(methods[i]), input, FILES_BYTES,
                                        output, FILES_BYTES - 1),
                  STATUS_SUCCESS);
        ASSERT_EQ(result.Information, FILES_BYTES - 1);
        ASSERT_EQ(Differences(output, input, FILES_TURN, FILES_BYTES - 1), 0);
        ASSERT_EQ(output[FILES_BYTES - 1], 0); /* no byte more than there is room for */
    }
    ZwClose(handle);
    ExFreePoolWithTag(output, TAG);
    ExFreePoolWithTag(input, TAG);
}

typedef struct _CALL {
    KEVENT Done;
    IO_STATUS_BLOCK Result;
    UCHAR Input[64];
    PUCHAR Output; /* of 64 bytes, pageable */
} CALL;

static PIRP BuildCall(CALL *Call) {
    KeInitializeEvent(&Call->Done, NotificationEvent, FALSE);
    RtlZeroMemory(&Call->Result, sizeof Call->Result);
    Call->Result.Status = STATUS_PENDING;
    for (ULONG i = 0; i < sizeof Call->Input; i++) {
        Call->Input[i] = (UCHAR)i;
    }
    Call->Output = ExAllocatePoolWithTag(PagedPool, sizeof Call->Input, TAG);
    ASSERT_NE(Call->Output, NULL);
    PIRP irp = IoBuildDeviceIoControlRequest(FILES_CODE(METHOD_BUFFERED), FilesDevice, Call->Input, sizeof Call->Input,
                                             Call->Output, sizeof Call->Input, FALSE, &Call->Done, &Call->Result);
    ASSERT_NE(irp, NULL);
    return irp;
}

static VOID NTAPI CompleteKept(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    IoSetCancelRoutine(Seen.Kept, NULL); /* nobody else cancels it: it is ours */
    FilesComplete(Seen.Kept);
    InterlockedIncrement(Context);
}

static VOID CompleteKeptOn(ULONG Cpu) {
    static KDPC dpc;
    static volatile LONG ran;
    ran = 0;
    KeInitializeDpc(&dpc, CompleteKept, (PVOID)&ran);
    KeSetTargetProcessorDpc(&dpc, (CCHAR)Cpu);
    KeSetImportanceDpc(&dpc, HighImportance);
    KeInsertQueueDpc(&dpc, NULL, NULL);
    WAIT_UNTIL(ran != 0);
}

/* Completed by a DPC, of another CPU where there is one, while the buffer is out: what comes back waits for the thread. */
TARGET_CASE("REQ-3", a_thread_s_request_ends_in_the_thread, "cpus=1,4") {
    CALL call;
    KIRQL old;
    FilesReset();
    KeepNext = TRUE;
    PIRP irp = BuildCall(&call);
    ASSERT_EQ(IoCallDriver(FilesDevice, irp), STATUS_PENDING);
    KeRaiseIrql(APC_LEVEL, &old);
    DirqlPageOut(call.Output, sizeof call.Input);
    CompleteKeptOn(TargetCpus() - 1);
    ASSERT_EQ(call.Result.Status, STATUS_PENDING); /* APCs are held back, and so is the end */
    ASSERT_EQ(KeReadStateEvent(&call.Done), 0);
    KeLowerIrql(old);
    ASSERT_EQ(WaitFor(&call.Done), STATUS_SUCCESS);
    ASSERT_EQ(call.Result.Status, STATUS_SUCCESS);
    ASSERT_EQ(call.Result.Information, sizeof call.Input);
    ASSERT_EQ(Differences(call.Output, call.Input, FILES_TURN, sizeof call.Input), 0);
    ExFreePoolWithTag(call.Output, TAG);
}

static CALL Left;

static VOID NTAPI LeavesRequest(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    KeepNext = TRUE;
    ASSERT_EQ(IoCallDriver(FilesDevice, BuildCall(&Left)), STATUS_PENDING);
}

TARGET_CASE("REQ-4", a_thread_that_ends_cancels_its_requests_and_waits, "cpus=1,4") {
    FilesReset();
    EndThread(StartThread(LeavesRequest, NULL));
    ASSERT_EQ(Seen.Cancelled, 1);
    ASSERT_EQ(Left.Result.Status, STATUS_CANCELLED);
    ExFreePoolWithTag(Left.Output, TAG);
}

static volatile LONG MasterEnded;

static NTSTATUS NTAPI NoteMaster(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    InterlockedIncrement(&MasterEnded);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

/* A master IRP whose parts are completed here, the last one by a DPC. */
TARGET_CASE("REQ-5", the_last_associated_irp_completes_its_master, "cpus=1,4") {
    PIRP part[3];
    PIRP master = IoAllocateIrp(2, FALSE);
    ASSERT_NE(master, NULL);
    MasterEnded = 0;
    IoSetNextIrpStackLocation(master);
    IoSetCompletionRoutine(master, NoteMaster, NULL, TRUE, TRUE, TRUE);
    IoSetNextIrpStackLocation(master); /* as the driver that was sent it */
    master->AssociatedIrp.IrpCount = RTL_NUMBER_OF(part);
    for (ULONG i = 0; i < RTL_NUMBER_OF(part); i++) {
        part[i] = IoMakeAssociatedIrp(master, 1);
        ASSERT_NE(part[i], NULL);
        IoSetNextIrpStackLocation(part[i]);
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(part); i++) {
        ASSERT_EQ(MasterEnded, 0);
        part[i]->IoStatus.Status = STATUS_SUCCESS;
        IoCompleteRequest(part[i], IO_NO_INCREMENT);
    }
    ASSERT_EQ(MasterEnded, 1);
    IoFreeIrp(master);
}
