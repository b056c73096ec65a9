/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C library's names that ntoskrnl.exe exports, with their meaning in the C locale: letters are those of ASCII. Any IRQL (what they
 * touch is resident above APC_LEVEL), no locks. The forms with _s fail with ERANGE or EINVAL and leave an empty string where they would
 * write past the end; there is no handler to call. Prototypes of our own: mingw's headers make some of these inline.
 */
#pragma once

#include <stdarg.h>

#include "../include/ddk.h"

#define CRT_EINVAL    22
#define CRT_ERANGE    34
#define CRT_STRUNCATE 80
#define CRT_TRUNCATE  (~(SIZE_T)0)

/* NOLINTBEGIN(readability-redundant-declaration,bugprone-reserved-identifier): mingw's headers have some, by chance of what includes them */

/* memory.c, memorycheck.c */
void *memcpy(void *destination, const void *source, size_t count);
void *memmove(void *destination, const void *source, size_t count);
void *memset(void *destination, int value, size_t count);
int memcmp(const void *left, const void *right, size_t count);
void *memchr(const void *memory, int value, size_t count);
int memcpy_s(void *destination, size_t size, const void *source, size_t count);
int memmove_s(void *destination, size_t size, const void *source, size_t count);

/* cstring.c, cstringchange.c */
size_t strlen(const char *string);
size_t strnlen(const char *string, size_t limit);
int strcmp(const char *left, const char *right);
int strncmp(const char *left, const char *right, size_t count);
int _stricmp(const char *left, const char *right);
int _strnicmp(const char *left, const char *right, size_t count);
char *strchr(const char *string, int c);
char *strrchr(const char *string, int c);
char *strstr(const char *string, const char *part);
size_t strspn(const char *string, const char *set);
char *strcpy(char *destination, const char *source);
char *strncpy(char *destination, const char *source, size_t count);
char *strcat(char *destination, const char *source);
char *strncat(char *destination, const char *source, size_t count);
char *_strlwr(char *string);
char *_strupr(char *string);
char *_strrev(char *string);
char *_strset(char *string, int c);
char *_strnset(char *string, int c, size_t count);
int strcpy_s(char *destination, size_t size, const char *source);
int strcat_s(char *destination, size_t size, const char *source);
int strncpy_s(char *destination, size_t size, const char *source, size_t count);
int strncat_s(char *destination, size_t size, const char *source, size_t count);

/* wstring.c, wstringchange.c */
size_t wcslen(const WCHAR *string);
size_t wcsnlen(const WCHAR *string, size_t limit);
int wcscmp(const WCHAR *left, const WCHAR *right);
int wcsncmp(const WCHAR *left, const WCHAR *right, size_t count);
int _wcsicmp(const WCHAR *left, const WCHAR *right);
int _wcsnicmp(const WCHAR *left, const WCHAR *right, size_t count);
WCHAR *wcschr(const WCHAR *string, WCHAR c);
WCHAR *wcsrchr(const WCHAR *string, WCHAR c);
WCHAR *wcsstr(const WCHAR *string, const WCHAR *part);
size_t wcsspn(const WCHAR *string, const WCHAR *set);
size_t wcscspn(const WCHAR *string, const WCHAR *set);
WCHAR *wcscpy(WCHAR *destination, const WCHAR *source);
WCHAR *wcsncpy(WCHAR *destination, const WCHAR *source, size_t count);
WCHAR *wcscat(WCHAR *destination, const WCHAR *source);
WCHAR *wcsncat(WCHAR *destination, const WCHAR *source, size_t count);
WCHAR *_wcslwr(WCHAR *string);
WCHAR *_wcsupr(WCHAR *string);
WCHAR *_wcsrev(WCHAR *string);
WCHAR *_wcsnset(WCHAR *string, WCHAR c, size_t count);
int wcscpy_s(WCHAR *destination, size_t size, const WCHAR *source);
int wcscat_s(WCHAR *destination, size_t size, const WCHAR *source);
int wcsncpy_s(WCHAR *destination, size_t size, const WCHAR *source, size_t count);
int wcsncat_s(WCHAR *destination, size_t size, const WCHAR *source, size_t count);

/* ctype.c */
int isalpha(int c);
int isalnum(int c);
int isdigit(int c);
int islower(int c);
int isprint(int c);
int isspace(int c);
int isupper(int c);
int isxdigit(int c);
int tolower(int c);
int toupper(int c);
WCHAR towlower(WCHAR c);
WCHAR towupper(WCHAR c);

/* cnumber.c: a number that does not fit is the nearest that does. Bases 2 to 36; 0: by the prefix. */
int atoi(const char *string);
LONG atol(const char *string);
LONG64 _atoi64(const char *string);
LONG strtol(const char *string, char **end, int base);
ULONG strtoul(const char *string, char **end, int base);
ULONG64 _strtoui64(const char *string, char **end, int base);
int _wtoi(const WCHAR *string);
LONG _wtol(const WCHAR *string);
ULONG wcstoul(const WCHAR *string, WCHAR **end, int base);

/* cdigits.c: of base 10 a negative value has its sign, of others it is unsigned. */
char *_itoa(int value, char *text, int base);
WCHAR *_itow(int value, WCHAR *text, int base);
int _itoa_s(int value, char *text, size_t size, int base);
int _itow_s(int value, WCHAR *text, size_t size, int base);
int _ltoa_s(LONG value, char *text, size_t size, int base);
int _ltow_s(LONG value, WCHAR *text, size_t size, int base);
int _ultoa_s(ULONG value, char *text, size_t size, int base);
int _ultow_s(ULONG value, WCHAR *text, size_t size, int base);
int _i64toa_s(LONG64 value, char *text, size_t size, int base);
int _i64tow_s(LONG64 value, WCHAR *text, size_t size, int base);
int _ui64toa_s(ULONG64 value, char *text, size_t size, int base);
int _ui64tow_s(ULONG64 value, WCHAR *text, size_t size, int base);

/* csort.c. qsort calls itself no deeper than 64 levels and is not stable. rand: one sequence for all CPUs, of 0 to 32767. */
typedef int CRT_COMPARE(const void *left, const void *right);
void qsort(void *base, size_t count, size_t size, CRT_COMPARE *compare);
void *bsearch(const void *key, const void *base, size_t count, size_t size, CRT_COMPARE *compare);
int rand(void);
void srand(unsigned int seed);

/*
 * cprint.c, wprint.c: as the Microsoft C library has them, what format.c understands. Returned are the characters without the NUL. The
 * forms with a count end in a NUL only where it fits too, and return -1 for a text that is longer; the forms with _s return -1 too.
 * swprintf and _vswprintf know no size, as ntoskrnl's.
 */
int sprintf(char *text, const char *format, ...);
int vsprintf(char *text, const char *format, va_list arguments);
int _snprintf(char *text, size_t count, const char *format, ...);
int _vsnprintf(char *text, size_t count, const char *format, va_list arguments);
int sprintf_s(char *text, size_t size, const char *format, ...);
int vsprintf_s(char *text, size_t size, const char *format, va_list arguments);
int _snprintf_s(char *text, size_t size, size_t count, const char *format, ...);
int _vsnprintf_s(char *text, size_t size, size_t count, const char *format, va_list arguments);
int swprintf(WCHAR *text, const WCHAR *format, ...);
int _swprintf(WCHAR *text, const WCHAR *format, ...);
int _vswprintf(WCHAR *text, const WCHAR *format, va_list arguments);
int _snwprintf(WCHAR *text, size_t count, const WCHAR *format, ...);
int _vsnwprintf(WCHAR *text, size_t count, const WCHAR *format, va_list arguments);
int swprintf_s(WCHAR *text, size_t size, const WCHAR *format, ...);
int vswprintf_s(WCHAR *text, size_t size, const WCHAR *format, va_list arguments);
int _snwprintf_s(WCHAR *text, size_t size, size_t count, const WCHAR *format, ...);
int _vsnwprintf_s(WCHAR *text, size_t size, size_t count, const WCHAR *format, va_list arguments);

/* NOLINTEND(readability-redundant-declaration,bugprone-reserved-identifier) */

/* What both character sets share. wide: text and format are UTF-16. */
int CrtFormat(PVOID text, SIZE_T count, BOOLEAN wide, const VOID *format, va_list arguments);
int CrtFormatChecked(PVOID text, SIZE_T size, SIZE_T count, BOOLEAN wide, const VOID *format, va_list arguments);
