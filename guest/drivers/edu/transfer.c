/* SPDX-License-Identifier: Apache-2.0 */
/* What a request has the device do: a factorial, or a transfer in pieces that the device survives and the adapter can map. */
#include "edu.h"

extern EDU_COUNTS EduCounts;

#define EDU_INTERRUPT_WHEN_DONE 0x80
#define EDU_GO                  1
#define EDU_TO_MEMORY           2
#define EDU_INTERRUPT           4

static VOID EduBeginPiece(PEDU_EXTENSION extension) {
    PIRP irp = extension->Current;
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(irp);
    BOOLEAN write = location->MajorFunction == IRP_MJ_WRITE;
    volatile EDU_REGISTERS *registers = extension->Registers;
    ULONG64 own = EDU_MEMORY + (ULONG64)location->Parameters.Read.ByteOffset.QuadPart + extension->Done;
    ULONG left = location->Parameters.Read.Length - extension->Done;
    extension->Va = (PUCHAR)MmGetMdlVirtualAddress(irp->MdlAddress) + extension->Done;
    extension->Piece = left < EDU_MOST ? left : EDU_MOST;
    PHYSICAL_ADDRESS memory = extension->Adapter->DmaOperations->MapTransfer(
        extension->Adapter, irp->MdlAddress, extension->MapBase, extension->Va, &extension->Piece, write);
    if (memory.QuadPart >> PAGE_SHIFT !=
        (LONGLONG)MmGetMdlPfnArray(irp->MdlAddress)[((PUCHAR)PAGE_ALIGN(extension->Va) -
                                                     (PUCHAR)PAGE_ALIGN(MmGetMdlVirtualAddress(irp->MdlAddress))) >>
                                                    PAGE_SHIFT]) {
        InterlockedIncrement64(&EduCounts.Copied);
    }
    registers->Source = write ? (ULONG64)memory.QuadPart : own;
    registers->Destination = write ? own : (ULONG64)memory.QuadPart;
    registers->Count = extension->Piece;
    registers->Command = EDU_GO | EDU_INTERRUPT | (write ? 0 : EDU_TO_MEMORY);
}

/* AdapterControl: DISPATCH_LEVEL. Everything is stored before the device goes: its interrupt may be served elsewhere. */
static IO_ALLOCATION_ACTION NTAPI EduAdapterControl(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID MapRegisterBase,
                                                    PVOID Context) {
    PEDU_EXTENSION extension = Context;
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    extension->MapBase = MapRegisterBase;
    EduBeginPiece(extension);
    return DeallocateObjectKeepRegisters;
}

VOID EduBegin(PEDU_EXTENSION extension) {
    PIRP irp = extension->Current;
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(irp);
    if (location->MajorFunction == IRP_MJ_DEVICE_CONTROL) {
        extension->Registers->Status = EDU_INTERRUPT_WHEN_DONE;
        extension->Registers->Factorial = *(PULONG)irp->AssociatedIrp.SystemBuffer;
        return;
    }
    extension->Done = 0;
    extension->Pages = (ULONG)ADDRESS_AND_SIZE_TO_SPAN_PAGES(MmGetMdlVirtualAddress(irp->MdlAddress),
                                                             location->Parameters.Read.Length);
    NTSTATUS status = extension->Adapter->DmaOperations->AllocateAdapterChannel(
        extension->Adapter, extension->Device, extension->Pages, EduAdapterControl, extension);
    if (!NT_SUCCESS(status)) {
        EduFinish(extension, status, 0);
    }
}

VOID EduFactorialDone(PEDU_EXTENSION extension) {
    *(PULONG)extension->Current->AssociatedIrp.SystemBuffer = extension->Registers->Factorial;
    EduFinish(extension, STATUS_SUCCESS, sizeof(ULONG));
}

VOID EduPieceDone(PEDU_EXTENSION extension) {
    PIRP irp = extension->Current;
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(irp);
    PDMA_OPERATIONS dma = extension->Adapter->DmaOperations;
    dma->FlushAdapterBuffers(extension->Adapter, irp->MdlAddress, extension->MapBase, extension->Va, extension->Piece,
                             location->MajorFunction == IRP_MJ_WRITE);
    extension->Done += extension->Piece;
    if (extension->Done < location->Parameters.Read.Length) {
        EduBeginPiece(extension);
        return;
    }
    dma->FreeMapRegisters(extension->Adapter, extension->MapBase, extension->Pages);
    EduFinish(extension, STATUS_SUCCESS, extension->Done);
}
