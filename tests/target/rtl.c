/* SPDX-License-Identifier: Apache-2.0 */
/* Counted strings, their conversions, the formatter and the C library's names, as their pages state them. */
#include <ntddk.h>

#include <ntstrsafe.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

#include <dirqltest.h>

/* The compiler has another standard's conversions in mind, and takes what is meant to be cut for a mistake. */
#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
#pragma GCC diagnostic ignored "-Wstringop-truncation"

/* NOLINTBEGIN(readability-redundant-declaration,cert-err33-c,bugprone-unchecked-string-to-number-conversion,cert-err34-c) */
/* NOLINTBEGIN(bugprone-random-generator-seed,cert-msc*,misc-predictable-rand): these routines are what is tested */

/* Exported by every ntoskrnl; mingw's headers have them in ntifs.h, or not at all. */
NTSYSAPI VOID NTAPI RtlCopyString(PSTRING DestinationString, PSTRING SourceString);
NTSYSAPI int __cdecl _snprintf_s(char *text, size_t size, size_t count, const char *format, ...);

static VOID Wide(UNICODE_STRING *string, WCHAR *buffer, USHORT bytes) {
    string->Buffer = buffer;
    string->Length = 0;
    string->MaximumLength = bytes;
}

TARGET_CASE("RTL-1", strings_keep_to_their_lengths, "cpus=1 mode=mt") {
    WCHAR buffer[8];
    UNICODE_STRING to, from, empty;
    RtlInitUnicodeString(&from, L"\\Device\\Ab");
    ASSERT_EQ(from.Length, 20);
    ASSERT_EQ(from.MaximumLength, 22);
    RtlInitUnicodeString(&empty, NULL);
    ASSERT_EQ(empty.Length + empty.MaximumLength, 0);
    buffer[7] = L'#';
    Wide(&to, buffer, 14); /* the last character is not the string's */
    RtlCopyUnicodeString(&to, &from);
    ASSERT_EQ(to.Length, 14);
    ASSERT_EQ(wcsncmp(buffer, L"\\Device#", 8), 0);
    RtlCopyUnicodeString(&to, NULL);
    ASSERT_EQ(to.Length, 0);
    ASSERT_EQ(RtlAppendUnicodeToString(&to, L"abcd"), STATUS_SUCCESS);
    ASSERT_EQ(buffer[4], 0);
    ASSERT_EQ(RtlAppendUnicodeStringToString(&to, &from), STATUS_BUFFER_TOO_SMALL);
    ASSERT_EQ(to.Length, 8);
    ASSERT_EQ(RtlAppendUnicodeToString(&to, L"efg"), STATUS_SUCCESS); /* to the last byte: no place for a NUL */
    ASSERT_EQ(to.Length, 14);
    ASSERT_EQ(wcsncmp(buffer, L"abcdefg#", 8), 0);
}

TARGET_CASE("RTL-1", strings_are_compared, "cpus=1 mode=mt") {
    UNICODE_STRING left, right, longer;
    ANSI_STRING one, two;
    ULONG hash, other;
    RtlInitUnicodeString(&left, L"Stra\u00dfe \u00e4\u03c9");
    RtlInitUnicodeString(&right, L"sTRA\u00dfE \u00c4\u03a9");
    RtlInitUnicodeString(&longer, L"sTRA\u00dfE \u00c4\u03a9.");
    ASSERT_FALSE(RtlEqualUnicodeString(&left, &right, FALSE));
    ASSERT_TRUE(RtlEqualUnicodeString(&left, &right, TRUE));
    ASSERT_FALSE(RtlEqualUnicodeString(&left, &longer, TRUE));
    ASSERT_TRUE(RtlPrefixUnicodeString(&left, &longer, TRUE));
    ASSERT_FALSE(RtlPrefixUnicodeString(&longer, &left, TRUE));
    ASSERT_TRUE(RtlCompareUnicodeString(&right, &longer, FALSE) < 0);
    ASSERT_TRUE(RtlCompareUnicodeString(&right, &left, FALSE) > 0);
    ASSERT_EQ(RtlHashUnicodeString(&left, TRUE, HASH_STRING_ALGORITHM_DEFAULT, &hash), STATUS_SUCCESS);
    ASSERT_EQ(RtlHashUnicodeString(&right, TRUE, HASH_STRING_ALGORITHM_X65599, &other), STATUS_SUCCESS);
    ASSERT_EQ(hash, other);
    ASSERT_EQ(RtlHashUnicodeString(&right, TRUE, 7, &other), STATUS_INVALID_PARAMETER);
    RtlInitAnsiString(&one, "Abc");
    RtlInitAnsiString(&two, "aBC");
    ASSERT_TRUE(RtlEqualString(&one, &two, TRUE));
    ASSERT_EQ(RtlCompareMemory("abcd", "abxd", 4), 2);
}

TARGET_CASE("RTL-2", strings_are_converted, "cpus=1 mode=mt") {
    WCHAR wide[40];
    CHAR narrow[4];
    UNICODE_STRING string, other;
    ANSI_STRING ansi = {0, sizeof narrow, narrow};
    ULONG value;
    GUID guid;
    RtlInitUnicodeString(&string, L"5 \u20ac\u4e00");
    ASSERT_EQ(RtlUnicodeStringToAnsiString(&ansi, &string, FALSE), STATUS_BUFFER_OVERFLOW);
    RtlInitUnicodeString(&string, L"\u20ac\u4e00z");
    ASSERT_EQ(RtlUnicodeStringToAnsiString(&ansi, &string, FALSE), STATUS_SUCCESS);
    ASSERT_EQ(memcmp(narrow, "\x80?z", 4), 0);
    ASSERT_EQ(RtlAnsiStringToUnicodeString(&other, &ansi, TRUE), STATUS_SUCCESS);
    ASSERT_EQ(other.MaximumLength, 8);
    ASSERT_EQ(memcmp(other.Buffer, L"\u20ac?z", 8), 0);
    RtlFreeUnicodeString(&other);
    ASSERT_EQ((ULONG64)other.Buffer, 0);
    ASSERT_EQ(RtlUpcaseUnicodeString(&other, &string, TRUE), STATUS_SUCCESS);
    ASSERT_EQ(other.Buffer[2], L'Z');
    RtlFreeUnicodeString(&other);
    Wide(&string, wide, sizeof wide);
    ASSERT_EQ(RtlIntegerToUnicodeString(0xfedc, 16, &string), STATUS_SUCCESS);
    ASSERT_EQ(wcscmp(wide, L"FEDC"), 0);
    ASSERT_EQ(RtlIntegerToUnicodeString(1, 7, &string), STATUS_INVALID_PARAMETER);
    ASSERT_EQ(RtlInt64ToUnicodeString(~0ULL, 10, &string), STATUS_SUCCESS);
    ASSERT_EQ(wcscmp(wide, L"18446744073709551615"), 0);
    RtlInitUnicodeString(&string, L"   +678abc");
    ASSERT_EQ(RtlUnicodeStringToInteger(&string, 16, &value), STATUS_SUCCESS);
    ASSERT_EQ(value, 6785724);
    RtlInitUnicodeString(&string, L"-0o17");
    ASSERT_EQ(RtlUnicodeStringToInteger(&string, 0, &value), STATUS_SUCCESS);
    ASSERT_EQ((LONG)value + 15, 0);
    RtlInitUnicodeString(&string, L"{6B29FC40-CA47-1067-B31D-00DD010662DA}");
    ASSERT_EQ(RtlGUIDFromString(&string, &guid), STATUS_SUCCESS);
    ASSERT_EQ(guid.Data1, 0x6b29fc40);
    ASSERT_EQ(guid.Data4[7], 0xda);
    ASSERT_EQ(RtlStringFromGUID(&guid, &other), STATUS_SUCCESS);
    ASSERT_TRUE(RtlEqualUnicodeString(&string, &other, FALSE));
    RtlFreeUnicodeString(&other);
    string.Length -= sizeof(WCHAR);
    ASSERT_EQ(RtlGUIDFromString(&string, &guid), STATUS_INVALID_PARAMETER);
}

TARGET_CASE("RTL-3", one_format_serves_all, "cpus=1 mode=mt") {
    char text[80];
    WCHAR wide[80];
    UNICODE_STRING counted;
    ANSI_STRING ansi;
    RtlInitUnicodeString(&counted, L"counted!");
    counted.Length -= sizeof(WCHAR);
    RtlInitAnsiString(&ansi, "ansi");
    ASSERT_EQ(sprintf(text, "[%wZ|%Z|%ws|%S|%hs|%ls|%.2s]", &counted, &ansi, L"w", L"S", "h", L"l", "cut"), 25);
    ASSERT_EQ(strcmp(text, "[counted|ansi|w|S|h|l|cu]"), 0);
    sprintf(text, "%p %I64x %08lx %#x %+d %-5d| %*d %c", (PVOID)0x1234abcd, 0x123456789abcULL, 0xabul, 255u, 7, -3, 4,
            42, 'z');
    ASSERT_EQ(strcmp(text, "000000001234ABCD 123456789abc 000000ab 0xff +7 -3   |   42 z"), 0);
    sprintf(text, "%hu %hd %I64d %Iu %llu %.3d %5.1x|%-*s|%%", 0x12345, 0xffff, -5LL, (SIZE_T)9, 1ULL << 40, 5, 10, -4,
            "x");
    ASSERT_EQ(strcmp(text, "9029 -1 -5 9 1099511627776 005     a|x   |%"), 0);
    ASSERT_EQ(_snprintf(text, 4, "%s", "abcd"), 4); /* without a NUL */
    ASSERT_EQ((LONG64)_snprintf(text, 3, "%s", "abcd"), -1);
    text[2] = '#';
    ASSERT_EQ(_snprintf_s(text, 3, (size_t)-1, "%s", "abcd") + 1, 0);
    ASSERT_EQ(strcmp(text, "ab"), 0);
    ASSERT_EQ(_snprintf_s(text, 3, 3, "%s", "abcd") + 1, 0);
    ASSERT_EQ(text[0], 0);
    ASSERT_EQ(RtlStringCbPrintfW(wide, sizeof wide, L"%s %S %hs %wZ %d", L"wide", "narrow", "h", &counted, 5),
              STATUS_SUCCESS);
    ASSERT_EQ(wcscmp(wide, L"wide narrow h counted 5"), 0);
    ASSERT_EQ(RtlStringCchPrintfA(text, 4, "%d", 12345), STATUS_BUFFER_OVERFLOW);
    ASSERT_EQ(strcmp(text, "123"), 0);
    ASSERT_EQ(RtlStringCchCatA(text, sizeof text, "4"), STATUS_SUCCESS);
    ASSERT_EQ(strcmp(text, "1234"), 0);
    ASSERT_EQ(_snwprintf(wide, 80, L"%c%C%x", L'\u20ac', 'n', 10), 3);
    ASSERT_EQ(wcscmp(wide, L"\u20acna"), 0);
}

static int __cdecl Ascending(const void *left, const void *right) {
    return *(const int *)left - *(const int *)right;
}

TARGET_CASE("RTL-4", the_c_library_means_what_it_means, "cpus=1 mode=mt") {
    char text[16];
    int numbers[200];
    ULONG turn = 12345;
    for (ULONG i = 0; i < RTL_NUMBER_OF(numbers); i++) {
        turn = turn * 1103515245 + 12345;
        numbers[i] = (int)(turn >> 8 & 127);
    }
    qsort(numbers, RTL_NUMBER_OF(numbers), sizeof numbers[0], Ascending);
    for (ULONG i = 1; i < RTL_NUMBER_OF(numbers); i++) {
        ASSERT_LE(numbers[i - 1], numbers[i]);
    }
    ASSERT_EQ(*(int *)bsearch(&numbers[77], numbers, RTL_NUMBER_OF(numbers), sizeof numbers[0], Ascending),
              numbers[77]);
    ASSERT_EQ(_stricmp("HeLLo", "hEllO"), 0);
    ASSERT_NE(_strnicmp("abcX", "ABCy", 4), 0);
    ASSERT_EQ(_wcsicmp(L"Wide", L"wIDE"), 0);
    ASSERT_EQ(strcmp(strstr("find me here", "me"), "me here"), 0);
    ASSERT_EQ((ULONG64)strstr("abc", "abd"), 0);
    ASSERT_EQ((ULONG64)strrchr("a.b.c", 'x'), 0);
    ASSERT_EQ(strcmp(strrchr("a.b.c", '.'), ".c"), 0);
    ASSERT_EQ(wcscmp(wcschr(L"a,b", L','), L",b"), 0);
    memset(text, '#', sizeof text);
    strncpy(text, "ab", 4);
    ASSERT_EQ(memcmp(text, "ab\0\0#", 5), 0);
    strncat(text, "cdef", 2);
    ASSERT_EQ(strcmp(text, "abcd"), 0);
    ASSERT_EQ(strcmp(_strupr(text), "ABCD"), 0);
    ASSERT_EQ(atoi("  -42x") + 42, 0);
    ASSERT_EQ(strcmp(_itoa(-255, text, 10), "-255"), 0);
    ASSERT_EQ(strcmp(_itoa(-1, text, 16), "ffffffff"), 0);
    ASSERT_EQ(toupper('q') + tolower('Q'), 'Q' + 'q');
    ASSERT_TRUE(isdigit('7') && !isdigit('x') && isxdigit('F') && isspace('\t') && isupper('U') && !islower('U'));
    srand(3);
    int first = rand();
    srand(3);
    ASSERT_EQ(rand(), first);
    ASSERT_LE(first, 32767);
}

TARGET_CASE("RTL-2", conversions_are_for_passive_level, "cpus=1 mode=mt verifier=on bugcheck=0xC4/0x2001E") {
    UNICODE_STRING string;
    KIRQL irql;
    RtlInitUnicodeString(&string, L"x");
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    RtlEqualUnicodeString(&string, &string, TRUE);
}

/* NOLINTEND(bugprone-random-generator-seed,cert-msc*,misc-predictable-rand) */
/* NOLINTEND(readability-redundant-declaration,cert-err33-c,bugprone-unchecked-string-to-number-conversion,cert-err34-c) */

TARGET_DRIVER
