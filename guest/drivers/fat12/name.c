/* SPDX-License-Identifier: Apache-2.0 */
/* 8.3 names: as a path has them, "NAME.TXT" in any case, and as a directory does, eleven capitals padded with blanks. */
#include "fat12.h"

static BOOLEAN FatIsLegal(WCHAR character) {
    static const char special[] = "!#$%&'()-@^_`{}~";
    if ((character >= 'A' && character <= 'Z') || (character >= '0' && character <= '9')) {
        return TRUE;
    }
    for (ULONG i = 0; i < sizeof special - 1; i++) {
        if (character == (UCHAR)special[i]) {
            return TRUE;
        }
    }
    return FALSE;
}

/* One part of a name, into `room` characters. Returns how many characters it had; 0: it is none. */
static ULONG FatParsePart(PCWCH characters, ULONG count, UCHAR *part, ULONG room) {
    ULONG i = 0;
    for (; i < count && characters[i] != '.'; i++) {
        WCHAR character = characters[i];
        character = character >= 'a' && character <= 'z' ? (WCHAR)(character - 'a' + 'A') : character;
        if (i == room || !FatIsLegal(character)) {
            return 0;
        }
        part[i] = (UCHAR)character;
    }
    return i;
}

NTSTATUS FatParseName(PCWCH characters, ULONG count, UCHAR *name) {
    for (ULONG i = 0; i < FAT_NAME; i++) {
        name[i] = ' ';
    }
    ULONG dots = 0;
    while (dots < count && characters[dots] == '.') {
        dots++;
    }
    if (dots == count && (dots == 1 || dots == 2)) { /* a directory's first two entries: itself and the one above */
        name[0] = '.';
        name[1] = dots == 2 ? '.' : ' ';
        return STATUS_SUCCESS;
    }
    ULONG base = FatParsePart(characters, count, name, 8);
    if (base == 0) {
        return STATUS_OBJECT_NAME_INVALID;
    }
    if (base == count) {
        return STATUS_SUCCESS;
    }
    ULONG rest = count - base - 1;
    return rest != 0 && FatParsePart(characters + base + 1, rest, name + 8, 3) == rest ? STATUS_SUCCESS
                                                                                       : STATUS_OBJECT_NAME_INVALID;
}

ULONG FatFormatName(const UCHAR *name, PWCH characters) {
    ULONG count = 0;
    for (ULONG i = 0; i < FAT_NAME; i++) {
        if (i == 8 && name[8] != ' ') {
            characters[count++] = '.';
        }
        if (name[i] != ' ') {
            characters[count++] = name[i];
        }
    }
    return count;
}
