/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the sender of a control request may have what its driver asks for: by the accesses that its file was opened with. */
#include "iop.h"

#include "../include/export.h"

NTSTATUS NTAPI IoValidateDeviceIoControlAccess(PIRP Irp, ULONG RequiredAccess) {
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(Irp);
    if ((stack->MajorFunction != IRP_MJ_DEVICE_CONTROL && stack->MajorFunction != IRP_MJ_FILE_SYSTEM_CONTROL) ||
        RequiredAccess == 0 || (RequiredAccess & ~(ULONG)(FILE_READ_ACCESS | FILE_WRITE_ACCESS)) != 0) {
        return STATUS_INVALID_PARAMETER;
    }
    if (Irp->RequestorMode == KernelMode) {
        return STATUS_SUCCESS;
    }
    PFILE_OBJECT file = stack->FileObject;
    BOOLEAN denied = file == NULL || ((RequiredAccess & FILE_READ_ACCESS) != 0 && !file->ReadAccess) ||
        ((RequiredAccess & FILE_WRITE_ACCESS) != 0 && !file->WriteAccess);
    return denied ? STATUS_ACCESS_DENIED : STATUS_SUCCESS;
}
NT_EXPORT(IoValidateDeviceIoControlAccess);
