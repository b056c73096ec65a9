/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Page faults. A page that is out is brought in where the touch may wait: below DISPATCH_LEVEL, interrupts on. Elsewhere it is 0xA with
 * address, IRQL, access and instruction, whoever touched it (spec SYS-14). An address that no page belongs to is, there, 0xD1 with the
 * same parameters if a driver's code used it and 0xA if the kernel's did (bug-check-0xd1, -0xa); else 0x50. With interrupts
 * off the IRQL of a page that is out is said to be 0xFF, as in the dumps that NT leaves. A page that is there and forbids the
 * access: -0xbe, -0xfc.
 */
#include "ki.h"

#include "../include/mutant.h"
#include "verify.h"

#define FAULT_PRESENT     0x1u /* error code (Intel SDM 3, 4.7) */
#define FAULT_WRITE       0x2u
#define FAULT_RESERVED    0x8u
#define FAULT_FETCH       0x10u
#define RFLAGS_IF         0x200u
#define KI_USER_LIMIT     0x00007fffffff0000ull /* the first address that is not user mode's (MmUserProbeAddress) */
#define NULL_REACH        0x10000ull            /* an address below it was made from a NULL pointer */
#define OPERATION_READ    0                     /* as 0xA, 0x50 and 0xD1 number them */
#define OPERATION_WRITE   1
#define OPERATION_EXECUTE 8

KI_FAULT (*KiResolveFault)(ULONG64 address, ULONG64 rip, BOOLEAN resolve);
ULONG64 (*KiPageEntry)(ULONG64 address);

extern const UCHAR KiGuardedLoad[], KiGuardedLoadFailed[];

static BOOLEAN KiIsKernelCode(ULONG64 address) {
    extern const UCHAR KiTextStart[], KiTextEnd[];
    return address >= (ULONG64)KiTextStart && address < (ULONG64)KiTextEnd;
}

/* Interrupts off in and out; on while a page is brought in, on whatever CPU the thread then is. */
static KI_FAULT KiAskForPage(ULONG64 address, const KI_TRAP_FRAME *frame, BOOLEAN resolve) {
    /* Acquire: pairs with the release in MiInitializePaging. */
    KI_FAULT (*ask)(ULONG64, ULONG64, BOOLEAN) = __atomic_load_n(&KiResolveFault, __ATOMIC_ACQUIRE);
    if (ask == NULL) {
        return KiFaultInvalid;
    }
    if (!resolve) {
        return ask(address, frame->Rip, FALSE);
    }
    _enable();
    KI_FAULT found = ask(address, frame->Rip, TRUE);
    _disable();
    return found;
}

static VOID KiDescribe(KI_CAUSE *cause, ULONG code, ULONG64 p2, ULONG64 p3, ULONG64 p4, const char *text) {
    cause->Code = code;
    cause->Parameter[0] = cause->Address;
    cause->Parameter[1] = p2;
    cause->Parameter[2] = p3;
    cause->Parameter[3] = p4;
    cause->Text = text;
}

static VOID KiForbidden(KI_CAUSE *cause, KIRQL irql, const KI_TRAP_FRAME *frame) {
    ULONG code =
        cause->Access == KiAccessExecute ? ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY : ATTEMPTED_WRITE_TO_READONLY_MEMORY;
    KiDescribe(cause, code, KiPageEntry != NULL ? KiPageEntry(cause->Address) : 0, (ULONG64)frame, irql, NULL);
}

static ULONG64 KiOperation(KI_ACCESS access) {
    return access == KiAccessExecute ? OPERATION_EXECUTE : access == KiAccessWrite ? OPERATION_WRITE : OPERATION_READ;
}

/* irql: as the bugcheck is to tell it. */
static VOID KiNotThere(KI_CAUSE *cause, KI_FAULT found, KIRQL irql, const KI_TRAP_FRAME *frame) {
    ULONG64 operation = KiOperation(cause->Access);
    const char *null = cause->Address < NULL_REACH ? "a NULL pointer, or one made from it" : NULL;
    if (found == KiFaultPageOut) {
        KIRQL told = (frame->Rflags & RFLAGS_IF) != 0 ? irql : 0xff;
        KiDescribe(cause, IRQL_NOT_LESS_OR_EQUAL, told, operation, frame->Rip,
                   "the memory is pageable, and its page is out");
    } else if (irql < DISPATCH_LEVEL) {
        KiDescribe(cause, PAGE_FAULT_IN_NONPAGED_AREA, operation, frame->Rip, 0, null);
    } else {
        BOOLEAN kernel = KiIsKernelCode(frame->Rip) ||
            MUTANT(DriverFaultIsKernels, "0xD1", "a driver's bad pointer at DISPATCH_LEVEL is told as the kernel's");
        KiDescribe(cause, kernel ? IRQL_NOT_LESS_OR_EQUAL : DRIVER_IRQL_NOT_LESS_OR_EQUAL, irql, operation, frame->Rip,
                   null);
    }
}

VOID KiPageFault(KI_TRAP_FRAME *frame) {
    KI_CAUSE cause = {.Access = frame->ErrorCode & FAULT_FETCH ? KiAccessExecute
                          : frame->ErrorCode & FAULT_WRITE     ? KiAccessWrite
                                                               : KiAccessRead};
    /* Before anything that may fault, or let another thread fault. */
    __asm__ volatile("mov %%cr2, %0" : "=r"(cause.Address));
    KIRQL irql = (KIRQL)__readcr8();
    if ((frame->ErrorCode & (FAULT_PRESENT | FAULT_RESERVED)) == FAULT_PRESENT) {
        KiForbidden(&cause, irql, frame);
    } else {
        BOOLEAN may_wait = (frame->Rflags & RFLAGS_IF) != 0 &&
            (irql < DISPATCH_LEVEL ||
             MUTANT(PageInAtDispatch, "SYS-14", "a touch at DISPATCH_LEVEL brings a page back"));
        KI_FAULT found = KiAskForPage(cause.Address, frame, may_wait);
        if (found == KiFaultResolved) {
            return;
        }
        if (found == KiFaultInvalid && frame->Rip == (ULONG64)KiGuardedLoad) {
            frame->Rip = (ULONG64)KiGuardedLoadFailed;
            return;
        }
        /* Addresses of user mode are a driver's to try (handling-exceptions); others it must know. */
        if (found == KiFaultInvalid && irql < DISPATCH_LEVEL && cause.Address < KI_USER_LIMIT &&
            !MUTANT(NullIsFatal, "SEH-1", "an access through a NULL pointer is never an exception")) {
            KiAskHandlersOf(frame, STATUS_ACCESS_VIOLATION, 2, KiOperation(cause.Access), cause.Address);
        }
        KiNotThere(&cause, found, irql, frame);
    }
    KiVerifyException(cause.Code, cause.Parameter, frame->Rip, frame->Rbp);
    KiBugCheckCause(&cause, frame);
}
