/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Epilogues: their few legal forms are known by their instructions ("x64 exception handling", "x64 prolog and epilog"): release of the
 * frame by ADD RSP or LEA RSP from the frame register, POPs, then RET, or a JMP to another function. Whoever is in one has
 * less left to undo than its unwind codes say.
 */
#include "seh.h"

#include "../ke/ki.h"

#define EPILOGUE_POPS 16

#define REX_W 0x48u
#define REX_B 0x41u

static BOOLEAN SehIsJump(const UCHAR *at, ULONG64 base, const RUNTIME_FUNCTION *function) {
    if (at[0] == 0xeb || at[0] == 0xe9) { /* JMP rel8, rel32: in the function itself it is no tail call */
        LONG64 distance = at[0] == 0xeb ? *(const CHAR *)(at + 1) : *(const LONG __attribute__((aligned(1))) *)(at + 1);
        ULONG64 target = (ULONG64)at + (at[0] == 0xeb ? 2 : 5) + (ULONG64)distance - base;
        return target < function->BeginAddress || target >= function->EndAddress || target == function->BeginAddress;
    }
    if ((at[0] & 0xf8) == REX_W && at[1] == 0xff) { /* REX.W JMP: as compilers mark one that leaves the function */
        return (at[2] & 0x38) == 0x20;
    }
    return at[0] == 0xff && at[1] == 0x25; /* JMP [rip + d] */
}

static BOOLEAN SehIsEnd(const UCHAR *at, ULONG64 base, const RUNTIME_FUNCTION *function) {
    return at[0] == 0xc3 || at[0] == 0xc2 || (at[0] == 0xf3 && at[1] == 0xc3) || SehIsJump(at, base, function);
}

/* How the frame is released: RSP afterwards, and the bytes that it takes. */
static const UCHAR *SehRelease(const UCHAR *at, ULONG frame_register, PCONTEXT context, ULONG64 *rsp) {
    if (at[0] == REX_W && at[1] == 0x83 && at[2] == 0xc4) { /* ADD RSP, imm8 */
        *rsp += (ULONG64)(LONG64) * (const CHAR *)(at + 3);
        return at + 4;
    }
    if (at[0] == REX_W && at[1] == 0x81 && at[2] == 0xc4) { /* ADD RSP, imm32 */
        *rsp += (ULONG64)(LONG64) * (const LONG __attribute__((aligned(1))) *)(at + 3);
        return at + 7;
    }
    if (frame_register != 0 && (at[0] & 0xfe) == REX_W && at[1] == 0x8d && (at[2] & 0x38) == 0x20) { /* LEA RSP, */
        ULONG number = (at[2] & 7u) | (at[0] & 1u) << 3;
        ULONG sib = (at[2] & 7) == 4 ? 1 : 0;
        if (number != frame_register) {
            return at;
        }
        if (at[2] >> 6 == 1) { /* [frame register + d8] */
            *rsp = *SehRegister(context, number) + (ULONG64)(LONG64) * (const CHAR *)(at + 3 + sib);
            return at + 4 + sib;
        }
        if (at[2] >> 6 == 2) { /* + d32 */
            *rsp = *SehRegister(context, number) +
                (ULONG64)(LONG64) * (const LONG __attribute__((aligned(1))) *)(at + 3 + sib);
            return at + 7 + sib;
        }
    }
    return at;
}

BOOLEAN SehLeaveEpilogue(ULONG64 base, ULONG64 pc, PRUNTIME_FUNCTION function, ULONG frame_register, PCONTEXT context,
                         PKNONVOLATILE_CONTEXT_POINTERS pointers) {
    UCHAR pops[EPILOGUE_POPS];
    ULONG count = 0;
    ULONG64 rsp = context->Rsp;
    const UCHAR *at = SehRelease((const UCHAR *)pc, frame_register, context, &rsp);
    while (count < EPILOGUE_POPS) {
        ULONG extended = at[0] == REX_B ? 1 : 0;
        if ((at[extended] & 0xf8) != 0x58) {
            break;
        }
        pops[count++] = (UCHAR)((at[extended] & 7u) | extended << 3);
        at += 1 + extended;
    }
    if (!SehIsEnd(at, base, function)) {
        return FALSE;
    }
    CONTEXT *changed = context;
    ULONG64 values[EPILOGUE_POPS], rip;
    for (ULONG i = 0; i <= count; i++) {
        if (!KiLoadIfThere((const VOID *)(rsp + i * sizeof(ULONG64)), i < count ? &values[i] : &rip)) {
            return FALSE;
        }
    }
    for (ULONG i = 0; i < count; i++) {
        *SehRegister(changed, pops[i]) = values[i];
        if (pointers != NULL) {
            pointers->IntegerContext[pops[i]] = (PULONG64)(rsp + i * sizeof(ULONG64));
        }
    }
    changed->Rip = rip;
    changed->Rsp = rsp + (count + 1) * sizeof(ULONG64);
    return TRUE;
}
