/* SPDX-License-Identifier: Apache-2.0 */
/* Run-time library: the contracts (see ../nt.h). The C library's names have theirs in rtl/crt.h. */
#pragma once

#include "../ddk.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/*
 * Counted strings (rtl/string.c). Any IRQL; what they touch is resident at DISPATCH_LEVEL and above. Lengths are bytes. NULL for a source:
 * an empty string. A copy is cut to the room there is. An append that does not fit: STATUS_BUFFER_TOO_SMALL, nothing changes. UTF-16
 * text gets a NUL behind it where there is room. Ex: STATUS_NAME_TOO_LONG instead of a string that is cut.
 */
VOID NTAPI RtlInitString(PSTRING DestinationString, PCSZ SourceString); /* RtlInitAnsiString, too */
VOID NTAPI RtlInitUnicodeString(PUNICODE_STRING DestinationString, PCWSTR SourceString);
NTSTATUS NTAPI RtlInitAnsiStringEx(PANSI_STRING DestinationString, PCSZ SourceString);
NTSTATUS NTAPI RtlInitUnicodeStringEx(PUNICODE_STRING DestinationString, PCWSTR SourceString);
VOID NTAPI RtlCopyString(PSTRING DestinationString, PSTRING SourceString);
VOID NTAPI RtlCopyUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString);
NTSTATUS NTAPI RtlAppendUnicodeToString(PUNICODE_STRING Destination, PCWSTR Source);
NTSTATUS NTAPI RtlAppendUnicodeStringToString(PUNICODE_STRING Destination, PCUNICODE_STRING Source);
NTSTATUS NTAPI RtlAppendStringToString(PSTRING Destination, const STRING *Source);
NTSTATUS NTAPI RtlAppendAsciizToString(PSTRING Destination, PCSZ Source);

/* Order and equality (rtl/stringcompare.c), case (rtl/stringcase.c). PASSIVE_LEVEL. Case is Unicode's, without a locale; lengths stay. */
LONG NTAPI RtlCompareUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive);
LONG NTAPI RtlCompareUnicodeStrings(PCWCH String1, SIZE_T String1Length, PCWCH String2, SIZE_T String2Length,
                                    BOOLEAN CaseInSensitive); /* lengths in characters */
BOOLEAN NTAPI RtlEqualUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive);
BOOLEAN NTAPI RtlPrefixUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive);
LONG NTAPI RtlCompareString(PSTRING String1, PSTRING String2, BOOLEAN CaseInSensitive);
BOOLEAN NTAPI RtlEqualString(PSTRING String1, PSTRING String2, BOOLEAN CaseInSensitive);
BOOLEAN NTAPI RtlPrefixString(const STRING *String1, const STRING *String2, BOOLEAN CaseInSensitive);
NTSTATUS NTAPI RtlHashUnicodeString(PCUNICODE_STRING String, BOOLEAN CaseInSensitive, ULONG HashAlgorithm,
                                    PULONG HashValue);
WCHAR NTAPI RtlUpcaseUnicodeChar(WCHAR SourceCharacter);
WCHAR NTAPI RtlDowncaseUnicodeChar(WCHAR SourceCharacter);
CHAR NTAPI RtlUpperChar(CHAR Character);
VOID NTAPI RtlUpperString(PSTRING DestinationString, PSTRING SourceString);

/*
 * Into a buffer that the caller has, or one of paged pool that RtlFreeUnicodeString or RtlFreeAnsiString frees (rtl/stringconvert.c,
 * rtl/stringpool.c). PASSIVE_LEVEL. STATUS_BUFFER_OVERFLOW: too small; STATUS_NO_MEMORY. ANSI and OEM are code page 1252, in which what
 * has no place is '?'.
 */
NTSTATUS NTAPI RtlUpcaseUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString,
                                      BOOLEAN AllocateDestinationString);
NTSTATUS NTAPI RtlDowncaseUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString,
                                        BOOLEAN AllocateDestinationString);
NTSTATUS NTAPI RtlAnsiStringToUnicodeString(PUNICODE_STRING DestinationString, PCANSI_STRING SourceString,
                                            BOOLEAN AllocateDestinationString);
NTSTATUS NTAPI RtlUnicodeStringToAnsiString(PANSI_STRING DestinationString, PCUNICODE_STRING SourceString,
                                            BOOLEAN AllocateDestinationString);
ULONG NTAPI RtlxAnsiStringToUnicodeSize(PCANSI_STRING AnsiString);
ULONG NTAPI RtlxUnicodeStringToAnsiSize(PCUNICODE_STRING UnicodeString);
NTSTATUS NTAPI RtlMultiByteToUnicodeN(PWCH UnicodeString, ULONG MaxBytesInUnicodeString, PULONG BytesInUnicodeString,
                                      const CHAR *MultiByteString, ULONG BytesInMultiByteString);
NTSTATUS NTAPI RtlUnicodeToMultiByteN(PCHAR MultiByteString, ULONG MaxBytesInMultiByteString,
                                      PULONG BytesInMultiByteString, PCWCH UnicodeString, ULONG BytesInUnicodeString);
NTSTATUS NTAPI RtlMultiByteToUnicodeSize(PULONG BytesInUnicodeString, const CHAR *MultiByteString,
                                         ULONG BytesInMultiByteString);
NTSTATUS NTAPI RtlUnicodeToMultiByteSize(PULONG BytesInMultiByteString, PCWCH UnicodeString,
                                         ULONG BytesInUnicodeString);
VOID NTAPI RtlFreeUnicodeString(PUNICODE_STRING UnicodeString);
VOID NTAPI RtlFreeAnsiString(PANSI_STRING AnsiString);
NTSTATUS NTAPI RtlValidateUnicodeString(ULONG Flags, PCUNICODE_STRING String);
#ifndef RTL_DUPLICATE_UNICODE_STRING_NULL_TERMINATE /* of ntifs.h */
#define RTL_DUPLICATE_UNICODE_STRING_NULL_TERMINATE       1
#define RTL_DUPLICATE_UNICODE_STRING_ALLOCATE_NULL_STRING 2
#endif
NTSTATUS NTAPI RtlDuplicateUnicodeString(ULONG Flags, PCUNICODE_STRING StringIn, PUNICODE_STRING StringOut);
BOOLEAN NTAPI RtlCreateUnicodeString(PUNICODE_STRING DestinationString, PCWSTR SourceString);

/*
 * Numbers and GUIDs (rtl/stringnumber.c, rtl/guid.c). PASSIVE_LEVEL. Base 2, 8, 10, 16, or 0: ten, or what a prefix 0x, 0o, 0b says; another:
 * STATUS_INVALID_PARAMETER. Without a digit the number is 0. RtlStringFromGUID allocates; RtlGUIDFromString reads as far as the brace.
 */
NTSTATUS NTAPI RtlIntegerToUnicodeString(ULONG Value, ULONG Base, PUNICODE_STRING String);
NTSTATUS NTAPI RtlInt64ToUnicodeString(ULONGLONG Value, ULONG Base, PUNICODE_STRING String);
NTSTATUS NTAPI RtlUnicodeStringToInteger(PCUNICODE_STRING String, ULONG Base, PULONG Value);
NTSTATUS NTAPI RtlCharToInteger(PCSZ String, ULONG Base, PULONG Value);
NTSTATUS NTAPI RtlStringFromGUID(REFGUID Guid, PUNICODE_STRING GuidString);
NTSTATUS NTAPI RtlGUIDFromString(PUNICODE_STRING GuidString, GUID *Guid);

/* Memory (rtl/memorycheck.c). Any IRQL, resident as above. Returned are the bytes that are alike before the first difference. */
SIZE_T NTAPI RtlCompareMemory(const VOID *Source1, const VOID *Source2, SIZE_T Length);
SIZE_T NTAPI RtlCompareMemoryUlong(PVOID Source, SIZE_T Length, ULONG Pattern);
VOID FASTCALL RtlPrefetchMemoryNonTemporal(PVOID Source, SIZE_T Length);

/* UTF-8 (rtl/utf8.c). PASSIVE_LEVEL. STATUS_SOME_NOT_MAPPED: some of it was none, and is U+FFFD. Without a destination: only the size. */
NTSTATUS NTAPI RtlUTF8ToUnicodeN(PWSTR UnicodeStringDestination, ULONG UnicodeStringMaxByteCount,
                                 PULONG UnicodeStringActualByteCount, PCCH UTF8StringSource, ULONG UTF8StringByteCount);
NTSTATUS NTAPI RtlUnicodeToUTF8N(PCHAR UTF8StringDestination, ULONG UTF8StringMaxByteCount,
                                 PULONG UTF8StringActualByteCount, PCWCH UnicodeStringSource,
                                 ULONG UnicodeStringByteCount);

/*
 * Bitmaps (rtl/bitmap.c, rtl/bitmapfind.c). Any IRQL; the map is resident at DISPATCH_LEVEL and above, and its users have their own lock.
 * Finding goes from the hint to the end, then from the start; MAXULONG: there is no such run. Of runs the length is returned.
 */
VOID NTAPI RtlInitializeBitMap(PRTL_BITMAP BitMapHeader, PULONG BitMapBuffer, ULONG SizeOfBitMap);
ULONG NTAPI RtlFindClearBits(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex);
ULONG NTAPI RtlFindClearBitsAndSet(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex);
ULONG NTAPI RtlFindClearRuns(PRTL_BITMAP BitMapHeader, PRTL_BITMAP_RUN RunArray, ULONG SizeOfRunArray,
                             BOOLEAN LocateLongestRuns);

/* Time (rtl/timefields.c). Any IRQL. FALSE: no such date, or before 1601; or out of the range of 32 bits of seconds. Local time is UTC. */
VOID NTAPI RtlTimeToTimeFields(PLARGE_INTEGER Time, PTIME_FIELDS TimeFields);
BOOLEAN NTAPI RtlTimeFieldsToTime(PTIME_FIELDS TimeFields, PLARGE_INTEGER Time);
BOOLEAN NTAPI RtlTimeToSecondsSince1970(PLARGE_INTEGER Time, PULONG ElapsedSeconds);
BOOLEAN NTAPI RtlTimeToSecondsSince1980(PLARGE_INTEGER Time, PULONG ElapsedSeconds);
VOID NTAPI RtlSecondsSince1970ToTime(ULONG ElapsedSeconds, PLARGE_INTEGER Time);
VOID NTAPI RtlSecondsSince1980ToTime(ULONG ElapsedSeconds, PLARGE_INTEGER Time);

/* Which system this is (rtl/version.c): 10.0.19041, a workstation. PASSIVE_LEVEL. STATUS_REVISION_MISMATCH: a condition does not hold. */
NTSTATUS NTAPI RtlGetVersion(PRTL_OSVERSIONINFOW lpVersionInformation);
NTSTATUS NTAPI RtlVerifyVersionInfo(PRTL_OSVERSIONINFOEXW VersionInfo, ULONG TypeMask, ULONGLONG ConditionMask);
BOOLEAN NTAPI PsGetVersion(PULONG MajorVersion, PULONG MinorVersion, PULONG BuildNumber, PUNICODE_STRING CSDVersion);
ULONGLONG NTAPI VerSetConditionMask(ULONGLONG ConditionMask, ULONG TypeMask, UCHAR Condition);

/* Numbers from 1 to MAXLONG - 1 that look random (rtl/random.c). Any IRQL; the seed is the caller's. */
ULONG NTAPI RtlRandomEx(PULONG Seed); /* RtlRandom, too */

/* NOLINTEND(readability-redundant-declaration) */
