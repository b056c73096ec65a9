/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routines whose contract is an IRQL, as their pages state it: a table. Each routine in it has a thunk that checks and then
 * jumps to the routine, so it costs no knowledge of its parameters. Codes are the documented ones of the routine where it has
 * one, else those of the DDI compliance rules (Irql...), whose second parameter is a text; of the many rules for routines
 * of the I/O manager that need PASSIVE_LEVEL, IrqlIoPassive1 stands for all.
 */
#include "contract.h"
#include "vi.h"

#include "../include/mutant.h"
#include "../ldr/ldr.h"

#define RULE_ALLOCATE     0x02    /* IRQL, pool type, bytes */
#define RULE_FREE         0x12    /* IRQL, pool type, address */
#define RULE_MAP_IO       0x73    /* IRQL, physical address, bytes */
#define RULE_UNMAP_IO     0x7b    /* IRQL, address, bytes */
#define RULE_DISPATCH     0x20003 /* IrqlDispatch */
#define RULE_IO_PASSIVE   0x2000a /* IrqlIoPassive1 */
#define RULE_KE_APC       0x2000f /* IrqlKeApcLte1 */
#define RULE_KE_DISPATCH  0x20011 /* IrqlKeDispatchLte */
#define RULE_FIRST_OF_DDI 0x20000

#define IPI_LEVEL_HERE VECTOR_IRQL(IPI_VECTOR)

typedef struct _VI_CONTRACT_RULE {
    PVOID Target; /* the routine itself; NULL: not exported */
    const char *Name;
    const char *Text;
    ULONG Code;
    KIRQL Least;
    KIRQL Most;
    BOOLEAN NoLock;    /* may not be called with a spin lock held (SPIN-17) */
    BOOLEAN NotInADpc; /* what the routine itself does about a caller in a DPC comes first */
} VI_CONTRACT_RULE;
C_ASSERT(FIELD_OFFSET(VI_CONTRACT_RULE, Target) == VI_CONTRACT_TARGET);

#define VI_CONTRACTS(X)                                                                           \
    X(IoConnectInterrupt, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, FALSE, FALSE)            \
    X(IoConnectInterruptEx, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, FALSE, FALSE)          \
    X(IoDisconnectInterrupt, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, FALSE, FALSE)         \
    X(IoDisconnectInterruptEx, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, FALSE, FALSE)       \
    X(HalGetInterruptVector, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, FALSE, FALSE)         \
    X(IoCreateDevice, RULE_IO_PASSIVE, PASSIVE_LEVEL, APC_LEVEL, FALSE, FALSE)                    \
    X(IoDeleteDevice, RULE_IO_PASSIVE, PASSIVE_LEVEL, APC_LEVEL, FALSE, FALSE)                    \
    X(IoForwardIrpSynchronously, RULE_IO_PASSIVE, PASSIVE_LEVEL, APC_LEVEL, FALSE, FALSE)         \
    X(IoAttachDeviceToDeviceStack, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, FALSE, FALSE) \
    X(IoDetachDevice, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, FALSE, FALSE)              \
    X(IoGetAttachedDevice, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, FALSE, FALSE)         \
    X(IoReportInterruptActive, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, FALSE, FALSE)     \
    X(IoReportInterruptInactive, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, FALSE, FALSE)   \
    X(IoAllocateIrp, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, FALSE, FALSE)               \
    X(IoFreeIrp, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, FALSE, FALSE)                   \
    X(IofCallDriver, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, FALSE, FALSE)               \
    X(IofCompleteRequest, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, TRUE, FALSE)           \
    X(KeFlushQueuedDpcs, RULE_KE_APC, PASSIVE_LEVEL, PASSIVE_LEVEL, FALSE, TRUE)                  \
    X(KeGenericCallDpc, RULE_KE_APC, PASSIVE_LEVEL, APC_LEVEL, FALSE, TRUE)                       \
    X(KeSignalCallDpcDone, RULE_DISPATCH, DISPATCH_LEVEL, DISPATCH_LEVEL, FALSE, FALSE)           \
    X(KeSignalCallDpcSynchronize, RULE_DISPATCH, DISPATCH_LEVEL, DISPATCH_LEVEL, FALSE, FALSE)    \
    X(KeIpiGenericCall, RULE_KE_DISPATCH, PASSIVE_LEVEL, IPI_LEVEL_HERE - 1, FALSE, FALSE)        \
    X(ExAllocatePoolWithTag, RULE_ALLOCATE, PASSIVE_LEVEL, DISPATCH_LEVEL, FALSE, FALSE)          \
    X(ExAllocatePool, RULE_ALLOCATE, PASSIVE_LEVEL, DISPATCH_LEVEL, FALSE, FALSE)                 \
    X(ExFreePoolWithTag, RULE_FREE, PASSIVE_LEVEL, DISPATCH_LEVEL, FALSE, FALSE)                  \
    X(ExFreePool, RULE_FREE, PASSIVE_LEVEL, DISPATCH_LEVEL, FALSE, FALSE)                         \
    X(MmMapIoSpace, RULE_MAP_IO, PASSIVE_LEVEL, DISPATCH_LEVEL, FALSE, FALSE)                     \
    X(MmUnmapIoSpace, RULE_UNMAP_IO, PASSIVE_LEVEL, APC_LEVEL, FALSE, FALSE)

/* The name of a rule as assembly sees it, and the thunk that leads to it. */
#define VI_THUNK(name, code, least, most, no_lock, not_in_dpc)                                                  \
    extern VI_CONTRACT_RULE ViRule_##name;                                                                      \
    extern const UCHAR ViThunk_##name[];                                                                        \
    VI_CONTRACT_RULE ViRule_##name = {                                                                          \
        NULL, #name, #name " is called at an IRQL that it is not for", code, least, most, no_lock, not_in_dpc}; \
    __asm__(".text\n"                                                                                           \
            ".globl ViThunk_" #name "\n"                                                                        \
            ".type ViThunk_" #name ", @function\n"                                                              \
            "ViThunk_" #name ":\n\t"                                                                            \
            "leaq ViRule_" #name "(%rip), %rax\n\t"                                                             \
            "jmp ViCheckedCall\n"                                                                               \
            ".size ViThunk_" #name ", . - ViThunk_" #name "\n");                                                \
    NT_VERIFIED(name, ViThunk_##name);

VI_CONTRACTS(VI_THUNK)

#define VI_RULE_ENTRY(name, ...) &ViRule_##name,
static VI_CONTRACT_RULE *const ViRules[] = {VI_CONTRACTS(VI_RULE_ENTRY)};

VOID ViFindContractTargets(VOID) {
    for (ULONG i = 0; i < RTL_NUMBER_OF(ViRules); i++) {
        ViRules[i]->Target = LdrFindExport(ViRules[i]->Name);
    }
}

static VOID ViBreach(const VI_CONTRACT_RULE *rule, KIRQL irql, const ULONG64 *arguments, ULONG64 frame) {
    VI_REQUEST request = ViRequest(0, ViSpin, ViAtDpc, frame);
    VF_VIOLATION violation = {.Code = DRIVER_VERIFIER_DETECTED_VIOLATION, .Text = rule->Text, .SiteCount = 1};
    violation.Parameter[0] = rule->Code;
    if (rule->Code >= RULE_FIRST_OF_DDI) {
        violation.Parameter[1] = (ULONG64)rule->Text;
        violation.Parameter[2] = irql;
    } else {
        violation.Parameter[1] = irql;
        violation.Parameter[2] = rule->Code == RULE_FREE ? NonPagedPool : arguments[0];
        violation.Parameter[3] = rule->Code == RULE_FREE ? arguments[0] : arguments[1];
    }
    ViFillSite(&violation.Site[0], &request);
    ViReportSites(&violation);
}

VOID ViCheckContract(const VI_CONTRACT_RULE *rule, const ULONG64 *arguments, ULONG64 frame);

/* Called by the thunks. */
VOID ViCheckContract(const VI_CONTRACT_RULE *rule, const ULONG64 *arguments, ULONG64 frame) {
    KIRQL irql = (KIRQL)__readcr8();
    if (MUTANT(VfAnyContract, "IRQL-8", "the verifier does not look at the IRQL that routines are called at")) {
        return;
    }
    if ((irql < rule->Least || irql > rule->Most) && !(rule->NotInADpc && KiCurrentPrcb()->DpcRoutineActive)) {
        ViBreach(rule, irql, arguments, frame);
    }
    const VI_REQUEST *held = ViHeld(0);
    if (rule->NoLock && held != NULL &&
        !MUTANT(VfCompletesUnderLock, "SPIN-17", "the verifier lets an IRP be completed under a spin lock")) {
        /* The rule SpinLock of the DDI compliance rules is the nearest that is documented. */
        const char *text = "an IRP is completed while a spin lock is held";
        VI_REQUEST request = ViRequest(held->Lock, held->Kind, ViAtDpc, frame);
        ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, VI_RULE_SPIN_LOCK, (ULONG64)text, held->Lock, 0, text, &request);
    }
}
