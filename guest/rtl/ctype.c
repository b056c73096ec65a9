/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of characters in the C locale: ASCII. */
#include "crt.h"

#include "text.h"

#include "../include/export.h"

static int between(int c, int first, int last) {
    return c >= first && c <= last;
}

int isdigit(int c) {
    return between(c, '0', '9');
}
NT_EXPORT(isdigit);

int islower(int c) {
    return between(c, 'a', 'z');
}
NT_EXPORT(islower);

int isupper(int c) {
    return between(c, 'A', 'Z');
}
NT_EXPORT(isupper);

int isalpha(int c) {
    return islower(c) || isupper(c);
}
NT_EXPORT(isalpha);

int isalnum(int c) {
    return isalpha(c) || isdigit(c);
}
NT_EXPORT(isalnum);

int isprint(int c) {
    return between(c, ' ', '~');
}
NT_EXPORT(isprint);

int isspace(int c) {
    return c == ' ' || between(c, '\t', '\r');
}
NT_EXPORT(isspace);

int isxdigit(int c) {
    return isdigit(c) || between(c, 'a', 'f') || between(c, 'A', 'F');
}
NT_EXPORT(isxdigit);

int tolower(int c) {
    return isupper(c) ? c + ('a' - 'A') : c;
}
NT_EXPORT(tolower);

int toupper(int c) {
    return islower(c) ? c - ('a' - 'A') : c;
}
NT_EXPORT(toupper);

WCHAR towlower(WCHAR c) {
    return (WCHAR)tolower(c);
}
NT_EXPORT(towlower);

WCHAR towupper(WCHAR c) {
    return (WCHAR)toupper(c);
}
NT_EXPORT(towupper);

ULONG RtlpDigit(WCHAR c) {
    return isdigit(c) ? (ULONG)(c - '0') : isalpha(c) ? (ULONG)(toupper(c) - 'A' + 10) : MAXULONG;
}
