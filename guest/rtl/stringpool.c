/* SPDX-License-Identifier: Apache-2.0 */
/* Counted strings whose buffers the library allocates and frees. */
#include "strings.h"

#include "../include/export.h"

PVOID (*RtlpAllocateString)(SIZE_T bytes);
VOID (*RtlpFreeString)(PVOID buffer);

NTSTATUS RtlpPrepareString(PUNICODE_STRING string, ULONG64 bytes, BOOLEAN allocate) {
    if (!allocate) {
        return bytes <= string->MaximumLength ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;
    }
    if (bytes > MAXUSHORT) {
        return STATUS_INVALID_PARAMETER_2;
    }
    PVOID buffer = RtlpAllocateString(bytes == 0 ? 1 : bytes);
    if (buffer == NULL) {
        return STATUS_NO_MEMORY;
    }
    string->Buffer = buffer;
    string->Length = 0;
    string->MaximumLength = (USHORT)bytes;
    return STATUS_SUCCESS;
}

VOID NTAPI RtlFreeUnicodeString(PUNICODE_STRING UnicodeString) {
    if (UnicodeString->Buffer != NULL) {
        RtlpFreeString(UnicodeString->Buffer);
        RtlZeroMemory(UnicodeString, sizeof *UnicodeString);
    }
}
NT_EXPORT(RtlFreeUnicodeString);

VOID NTAPI RtlFreeAnsiString(PANSI_STRING AnsiString) {
    RtlFreeUnicodeString((PUNICODE_STRING)AnsiString);
}
NT_EXPORT(RtlFreeAnsiString);
NT_EXPORT_AS(RtlFreeAnsiString, RtlFreeOemString);

NTSTATUS NTAPI RtlValidateUnicodeString(ULONG Flags, PCUNICODE_STRING String) {
    BOOLEAN valid = String == NULL ||
        (String->Length % sizeof(WCHAR) == 0 && String->MaximumLength % sizeof(WCHAR) == 0 &&
         String->Length <= String->MaximumLength && (String->Buffer != NULL || String->MaximumLength == 0));
    return Flags == 0 && valid ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
}
NT_EXPORT(RtlValidateUnicodeString);

NTSTATUS NTAPI RtlDuplicateUnicodeString(ULONG Flags, PCUNICODE_STRING StringIn, PUNICODE_STRING StringOut) {
    ULONG known = RTL_DUPLICATE_UNICODE_STRING_NULL_TERMINATE | RTL_DUPLICATE_UNICODE_STRING_ALLOCATE_NULL_STRING;
    ULONG64 bytes = StringIn == NULL ? 0 : StringIn->Length;
    if ((Flags & ~known) != 0 || Flags == RTL_DUPLICATE_UNICODE_STRING_ALLOCATE_NULL_STRING || StringOut == NULL ||
        !NT_SUCCESS(RtlValidateUnicodeString(0, StringIn))) {
        return STATUS_INVALID_PARAMETER;
    }
    if (bytes == 0 && (Flags & RTL_DUPLICATE_UNICODE_STRING_ALLOCATE_NULL_STRING) == 0) {
        RtlZeroMemory(StringOut, sizeof *StringOut);
        return STATUS_SUCCESS;
    }
    ULONG64 nul = (Flags & RTL_DUPLICATE_UNICODE_STRING_NULL_TERMINATE) != 0 ? sizeof(WCHAR) : 0;
    if (bytes + nul > RTLP_MAXIMUM_STRING) {
        return STATUS_NAME_TOO_LONG;
    }
    NTSTATUS status = RtlpPrepareString(StringOut, bytes + nul, TRUE);
    if (NT_SUCCESS(status)) {
        RtlCopyUnicodeString(StringOut, StringIn); /* and its NUL, for which there is room or is not */
    }
    return status;
}
NT_EXPORT(RtlDuplicateUnicodeString);

BOOLEAN NTAPI RtlCreateUnicodeString(PUNICODE_STRING DestinationString, PCWSTR SourceString) {
    UNICODE_STRING source;
    return NT_SUCCESS(RtlInitUnicodeStringEx(&source, SourceString)) &&
        NT_SUCCESS(RtlDuplicateUnicodeString(RTL_DUPLICATE_UNICODE_STRING_NULL_TERMINATE |
                                                 RTL_DUPLICATE_UNICODE_STRING_ALLOCATE_NULL_STRING,
                                             &source, DestinationString));
}
NT_EXPORT(RtlCreateUnicodeString);
