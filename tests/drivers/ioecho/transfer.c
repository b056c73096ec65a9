/* SPDX-License-Identifier: Apache-2.0 */
/* Where the bytes of a request are, by each way of passing them: the driver's own data to and from there. */
#include "ioecho.h"

static PVOID EchoMapped(PIRP irp) {
    return irp->MdlAddress != NULL ? MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority) : NULL;
}

static PVOID EchoBuffer(ECHO_EXTENSION *extension, PIRP irp) {
    if ((extension->Device->Flags & DO_BUFFERED_IO) != 0) {
        return irp->AssociatedIrp.SystemBuffer;
    }
    return (extension->Device->Flags & DO_DIRECT_IO) != 0 ? EchoMapped(irp) : irp->UserBuffer;
}

NTSTATUS EchoTransfer(ECHO_EXTENSION *extension, PIRP irp, BOOLEAN read) {
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(irp);
    ULONG64 offset = (ULONG64)location->Parameters.Read.ByteOffset.QuadPart; /* as of a write */
    ULONG length = location->Parameters.Read.Length;
    if (offset >= ECHO_BYTES) {
        return EchoComplete(irp, STATUS_END_OF_FILE, 0);
    }
    length = length < ECHO_BYTES - offset ? length : (ULONG)(ECHO_BYTES - offset);
    PVOID buffer = length != 0 ? EchoBuffer(extension, irp) : NULL;
    if (length != 0 && buffer == NULL) {
        return EchoComplete(irp, STATUS_INSUFFICIENT_RESOURCES, 0);
    }
    if (read) {
        RtlCopyMemory(buffer, extension->Data + offset, length);
    } else {
        RtlCopyMemory(extension->Data + offset, buffer, length);
    }
    return EchoComplete(irp, STATUS_SUCCESS, length);
}

/* Each byte turned round, so that nobody takes what was there before for the answer. */
static VOID EchoTurn(UCHAR *to, const UCHAR *from, ULONG bytes) {
    for (ULONG i = 0; i < bytes; i++) {
        to[i] = (UCHAR)~from[i];
    }
}

NTSTATUS EchoByMethod(PIRP irp) {
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(irp);
    ULONG input = location->Parameters.DeviceIoControl.InputBufferLength;
    ULONG output = location->Parameters.DeviceIoControl.OutputBufferLength;
    ULONG bytes = input < output ? input : output;
    irp->IoStatus.Information = bytes;
    if (bytes == 0) {
        return STATUS_SUCCESS;
    }
    switch (location->Parameters.DeviceIoControl.IoControlCode & 3) {
    case METHOD_BUFFERED:
        EchoTurn(irp->AssociatedIrp.SystemBuffer, irp->AssociatedIrp.SystemBuffer, bytes);
        break;
    case METHOD_IN_DIRECT: /* the second buffer is input too: both must say the same */
        if (RtlCompareMemory(irp->AssociatedIrp.SystemBuffer, EchoMapped(irp), bytes) != bytes) {
            return STATUS_DATA_ERROR;
        }
        break;
    case METHOD_OUT_DIRECT:
        EchoTurn(EchoMapped(irp), irp->AssociatedIrp.SystemBuffer, bytes);
        break;
    default:
        EchoTurn(irp->UserBuffer, location->Parameters.DeviceIoControl.Type3InputBuffer, bytes);
        break;
    }
    return STATUS_SUCCESS;
}
