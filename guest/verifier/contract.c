/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routines whose contract is an IRQL: each has a thunk that checks what contracts.h says of it and then jumps to the routine, so
 * it costs no knowledge of its parameters.
 */
#include "contracts.h"

#include "contract.h"
#include "vi.h"

#include "../include/driver/pool2.h"
#include "../include/mutant.h"
#include "../ldr/ldr.h"
#include "../mm/mi.h"

typedef struct _VI_CONTRACT_RULE {
    PVOID Target; /* the routine itself; NULL: not exported */
    const char *Name;
    const char *Text;
    ULONG Code;
    KIRQL Least;
    KIRQL Most;
    UCHAR Arguments; /* of the routine's, in the report */
    UCHAR Flags;     /* VI_CONTRACT_... */
} VI_CONTRACT_RULE;
C_ASSERT(FIELD_OFFSET(VI_CONTRACT_RULE, Target) == VI_CONTRACT_TARGET);

/* The name of a rule as assembly sees it, and the thunk that leads to it. */
#define VI_THUNK(name, code, least, most, arguments, flags)                                                  \
    extern VI_CONTRACT_RULE ViRule_##name;                                                                   \
    extern const UCHAR ViThunk_##name[];                                                                     \
    VI_CONTRACT_RULE ViRule_##name = {                                                                       \
        NULL, #name, #name " is called at an IRQL that it is not for", code, least, most, arguments, flags}; \
    __asm__(".text\n"                                                                                        \
            ".globl ViThunk_" #name "\n"                                                                     \
            ".type ViThunk_" #name ", @function\n"                                                           \
            "ViThunk_" #name ":\n\t"                                                                         \
            "leaq ViRule_" #name "(%rip), %rax\n\t"                                                          \
            "jmp ViCheckedCall\n"                                                                            \
            ".size ViThunk_" #name ", . - ViThunk_" #name "\n");                                             \
    NT_VERIFIED(name, ViThunk_##name);

VI_CONTRACTS(VI_THUNK)

#define VI_RULE_ENTRY(name, ...) &ViRule_##name,
static VI_CONTRACT_RULE *const ViRules[] = {VI_CONTRACTS(VI_RULE_ENTRY)};

VOID ViFindContractTargets(VOID) {
    for (ULONG i = 0; i < RTL_NUMBER_OF(ViRules); i++) {
        ViRules[i]->Target = LdrFindExport(ViRules[i]->Name);
    }
}

static VOID ViBreach(const VI_CONTRACT_RULE *rule, ULONG code, KIRQL irql, const ULONG64 *arguments, ULONG64 frame)
    __attribute__((noreturn));

static VOID ViBreach(const VI_CONTRACT_RULE *rule, ULONG code, KIRQL irql, const ULONG64 *arguments, ULONG64 frame) {
    VI_REQUEST request = ViRequest(0, ViSpin, ViAtDpc, frame);
    ULONG64 parameters[2] = {0, 0};
    for (ULONG i = 0; i < rule->Arguments; i++) {
        parameters[i] = arguments[i];
    }
    if ((rule->Flags & VI_CONTRACT_FREE) != 0) { /* no argument, but what kind of pool it is */
        parameters[0] = code == RULE_FREE ? NonPagedPool : PagedPool;
        parameters[1] = arguments[0];
    } else if (rule->Code == RULE_PAGES_FOR_MDL) {
        parameters[0] = DISPATCH_LEVEL;
    }
    if (rule->Code >= RULE_FIRST_OF_DDI) {
        ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, code, (ULONG64)rule->Text, irql, 0, rule->Text, &request);
    }
    ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, code, irql, parameters[0], parameters[1], rule->Text, &request);
}

/* Bit 0 of the types in use says paged (POOL_TYPE). */
static BOOLEAN ViIsPagedPool(const VI_CONTRACT_RULE *rule, const ULONG64 *arguments) {
    return ((rule->Flags & VI_CONTRACT_ALLOCATE) != 0 && (arguments[0] & PagedPool) != 0) ||
        ((rule->Flags & VI_CONTRACT_ALLOCATE_2) != 0 && (arguments[0] & POOL_FLAG_PAGED) != 0) ||
        ((rule->Flags & VI_CONTRACT_FREE) != 0 && MiIsPageable(arguments[0]));
}

VOID ViCheckContract(const VI_CONTRACT_RULE *rule, const ULONG64 *arguments, ULONG64 frame);

/* Called by the thunks. */
VOID ViCheckContract(const VI_CONTRACT_RULE *rule, const ULONG64 *arguments, ULONG64 frame) {
    KIRQL irql = (KIRQL)__readcr8();
    if (MUTANT(VfAnyContract, "IRQL-8", "the verifier does not look at the IRQL that routines are called at")) {
        return;
    }
    ViCheckWaitFollows(frame);
    if (ViIsPagedPool(rule, arguments) && irql > APC_LEVEL &&
        !MUTANT(VfPagedPoolAnywhere, "SYS-13", "the verifier lets paged pool be used at DISPATCH_LEVEL")) {
        ViBreach(rule, rule->Code - 1, irql, arguments, frame); /* 0x01, 0x11 */
    }
    BOOLEAN in_dpc = irql == DISPATCH_LEVEL && KiCurrentPrcb()->DpcRoutineActive;
    if ((irql < rule->Least || irql > rule->Most) && !((rule->Flags & VI_CONTRACT_NOT_DPC) != 0 && in_dpc)) {
        ViBreach(rule, rule->Code, irql, arguments, frame);
    }
    if ((rule->Flags & VI_CONTRACT_RESIDENT) != 0) {
        ViCheckResident(arguments[0], frame);
    }
    const VI_REQUEST *held = ViHeld(0);
    if ((rule->Flags & VI_CONTRACT_NO_LOCK) != 0 && held != NULL &&
        !MUTANT(VfStartsUnderLock, "IRP-2", "the verifier lets StartIo be called under a spin lock")) {
        /* The rule SpinLock of the DDI compliance rules is the nearest that is documented. */
        const char *text = "a routine that calls drivers is called while a spin lock is held";
        VI_REQUEST request = ViRequest(held->Lock, held->Kind, ViAtDpc, frame);
        ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, VI_RULE_SPIN_LOCK, (ULONG64)text, held->Lock, 0, text, &request);
    }
}
