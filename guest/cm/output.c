/* SPDX-License-Identifier: Apache-2.0 */
/* What the queries write into a caller's buffer, of whatever size that is. */
#include "cmp.h"

VOID CmpPut(CMP_OUTPUT *output, ULONG at, const VOID *data, ULONG bytes) {
    if (output->Bytes >= output->Fixed && at < output->Bytes) {
        RtlCopyMemory(output->Buffer + at, data, min(bytes, output->Bytes - at));
    }
    output->Needed = max(output->Needed, at + bytes);
}

NTSTATUS CmpFinish(const CMP_OUTPUT *output, PULONG needed) {
    *needed = max(output->Needed, output->Fixed);
    if (output->Bytes < output->Fixed) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    return output->Bytes < output->Needed ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}
