/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load configuration that other compilers' images have (PE Format, "The Load Configuration Structure"): a stack cookie that is
 * still the linker's gets a value of its own, since such a driver stops the machine otherwise; pointers to the checks of
 * control flow guard lead to routines that let every call through. What else it says (retpolines, import optimisation,
 * tables of call targets) describes an image that is right without it.
 */
#include "work.h"

#define CONFIG_COOKIE         0x58 /* offsets into the structure */
#define CONFIG_GUARD_CHECK    0x70
#define CONFIG_GUARD_DISPATCH 0x78
#define CONFIG_GUARD_FLAGS    0x90
#define GUARD_INSTRUMENTED    0x100u

#define COOKIE_OF_LINKER 0x00002b992ddfa232ull
#define COOKIE_MASK      0x0000ffffffffffffull /* its two highest bytes are 0, so that no string copies it */

/* ldr/guard.S */
VOID LdrGuardCheck(VOID);
VOID LdrGuardDispatch(VOID);

/* The word at a virtual address that the configuration names; NULL: not inside of the image. */
static ULONG64 *LdrWordAt(const LDR_WORK *work, ULONG64 address) {
    ULONG64 offset = address - (ULONG64)work->Base;
    return address >= (ULONG64)work->Base && offset % sizeof(ULONG64) == 0 &&
            LdrWithin(work->Size, offset, sizeof(ULONG64))
        ? (ULONG64 *)address
        : NULL;
}

static ULONG64 LdrNewCookie(const LDR_WORK *work) {
    ULONG64 cookie = (__rdtsc() * 0x9e3779b97f4a7c15ull ^ (ULONG64)work->Base) & COOKIE_MASK;
    return cookie == COOKIE_OF_LINKER || cookie == 0 ? COOKIE_OF_LINKER + 1 : cookie;
}

static NTSTATUS LdrSetWord(const LDR_WORK *work, ULONG config, ULONG field, const char *what, ULONG64 value,
                           ULONG64 only_if) {
    ULONG64 address = *(const ULONG64 *)(work->Base + config + field);
    ULONG64 *word = LdrWordAt(work, address);
    if (address == 0) {
        return STATUS_SUCCESS;
    }
    if (word == NULL) {
        return LdrRefuse(STATUS_INVALID_IMAGE_FORMAT,
                         "%s in the load configuration at image address 0x%x is 0x%I64x, no word of the image", what,
                         config + field, address);
    }
    if (only_if == 0 || *word == only_if) {
        *word = value;
    }
    return STATUS_SUCCESS;
}

NTSTATUS LdrConfigure(const LDR_WORK *work) {
    const IMAGE_DATA_DIRECTORY *directory = LdrDirectory(work, IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG);
    if (directory == NULL) {
        return STATUS_SUCCESS;
    }
    ULONG config = directory->VirtualAddress;
    if (!LdrWithin(work->Size, config, sizeof(ULONG)) || config % sizeof(ULONG) != 0 ||
        !LdrWithin(work->Size, config, *(const ULONG *)(work->Base + config))) {
        return LdrRefuse(STATUS_INVALID_IMAGE_FORMAT,
                         "the load configuration at image address 0x%x is not inside of the image's 0x%I64x bytes",
                         config, work->Size);
    }
    ULONG size = *(const ULONG *)(work->Base + config); /* it grows with each linker */
    NTSTATUS status = STATUS_SUCCESS;
    if (size >= CONFIG_COOKIE + sizeof(ULONG64)) {
        status = LdrSetWord(work, config, CONFIG_COOKIE, "SecurityCookie", LdrNewCookie(work), COOKIE_OF_LINKER);
    }
    if (NT_SUCCESS(status) && size >= CONFIG_GUARD_FLAGS + sizeof(ULONG) &&
        (*(const ULONG *)(work->Base + config + CONFIG_GUARD_FLAGS) & GUARD_INSTRUMENTED) != 0) {
        status = LdrSetWord(work, config, CONFIG_GUARD_CHECK, "GuardCFCheckFunctionPointer", (ULONG64)LdrGuardCheck, 0);
        if (NT_SUCCESS(status)) {
            status = LdrSetWord(work, config, CONFIG_GUARD_DISPATCH, "GuardCFDispatchFunctionPointer",
                                (ULONG64)LdrGuardDispatch, 0);
        }
    }
    return status;
}
