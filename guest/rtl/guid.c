/* SPDX-License-Identifier: Apache-2.0 */
/* GUIDs as text: {xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx}. */
#include "strings.h"
#include "text.h"

#include "../include/export.h"

#define GUID_CHARACTERS 38

/* Where each byte's two digits stand: the numbers at its head are little-endian in memory. */
static const UCHAR GuidDigits[sizeof(GUID)] = {7, 5, 3, 1, 12, 10, 17, 15, 20, 22, 25, 27, 29, 31, 33, 35};
static const char GuidFrame[] = "{........-....-....-....-............}";

NTSTATUS NTAPI RtlStringFromGUID(REFGUID Guid, PUNICODE_STRING GuidString) {
    const UCHAR *bytes = (const UCHAR *)Guid;
    NTSTATUS status = RtlpPrepareString(GuidString, (GUID_CHARACTERS + 1) * sizeof(WCHAR), TRUE);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    for (ULONG i = 0; i <= GUID_CHARACTERS; i++) {
        GuidString->Buffer[i] = (UCHAR)GuidFrame[i];
    }
    for (ULONG i = 0; i < sizeof(GUID); i++) {
        GuidString->Buffer[GuidDigits[i]] = (UCHAR) "0123456789ABCDEF"[bytes[i] >> 4];
        GuidString->Buffer[GuidDigits[i] + 1] = (UCHAR) "0123456789ABCDEF"[bytes[i] & 15];
    }
    GuidString->Length = GUID_CHARACTERS * sizeof(WCHAR);
    return STATUS_SUCCESS;
}
NT_EXPORT(RtlStringFromGUID);

NTSTATUS NTAPI RtlGUIDFromString(PUNICODE_STRING GuidString, GUID *Guid) {
    UCHAR bytes[sizeof(GUID)];
    if (GuidString->Length < GUID_CHARACTERS * sizeof(WCHAR)) {
        return STATUS_INVALID_PARAMETER;
    }
    for (ULONG i = 0; i < GUID_CHARACTERS; i++) {
        WCHAR c = GuidString->Buffer[i];
        if (GuidFrame[i] == '.' ? RtlpDigit(c) > 15 : c != (UCHAR)GuidFrame[i]) {
            return STATUS_INVALID_PARAMETER;
        }
    }
    for (ULONG i = 0; i < sizeof(GUID); i++) {
        const WCHAR *digits = &GuidString->Buffer[GuidDigits[i]];
        bytes[i] = (UCHAR)(RtlpDigit(digits[0]) << 4 | RtlpDigit(digits[1]));
    }
    RtlCopyMemory(Guid, bytes, sizeof bytes);
    return STATUS_SUCCESS;
}
NT_EXPORT(RtlGUIDFromString);
