/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KeBugCheckEx: stops every other CPU by NMI, saves all CPUs' registers in KiBugCheckData (include/hostif.h), raises the
 * flag there, tells the host and ends the machine. The first caller wins; a CPU that comes second is frozen like the rest.
 * A fault of the winner itself on this way is noted beside what it was about to tell, and the machine ends at once.
 */
#include "ki.h"

#include "../hal/hal.h"

#define PVPANIC_PORT     0x505
#define PVPANIC_PANICKED 1
#define FREEZE_SPINS     20000000u /* PAUSEs to wait for the others; one that never answers is left out of the record */

KI_BUGCHECK_DATA KiBugCheckData;
VOID (*KiReportBugCheck)(ULONG code);

static volatile ULONG KiBugCheckOwner; /* CPU number + 1 of the first caller */
static volatile LONG KiFrozen;         /* CPUs that have saved their registers */

static VOID KiSaveControlRegisters(KI_BUGCHECK_CPU *cpu) {
    __asm__("mov %%cr0, %0" : "=r"(cpu->Cr0));
    __asm__("mov %%cr2, %0" : "=r"(cpu->Cr2));
    __asm__("mov %%cr3, %0" : "=r"(cpu->Cr3));
    __asm__("mov %%cr4, %0" : "=r"(cpu->Cr4));
    cpu->Cr8 = __readcr8();
}

static VOID KiSaveFrame(KI_BUGCHECK_CPU *cpu, const KI_TRAP_FRAME *frame) {
    KiSaveControlRegisters(cpu);
    cpu->Rax = frame->Rax, cpu->Rcx = frame->Rcx, cpu->Rdx = frame->Rdx, cpu->Rbx = frame->Rbx;
    cpu->Rsp = frame->Rsp, cpu->Rbp = frame->Rbp, cpu->Rsi = frame->Rsi, cpu->Rdi = frame->Rdi;
    cpu->R8 = frame->R8, cpu->R9 = frame->R9, cpu->R10 = frame->R10, cpu->R11 = frame->R11;
    cpu->R12 = frame->R12, cpu->R13 = frame->R13, cpu->R14 = frame->R14, cpu->R15 = frame->R15;
    cpu->Rip = frame->Rip, cpu->Rflags = frame->Rflags;
    cpu->Valid = 1;
}

BOOLEAN KiIsBugChecking(VOID) {
    return __atomic_load_n(&KiBugCheckOwner, __ATOMIC_ACQUIRE) == KiCurrentPrcb()->Number + 1;
}

VOID KiFreezeProcessor(KI_TRAP_FRAME *frame) {
    PKPRCB prcb = KiCurrentPrcb();
    ULONG owner = __atomic_load_n(&KiBugCheckOwner, __ATOMIC_ACQUIRE);
    if (owner == 0) {
        prcb->NmiCount++;
        return; /* an NMI from outside, no bugcheck: counted */
    }
    if (owner == prcb->Number + 1) {
        return;
    }
    KiSaveFrame(&KiBugCheckData.Cpu[prcb->Number], frame);
    __atomic_add_fetch(&KiFrozen, 1, __ATOMIC_RELEASE);
    for (;;) {
        __asm__ volatile("cli; hlt" : : : "memory");
    }
}

static VOID KiFreezeOthers(PKPRCB prcb) {
    LONG others = 0;
    for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
        if (cpu != prcb->Number && KiPcr[cpu].Prcb.Running) {
            others++;
            lapic_nmi(KiPcr[cpu].Prcb.ApicId);
        }
    }
    for (ULONG spins = 0; spins < FREEZE_SPINS && __atomic_load_n(&KiFrozen, __ATOMIC_ACQUIRE) != others; spins++) {
        _mm_pause();
    }
}

static VOID KiTellAndEnd(VOID) __attribute__((noreturn));

static VOID KiTellAndEnd(VOID) {
    __atomic_store_n(&KiBugCheckData.Flag, KI_BUGCHECK_FLAG, __ATOMIC_RELEASE);
    if (KiReportBugCheck != NULL && KiBugCheckData.Again == 0) {
        KiReportBugCheck((ULONG)KiBugCheckData.Code);
    }
    __outbyte(PVPANIC_PORT, PVPANIC_PANICKED); /* pauses the machine where the harness asked for that */
    KiEndMachine(HostExitBugCheck);
}

/* Returns only to the first caller of all. */
static VOID KiClaimBugCheck(ULONG code, const KI_TRAP_FRAME *frame) {
    ULONG self = KiCurrentPrcb()->Number + 1;
    ULONG owner = 0;
    _disable();
    if (__atomic_compare_exchange_n(&KiBugCheckOwner, &owner, self, FALSE, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        return;
    }
    if (owner == self) {
        if (KiBugCheckData.Again == 0) {
            KiBugCheckData.Again = code;
            KiBugCheckData.AgainInstruction = frame->Rip;
        }
        KiTellAndEnd();
    }
    for (;;) { /* somebody else's bugcheck is under way: its NMI has come or will */
        __asm__ volatile("hlt" : : : "memory");
    }
}

VOID KiBugCheckCause(const KI_CAUSE *cause, KI_TRAP_FRAME *frame) {
    PKPRCB prcb = KiCurrentPrcb();
    KiClaimBugCheck(cause->Code, frame);
    KiBugCheckData.Code = cause->Code;
    RtlCopyMemory(KiBugCheckData.Parameter, cause->Parameter, sizeof cause->Parameter);
    KiBugCheckData.Processor = prcb->Number;
    KiBugCheckData.ProcessorCount = KiProcessorCount;
    KiBugCheckData.Access = cause->Access;
    KiBugCheckData.Address = cause->Address;
    KiBugCheckData.Text = cause->Text;
    KiSaveFrame(&KiBugCheckData.Cpu[prcb->Number], frame);
    KiFreezeOthers(prcb);
    KiCallBugCheckRoutines();
    KiTellAndEnd();
}

VOID KiBugCheckFrame(ULONG code, ULONG64 p1, ULONG64 p2, ULONG64 p3, ULONG64 p4, KI_TRAP_FRAME *frame) {
    KI_CAUSE cause = {.Code = code, .Parameter = {p1, p2, p3, p4}};
    KiBugCheckCause(&cause, frame);
}

VOID KiEndMachine(HOST_EXIT exit) {
    __outbyte(EXIT_PORT, (UCHAR)exit);
    for (;;) { /* no debug-exit device: at least this CPU is out of the way */
        __asm__ volatile("cli; hlt" : : : "memory");
    }
}

/* What KeBugCheckEx (ke/trap.S) leaves on the stack, right below its return address. */
typedef struct _KI_CALLER_REGISTERS {
    ULONG64 Rbx, Rbp, Rsi, Rdi, R12, R13, R14, R15, Rflags;
} KI_CALLER_REGISTERS;

VOID KiBugCheckCaller(ULONG code, ULONG64 p1, ULONG64 p2, ULONG64 p3, ULONG64 p4, const KI_CALLER_REGISTERS *saved)
    __attribute__((noreturn));

/* The record shows the CPU as it was when KeBugCheckEx was entered: that is the innermost frame, as in a debugger. */
VOID KiBugCheckCaller(ULONG code, ULONG64 p1, ULONG64 p2, ULONG64 p3, ULONG64 p4, const KI_CALLER_REGISTERS *saved) {
    KI_TRAP_FRAME frame;
    RtlZeroMemory(&frame, sizeof frame);
    frame.Rip = (ULONG64)KeBugCheckEx;
    frame.Rsp = (ULONG64)(saved + 1);
    frame.Rbx = saved->Rbx, frame.Rbp = saved->Rbp, frame.Rsi = saved->Rsi, frame.Rdi = saved->Rdi;
    frame.R12 = saved->R12, frame.R13 = saved->R13, frame.R14 = saved->R14, frame.R15 = saved->R15;
    frame.Rcx = code, frame.Rdx = p1, frame.R8 = p2, frame.R9 = p3;
    frame.Rflags = saved->Rflags;
    KiBugCheckFrame(code, p1, p2, p3, p4, &frame);
}
NT_EXPORT(KeBugCheckEx);

static VOID NTAPI KiExportedBugCheck(ULONG BugCheckCode) {
    KeBugCheckEx(BugCheckCode, 0, 0, 0, 0);
}
NT_EXPORT_AS(KiExportedBugCheck, KeBugCheck);
