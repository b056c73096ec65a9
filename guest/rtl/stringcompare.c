/* SPDX-License-Identifier: Apache-2.0 */
/* Counted strings: order, equality, prefixes, hash values. Without regard to case means: as their upper-case forms. */
#include "crt.h"
#include "strings.h"

#include "../include/export.h"
#include "../include/mutant.h"

static WCHAR RtlpFold(WCHAR c, BOOLEAN insensitive) {
    return insensitive ? RtlUpcaseUnicodeChar(c) : c;
}

LONG NTAPI RtlCompareUnicodeStrings(PCWCH String1, SIZE_T String1Length, PCWCH String2, SIZE_T String2Length,
                                    BOOLEAN CaseInSensitive) {
    SIZE_T shorter = min(String1Length, String2Length);
    for (SIZE_T i = 0; i < shorter; i++) {
        WCHAR left = RtlpFold(String1[i], CaseInSensitive);
        WCHAR right = RtlpFold(String2[i], CaseInSensitive);
        if (left != right) {
            return (LONG)left - (LONG)right;
        }
    }
    return String1Length == String2Length ? 0 : String1Length < String2Length ? -1 : 1;
}
NT_EXPORT(RtlCompareUnicodeStrings);

LONG NTAPI RtlCompareUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive) {
    return RtlCompareUnicodeStrings(String1->Buffer, String1->Length / sizeof(WCHAR), String2->Buffer,
                                    String2->Length / sizeof(WCHAR), CaseInSensitive);
}
NT_EXPORT(RtlCompareUnicodeString);

BOOLEAN NTAPI RtlEqualUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive) {
    BOOLEAN comparable = String1->Length == String2->Length ||
        MUTANT(StringEqualsPrefix, "RTL-1", "strings of different lengths are equal as far as the shorter one goes");
    SIZE_T shorter = min(String1->Length, String2->Length) / sizeof(WCHAR);
    return comparable &&
        RtlCompareUnicodeStrings(String1->Buffer, shorter, String2->Buffer, shorter, CaseInSensitive) == 0;
}
NT_EXPORT(RtlEqualUnicodeString);

BOOLEAN NTAPI RtlPrefixUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive) {
    SIZE_T length = String1->Length / sizeof(WCHAR);
    return String1->Length <= String2->Length &&
        RtlCompareUnicodeStrings(String1->Buffer, length, String2->Buffer, length, CaseInSensitive) == 0;
}
NT_EXPORT(RtlPrefixUnicodeString);

static LONG RtlpCompareBytes(const CHAR *left, const CHAR *right, SIZE_T length, BOOLEAN insensitive) {
    for (SIZE_T i = 0; i < length; i++) {
        UCHAR a = (UCHAR)(insensitive ? RtlUpperChar(left[i]) : left[i]);
        UCHAR b = (UCHAR)(insensitive ? RtlUpperChar(right[i]) : right[i]);
        if (a != b) {
            return (LONG)a - (LONG)b;
        }
    }
    return 0;
}

LONG NTAPI RtlCompareString(PSTRING String1, PSTRING String2, BOOLEAN CaseInSensitive) {
    LONG order =
        RtlpCompareBytes(String1->Buffer, String2->Buffer, min(String1->Length, String2->Length), CaseInSensitive);
    return order != 0 ? order : (LONG)String1->Length - (LONG)String2->Length;
}
NT_EXPORT(RtlCompareString);

BOOLEAN NTAPI RtlEqualString(PSTRING String1, PSTRING String2, BOOLEAN CaseInSensitive) {
    return String1->Length == String2->Length && RtlCompareString(String1, String2, CaseInSensitive) == 0;
}
NT_EXPORT(RtlEqualString);

BOOLEAN NTAPI RtlPrefixString(const STRING *String1, const STRING *String2, BOOLEAN CaseInSensitive) {
    return String1->Length <= String2->Length &&
        RtlpCompareBytes(String1->Buffer, String2->Buffer, String1->Length, CaseInSensitive) == 0;
}
NT_EXPORT(RtlPrefixString);

/* x65599 is the one algorithm that is documented, and the default. */
NTSTATUS NTAPI RtlHashUnicodeString(PCUNICODE_STRING String, BOOLEAN CaseInSensitive, ULONG HashAlgorithm,
                                    PULONG HashValue) {
    if (String == NULL || HashValue == NULL || HashAlgorithm > HASH_STRING_ALGORITHM_X65599) {
        return STATUS_INVALID_PARAMETER;
    }
    ULONG hash = 0;
    for (ULONG i = 0; i < String->Length / sizeof(WCHAR); i++) {
        hash = hash * 65599 + RtlpFold(String->Buffer[i], CaseInSensitive);
    }
    *HashValue = hash;
    return STATUS_SUCCESS;
}
NT_EXPORT(RtlHashUnicodeString);
