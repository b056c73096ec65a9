/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's own unwind table, as its linker wrote it: .eh_frame_hdr, sorted by address, leads to an entry of .eh_frame, whose
 * instructions say how a routine's caller is found at each of its places (DWARF 5, 6.4; Linux Standard Base, "Exception Frames").
 * What the compiler and our assembly make of it is all that is understood here; a test of the kernel's file holds them to it.
 */
#include "seh.h"

#include <string.h>

#define POINTER_PCREL_SDATA4   0x1b
#define POINTER_DATAREL_SDATA4 0x3b
#define POINTER_UDATA4         0x03

#define CFI_HIGH(op)       ((op) & 0xc0u)
#define CFI_ADVANCE        0x40u
#define CFI_OFFSET         0x80u
#define CFI_RESTORE        0xc0u
#define CFI_REMEMBER_DEPTH 4

extern const UCHAR KiEhFrameHeader[];

typedef struct _SEH_HEADER {
    UCHAR Version;
    UCHAR FrameEncoding;
    UCHAR CountEncoding;
    UCHAR TableEncoding;
    LONG Frame;
    ULONG Count;
    struct {
        LONG Begin;
        LONG Entry;
    } Table[]; /* both from the header's own address */
} SEH_HEADER;

/* The instructions at hand and the state they make. */
typedef struct _SEH_PROGRAM {
    const UCHAR *At, *End;
    ULONG64 CodeAlign;
    LONG64 DataAlign;
    ULONG64 Place, Wanted;
    SEH_CFI_ROW *Row;
    const SEH_CFI_ROW *Initial; /* what CFI_RESTORE goes back to; NULL: these instructions make it */
    SEH_CFI_ROW Remembered[CFI_REMEMBER_DEPTH];
    ULONG Depth;
} SEH_PROGRAM;

static ULONG64 SehUleb(const UCHAR **at) {
    ULONG64 value = 0;
    ULONG shift = 0;
    UCHAR byte;
    do {
        byte = *(*at)++;
        value |= (ULONG64)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    return value;
}

static LONG64 SehSleb(const UCHAR **at) {
    ULONG64 value = 0;
    ULONG shift = 0;
    UCHAR byte;
    do {
        byte = *(*at)++;
        value |= (ULONG64)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    return (LONG64)(shift < 64 && (byte & 0x40) ? value | ~0ull << shift : value);
}

static ULONG SehWord(const UCHAR **at, ULONG bytes) {
    ULONG value = 0;
    memcpy(&value, *at, bytes);
    *at += bytes;
    return value;
}

static VOID SehSaved(SEH_PROGRAM *program, ULONG64 number, LONG64 offset) {
    if (number < SEH_CFI_REGISTERS) {
        program->Row->Rule[number] = SehCfiOffset;
        program->Row->Offset[number] = (LONG)offset;
    }
}

static VOID SehRestored(SEH_PROGRAM *program, ULONG64 number) {
    if (number < SEH_CFI_REGISTERS && program->Initial != NULL) {
        program->Row->Rule[number] = program->Initial->Rule[number];
        program->Row->Offset[number] = program->Initial->Offset[number];
    }
}

/* Those whose two highest bits are 0. FALSE: unknown here. */
static BOOLEAN SehPlainInstruction(SEH_PROGRAM *program, UCHAR op) {
    SEH_CFI_ROW *row = program->Row;
    ULONG64 number;
    switch (op) {
    case 0x00: /* DW_CFA_nop */
        return TRUE;
    case 0x02: /* DW_CFA_advance_loc1, 2, 4 */
    case 0x03:
    case 0x04:
        program->Place += SehWord(&program->At, 1u << (op - 2)) * program->CodeAlign;
        return TRUE;
    case 0x07: /* DW_CFA_undefined */
        number = SehUleb(&program->At);
        if (number < SEH_CFI_REGISTERS) {
            row->Rule[number] = SehCfiUndefined;
        }
        return TRUE;
    case 0x0a: /* DW_CFA_remember_state */
        if (program->Depth == CFI_REMEMBER_DEPTH) {
            return FALSE;
        }
        program->Remembered[program->Depth++] = *row;
        return TRUE;
    case 0x0b: /* DW_CFA_restore_state */
        if (program->Depth == 0) {
            return FALSE;
        }
        *row = program->Remembered[--program->Depth];
        return TRUE;
    case 0x0c: /* DW_CFA_def_cfa */
        row->CfaRegister = (ULONG)SehUleb(&program->At);
        row->CfaOffset = (LONG64)SehUleb(&program->At);
        return TRUE;
    case 0x0d: /* DW_CFA_def_cfa_register */
        row->CfaRegister = (ULONG)SehUleb(&program->At);
        return TRUE;
    case 0x0e: /* DW_CFA_def_cfa_offset */
        row->CfaOffset = (LONG64)SehUleb(&program->At);
        return TRUE;
    case 0x11: /* DW_CFA_offset_extended_sf */
        number = SehUleb(&program->At);
        SehSaved(program, number, SehSleb(&program->At) * program->DataAlign);
        return TRUE;
    default:
        return FALSE;
    }
}

static BOOLEAN SehRun(SEH_PROGRAM *program) {
    while (program->At < program->End && program->Place <= program->Wanted) {
        UCHAR op = *program->At++;
        if (CFI_HIGH(op) == CFI_ADVANCE) {
            program->Place += (op & 0x3fu) * program->CodeAlign;
        } else if (CFI_HIGH(op) == CFI_OFFSET) {
            SehSaved(program, op & 0x3fu, (LONG64)SehUleb(&program->At) * program->DataAlign);
        } else if (CFI_HIGH(op) == CFI_RESTORE) {
            SehRestored(program, op & 0x3fu);
        } else if (!SehPlainInstruction(program, op)) {
            return FALSE;
        }
    }
    return TRUE;
}

/* The last entry that begins at or below the address; NULL: none does. */
static const UCHAR *SehFindEntry(ULONG64 address) {
    const SEH_HEADER *header = (const SEH_HEADER *)KiEhFrameHeader;
    LONG64 wanted = (LONG64)(address - (ULONG64)header);
    ULONG low = 0, high = header->Count;
    if (header->CountEncoding != POINTER_UDATA4 || header->TableEncoding != POINTER_DATAREL_SDATA4) {
        return NULL;
    }
    while (low < high) {
        ULONG middle = low + (high - low) / 2;
        if (header->Table[middle].Begin <= wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? NULL : (const UCHAR *)header + header->Table[low - 1].Entry;
}

BOOLEAN SehFindRow(ULONG64 rip, BOOLEAN exact, SEH_CFI_ROW *row) {
    ULONG64 address = exact ? rip : rip - 1; /* a call may be the last instruction of its routine */
    const UCHAR *entry = SehFindEntry(address);
    if (entry == NULL) {
        return FALSE;
    }
    const UCHAR *at = entry;
    const UCHAR *end = entry + sizeof(ULONG) + SehWord(&at, sizeof(ULONG));
    const UCHAR *common = at - *(const ULONG *)at;
    at += sizeof(ULONG);
    ULONG64 begin = (ULONG64)at + (ULONG64)(LONG64)(LONG)SehWord(&at, sizeof(ULONG));
    ULONG64 bytes = SehWord(&at, sizeof(ULONG));
    if (address < begin || address - begin >= bytes) {
        return FALSE;
    }
    at += SehUleb(&at); /* no augmentation data is of use */

    /* The entry's common part: what holds at the first instruction of every routine. */
    const UCHAR *head = common;
    const UCHAR *head_end = common + sizeof(ULONG) + SehWord(&head, sizeof(ULONG));
    head += sizeof(ULONG) + 1; /* its mark, its version */
    const char *augmentation = (const char *)head;
    head += strlen(augmentation) + 1;
    if (augmentation[0] != 'z' || augmentation[1] != 'R') {
        return FALSE;
    }
    SEH_PROGRAM program = {.Row = row, .Wanted = address, .Place = begin};
    RtlZeroMemory(row, sizeof *row);
    row->Signal = augmentation[2] == 'S';
    program.CodeAlign = SehUleb(&head);
    program.DataAlign = SehSleb(&head);
    if (SehUleb(&head) != SEH_CFI_RIP) {
        return FALSE;
    }
    ULONG64 rest = SehUleb(&head);
    if (*head != POINTER_PCREL_SDATA4) {
        return FALSE;
    }
    program.At = head + rest;
    program.End = head_end;
    if (!SehRun(&program)) {
        return FALSE;
    }
    SEH_CFI_ROW initial = *row;
    program.Initial = &initial;
    program.At = at;
    program.End = end;
    program.Place = begin;
    return SehRun(&program);
}
