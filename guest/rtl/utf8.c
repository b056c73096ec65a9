/* SPDX-License-Identifier: Apache-2.0 */
/* Between UTF-8 and UTF-16. What is no character of its encoding becomes U+FFFD, and STATUS_SOME_NOT_MAPPED says so. */
#include "../include/nt/rtl.h"

#include "../include/export.h"

#define UTF_REPLACEMENT 0xfffdu
#define UTF_BAD         0x80000000u /* in place of a character */

/* The character at the start, and how many bytes it has. */
static ULONG RtlpReadUtf8(const UCHAR *text, ULONG bytes, ULONG *used) {
    static const ULONG least[] = {0, 0x80, 0x800, 0x10000};
    UCHAR first = text[0];
    ULONG more = first < 0x80    ? 0
        : (first & 0xe0) == 0xc0 ? 1
        : (first & 0xf0) == 0xe0 ? 2
        : (first & 0xf8) == 0xf0 ? 3
                                 : 4;
    *used = 1;
    if (more == 0) {
        return first;
    }
    if (more == 4) {
        return UTF_BAD;
    }
    ULONG c = first & (0x3fu >> more);
    for (; *used <= more; (*used)++) {
        if (*used >= bytes || (text[*used] & 0xc0) != 0x80) {
            return UTF_BAD;
        }
        c = c << 6 | (text[*used] & 0x3f);
    }
    return c < least[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? UTF_BAD : c;
}

static ULONG RtlpReadUtf16(const WCHAR *text, ULONG characters, ULONG *used) {
    WCHAR first = text[0];
    *used = 1;
    if (first < 0xd800 || first >= 0xe000) {
        return first;
    }
    if (first >= 0xdc00 || characters < 2 || text[1] < 0xdc00 || text[1] >= 0xe000) {
        return UTF_BAD;
    }
    *used = 2;
    return 0x10000 + ((first & 0x3ffu) << 10 | (text[1] & 0x3ffu));
}

static ULONG RtlpWriteUtf8(ULONG c, UCHAR *out) {
    if (c < 0x80) {
        out[0] = (UCHAR)c;
        return 1;
    }
    ULONG more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    out[0] = (UCHAR)((0xff00u >> (more + 1) & 0xff) | c >> 6 * more);
    for (ULONG i = 1; i <= more; i++) {
        out[i] = (UCHAR)(0x80 | (c >> 6 * (more - i) & 0x3f));
    }
    return more + 1;
}

static ULONG RtlpWriteUtf16(ULONG c, WCHAR *out) {
    if (c < 0x10000) {
        out[0] = (WCHAR)c;
        return 1;
    }
    out[0] = (WCHAR)(0xd800 | (c - 0x10000) >> 10);
    out[1] = (WCHAR)(0xdc00 | (c & 0x3ff));
    return 2;
}

/* A destination of NULL: only how many bytes it takes. A character that does not fit whole ends it. */
NTSTATUS NTAPI RtlUTF8ToUnicodeN(PWSTR UnicodeStringDestination, ULONG UnicodeStringMaxByteCount,
                                 PULONG UnicodeStringActualByteCount, PCCH UTF8StringSource,
                                 ULONG UTF8StringByteCount) {
    NTSTATUS status = STATUS_SUCCESS;
    ULONG written = 0;
    for (ULONG at = 0, used; at < UTF8StringByteCount; at += used) {
        WCHAR out[2];
        ULONG c = RtlpReadUtf8((const UCHAR *)UTF8StringSource + at, UTF8StringByteCount - at, &used);
        status = c == UTF_BAD ? STATUS_SOME_NOT_MAPPED : status;
        ULONG bytes = RtlpWriteUtf16(c == UTF_BAD ? UTF_REPLACEMENT : c, out) * (ULONG)sizeof(WCHAR);
        if (UnicodeStringDestination != NULL) {
            if (bytes > UnicodeStringMaxByteCount - written) {
                status = STATUS_BUFFER_TOO_SMALL;
                break;
            }
            RtlCopyMemory((UCHAR *)UnicodeStringDestination + written, out, bytes);
        }
        written += bytes;
    }
    if (UnicodeStringActualByteCount != NULL) {
        *UnicodeStringActualByteCount = written;
    }
    return status;
}
NT_EXPORT(RtlUTF8ToUnicodeN);

NTSTATUS NTAPI RtlUnicodeToUTF8N(PCHAR UTF8StringDestination, ULONG UTF8StringMaxByteCount,
                                 PULONG UTF8StringActualByteCount, PCWCH UnicodeStringSource,
                                 ULONG UnicodeStringByteCount) {
    NTSTATUS status = STATUS_SUCCESS;
    ULONG written = 0;
    ULONG characters = UnicodeStringByteCount / (ULONG)sizeof(WCHAR);
    for (ULONG at = 0, used; at < characters; at += used) {
        UCHAR out[4];
        ULONG c = RtlpReadUtf16(UnicodeStringSource + at, characters - at, &used);
        status = c == UTF_BAD ? STATUS_SOME_NOT_MAPPED : status;
        ULONG bytes = RtlpWriteUtf8(c == UTF_BAD ? UTF_REPLACEMENT : c, out);
        if (UTF8StringDestination != NULL) {
            if (bytes > UTF8StringMaxByteCount - written) {
                status = STATUS_BUFFER_TOO_SMALL;
                break;
            }
            RtlCopyMemory(UTF8StringDestination + written, out, bytes);
        }
        written += bytes;
    }
    if (UTF8StringActualByteCount != NULL) {
        *UTF8StringActualByteCount = written;
    }
    return status;
}
NT_EXPORT(RtlUnicodeToUTF8N);
