/* SPDX-License-Identifier: Apache-2.0 */
/* Upper and lower case of characters and counted strings: Unicode's simple mappings. A string's length stays as it is. */
#include "casetable.h"
#include "crt.h"
#include "strings.h"
#include "text.h"

#include "../include/export.h"

static WCHAR RtlpMapped(const CASE_RUN *runs, ULONG count, WCHAR c) {
    ULONG first = 0;
    while (count != 0) { /* the first run that does not end before c */
        ULONG half = count / 2;
        if (runs[first + half].Last < c) {
            first += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    const CASE_RUN *run = &runs[first];
    BOOLEAN mapped = c >= run->First && c <= run->Last && (c - run->First) % run->Step == 0;
    return mapped ? (WCHAR)(c + run->Delta) : c;
}

WCHAR NTAPI RtlUpcaseUnicodeChar(WCHAR SourceCharacter) {
    if (SourceCharacter < 0x80) {
        return towupper(SourceCharacter);
    }
    BOOLEAN beyond = SourceCharacter > CaseUpper[RTL_NUMBER_OF(CaseUpper) - 1].Last;
    return beyond ? SourceCharacter : RtlpMapped(CaseUpper, RTL_NUMBER_OF(CaseUpper), SourceCharacter);
}
NT_EXPORT(RtlUpcaseUnicodeChar);

WCHAR NTAPI RtlDowncaseUnicodeChar(WCHAR SourceCharacter) {
    if (SourceCharacter < 0x80) {
        return towlower(SourceCharacter);
    }
    BOOLEAN beyond = SourceCharacter > CaseLower[RTL_NUMBER_OF(CaseLower) - 1].Last;
    return beyond ? SourceCharacter : RtlpMapped(CaseLower, RTL_NUMBER_OF(CaseLower), SourceCharacter);
}
NT_EXPORT(RtlDowncaseUnicodeChar);

/* A character of the code page whose upper case is not in it stays as it is. */
CHAR NTAPI RtlUpperChar(CHAR Character) {
    WCHAR wide = RtlpFromAnsi((UCHAR)Character);
    WCHAR upper = RtlUpcaseUnicodeChar(wide);
    UCHAR narrow = RtlpToAnsi(upper);
    return RtlpFromAnsi(narrow) == upper ? (CHAR)narrow : Character;
}
NT_EXPORT(RtlUpperChar);

VOID NTAPI RtlUpperString(PSTRING DestinationString, PSTRING SourceString) {
    USHORT length = min(SourceString->Length, DestinationString->MaximumLength);
    for (USHORT i = 0; i < length; i++) {
        DestinationString->Buffer[i] = RtlUpperChar(SourceString->Buffer[i]);
    }
    DestinationString->Length = length;
}
NT_EXPORT(RtlUpperString);

static NTSTATUS RtlpMapString(PUNICODE_STRING destination, PCUNICODE_STRING source, BOOLEAN allocate,
                              WCHAR(NTAPI *mapped)(WCHAR)) {
    NTSTATUS status = RtlpPrepareString(destination, source->Length, allocate);
    if (NT_SUCCESS(status)) {
        for (ULONG i = 0; i < source->Length / sizeof(WCHAR); i++) {
            destination->Buffer[i] = mapped(source->Buffer[i]);
        }
        destination->Length = source->Length;
    }
    return status;
}

NTSTATUS NTAPI RtlUpcaseUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString,
                                      BOOLEAN AllocateDestinationString) {
    return RtlpMapString(DestinationString, SourceString, AllocateDestinationString, RtlUpcaseUnicodeChar);
}
NT_EXPORT(RtlUpcaseUnicodeString);

NTSTATUS NTAPI RtlDowncaseUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString,
                                        BOOLEAN AllocateDestinationString) {
    return RtlpMapString(DestinationString, SourceString, AllocateDestinationString, RtlDowncaseUnicodeChar);
}
NT_EXPORT(RtlDowncaseUnicodeString);
