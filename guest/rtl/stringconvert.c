/* SPDX-License-Identifier: Apache-2.0 */
/* Between UTF-16 and the code page, a byte for a character; OEM is the same code page here. */
#include "strings.h"
#include "text.h"

#include "../include/export.h"

NTSTATUS NTAPI RtlMultiByteToUnicodeN(PWCH UnicodeString, ULONG MaxBytesInUnicodeString, PULONG BytesInUnicodeString,
                                      const CHAR *MultiByteString, ULONG BytesInMultiByteString) {
    ULONG count = min(BytesInMultiByteString, MaxBytesInUnicodeString / (ULONG)sizeof(WCHAR));
    for (ULONG i = 0; i < count; i++) {
        UnicodeString[i] = RtlpFromAnsi((UCHAR)MultiByteString[i]);
    }
    if (BytesInUnicodeString != NULL) {
        *BytesInUnicodeString = count * (ULONG)sizeof(WCHAR);
    }
    return STATUS_SUCCESS;
}
NT_EXPORT(RtlMultiByteToUnicodeN);
NT_EXPORT_AS(RtlMultiByteToUnicodeN, RtlOemToUnicodeN);

NTSTATUS NTAPI RtlUnicodeToMultiByteN(PCHAR MultiByteString, ULONG MaxBytesInMultiByteString,
                                      PULONG BytesInMultiByteString, PCWCH UnicodeString, ULONG BytesInUnicodeString) {
    ULONG count = min(BytesInUnicodeString / (ULONG)sizeof(WCHAR), MaxBytesInMultiByteString);
    for (ULONG i = 0; i < count; i++) {
        MultiByteString[i] = (CHAR)RtlpToAnsi(UnicodeString[i]);
    }
    if (BytesInMultiByteString != NULL) {
        *BytesInMultiByteString = count;
    }
    return STATUS_SUCCESS;
}
NT_EXPORT(RtlUnicodeToMultiByteN);
NT_EXPORT_AS(RtlUnicodeToMultiByteN, RtlUnicodeToOemN);

NTSTATUS NTAPI RtlMultiByteToUnicodeSize(PULONG BytesInUnicodeString, const CHAR *MultiByteString,
                                         ULONG BytesInMultiByteString) {
    UNREFERENCED_PARAMETER(MultiByteString);
    *BytesInUnicodeString = BytesInMultiByteString * (ULONG)sizeof(WCHAR);
    return STATUS_SUCCESS;
}
NT_EXPORT(RtlMultiByteToUnicodeSize);

NTSTATUS NTAPI RtlUnicodeToMultiByteSize(PULONG BytesInMultiByteString, PCWCH UnicodeString,
                                         ULONG BytesInUnicodeString) {
    UNREFERENCED_PARAMETER(UnicodeString);
    *BytesInMultiByteString = BytesInUnicodeString / (ULONG)sizeof(WCHAR);
    return STATUS_SUCCESS;
}
NT_EXPORT(RtlUnicodeToMultiByteSize);

ULONG NTAPI RtlxAnsiStringToUnicodeSize(PCANSI_STRING AnsiString) {
    return (AnsiString->Length + 1u) * (ULONG)sizeof(WCHAR);
}
NT_EXPORT(RtlxAnsiStringToUnicodeSize);
NT_EXPORT_AS(RtlxAnsiStringToUnicodeSize, RtlxOemStringToUnicodeSize);

ULONG NTAPI RtlxUnicodeStringToAnsiSize(PCUNICODE_STRING UnicodeString) {
    return (UnicodeString->Length + (ULONG)sizeof(WCHAR)) / (ULONG)sizeof(WCHAR);
}
NT_EXPORT(RtlxUnicodeStringToAnsiSize);
NT_EXPORT_AS(RtlxUnicodeStringToAnsiSize, RtlxUnicodeStringToOemSize);

/* Both end in a NUL that their lengths do not count. */
NTSTATUS NTAPI RtlAnsiStringToUnicodeString(PUNICODE_STRING DestinationString, PCANSI_STRING SourceString,
                                            BOOLEAN AllocateDestinationString) {
    ULONG bytes = RtlxAnsiStringToUnicodeSize(SourceString);
    if (bytes > RTLP_MAXIMUM_STRING) {
        return STATUS_INVALID_PARAMETER_2;
    }
    NTSTATUS status = RtlpPrepareString(DestinationString, bytes, AllocateDestinationString);
    if (NT_SUCCESS(status)) {
        DestinationString->Length = (USHORT)(bytes - sizeof(WCHAR));
        RtlMultiByteToUnicodeN(DestinationString->Buffer, DestinationString->Length, NULL, SourceString->Buffer,
                               SourceString->Length);
        DestinationString->Buffer[SourceString->Length] = 0;
    }
    return status;
}
NT_EXPORT(RtlAnsiStringToUnicodeString);
NT_EXPORT_AS(RtlAnsiStringToUnicodeString, RtlOemStringToUnicodeString);

NTSTATUS NTAPI RtlUnicodeStringToAnsiString(PANSI_STRING DestinationString, PCUNICODE_STRING SourceString,
                                            BOOLEAN AllocateDestinationString) {
    ULONG bytes = RtlxUnicodeStringToAnsiSize(SourceString);
    NTSTATUS status = RtlpPrepareString((PUNICODE_STRING)DestinationString, bytes, AllocateDestinationString);
    if (status == STATUS_BUFFER_OVERFLOW && DestinationString->MaximumLength != 0) {
        bytes = DestinationString->MaximumLength; /* cut short: so far the string is there */
    } else if (!NT_SUCCESS(status)) {
        return status;
    }
    DestinationString->Length = (USHORT)(bytes - 1);
    RtlUnicodeToMultiByteN(DestinationString->Buffer, DestinationString->Length, NULL, SourceString->Buffer,
                           SourceString->Length);
    DestinationString->Buffer[DestinationString->Length] = 0;
    return status;
}
NT_EXPORT(RtlUnicodeStringToAnsiString);
NT_EXPORT_AS(RtlUnicodeStringToAnsiString, RtlUnicodeStringToOemString);
