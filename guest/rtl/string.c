/* SPDX-License-Identifier: Apache-2.0 */
/* Counted strings: initialised, copied, appended to. ANSI_STRING and UNICODE_STRING have one layout; lengths are bytes of both. */
#include "crt.h"
#include "strings.h"

#include "../include/export.h"

VOID NTAPI RtlInitString(PSTRING DestinationString, PCSZ SourceString) {
    SIZE_T length = SourceString == NULL ? 0 : strnlen(SourceString, MAXUSHORT - 1);
    DestinationString->Length = (USHORT)length;
    DestinationString->MaximumLength = SourceString == NULL ? 0 : (USHORT)(length + 1);
    DestinationString->Buffer = (PCHAR)SourceString;
}
NT_EXPORT(RtlInitString);
NT_EXPORT_AS(RtlInitString, RtlInitAnsiString);

VOID NTAPI RtlInitUnicodeString(PUNICODE_STRING DestinationString, PCWSTR SourceString) {
    SIZE_T limit = RTLP_MAXIMUM_STRING / sizeof(WCHAR) - 1;
    SIZE_T bytes = SourceString == NULL ? 0 : wcsnlen(SourceString, limit) * sizeof(WCHAR);
    DestinationString->Length = (USHORT)bytes;
    DestinationString->MaximumLength = SourceString == NULL ? 0 : (USHORT)(bytes + sizeof(WCHAR));
    DestinationString->Buffer = (PWSTR)SourceString;
}
NT_EXPORT(RtlInitUnicodeString);

NTSTATUS NTAPI RtlInitAnsiStringEx(PANSI_STRING DestinationString, PCSZ SourceString) {
    if (SourceString != NULL && strnlen(SourceString, MAXUSHORT) >= MAXUSHORT - 1) {
        return STATUS_NAME_TOO_LONG;
    }
    RtlInitString(DestinationString, SourceString);
    return STATUS_SUCCESS;
}
NT_EXPORT(RtlInitAnsiStringEx);

NTSTATUS NTAPI RtlInitUnicodeStringEx(PUNICODE_STRING DestinationString, PCWSTR SourceString) {
    if (SourceString != NULL && wcsnlen(SourceString, RTLP_MAXIMUM_STRING) >= RTLP_MAXIMUM_STRING / sizeof(WCHAR)) {
        return STATUS_NAME_TOO_LONG;
    }
    RtlInitUnicodeString(DestinationString, SourceString);
    return STATUS_SUCCESS;
}
NT_EXPORT(RtlInitUnicodeStringEx);

VOID NTAPI RtlCopyString(PSTRING DestinationString, PSTRING SourceString) {
    USHORT length = SourceString == NULL ? 0 : min(SourceString->Length, DestinationString->MaximumLength);
    DestinationString->Length = length;
    if (length != 0) {
        memmove(DestinationString->Buffer, SourceString->Buffer, length);
    }
}
NT_EXPORT(RtlCopyString);

VOID NTAPI RtlCopyUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString) {
    RtlCopyString((PSTRING)DestinationString, (PSTRING)SourceString);
    ULONG64 length = DestinationString->Length;
    if (length + sizeof(WCHAR) <= DestinationString->MaximumLength) {
        DestinationString->Buffer[length / sizeof(WCHAR)] = 0;
    }
}
NT_EXPORT(RtlCopyUnicodeString);

static NTSTATUS RtlpAppend(PSTRING destination, const VOID *source, ULONG64 bytes) {
    if (bytes > (ULONG64)destination->MaximumLength - min(destination->Length, destination->MaximumLength)) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    if (bytes != 0) {
        memmove(destination->Buffer + destination->Length, source, bytes);
        destination->Length = (USHORT)(destination->Length + bytes);
    }
    return STATUS_SUCCESS;
}

/* A NUL where there is room for it, which the length does not count. */
static NTSTATUS RtlpAppendWide(PUNICODE_STRING destination, const VOID *source, ULONG64 bytes) {
    NTSTATUS status = RtlpAppend((PSTRING)destination, source, bytes);
    if (NT_SUCCESS(status) && bytes != 0 && destination->Length + sizeof(WCHAR) <= destination->MaximumLength) {
        destination->Buffer[destination->Length / sizeof(WCHAR)] = 0;
    }
    return status;
}

NTSTATUS NTAPI RtlAppendUnicodeToString(PUNICODE_STRING Destination, PCWSTR Source) {
    return RtlpAppendWide(Destination, Source, Source == NULL ? 0 : wcslen(Source) * sizeof(WCHAR));
}
NT_EXPORT(RtlAppendUnicodeToString);

NTSTATUS NTAPI RtlAppendUnicodeStringToString(PUNICODE_STRING Destination, PCUNICODE_STRING Source) {
    return RtlpAppendWide(Destination, Source->Buffer, Source->Length);
}
NT_EXPORT(RtlAppendUnicodeStringToString);

NTSTATUS NTAPI RtlAppendStringToString(PSTRING Destination, const STRING *Source) {
    return RtlpAppend(Destination, Source->Buffer, Source->Length);
}
NT_EXPORT(RtlAppendStringToString);

NTSTATUS NTAPI RtlAppendAsciizToString(PSTRING Destination, PCSZ Source) {
    return RtlpAppend(Destination, Source, Source == NULL ? 0 : strlen(Source));
}
NT_EXPORT(RtlAppendAsciizToString);
