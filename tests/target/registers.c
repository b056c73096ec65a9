/* SPDX-License-Identifier: Apache-2.0 */
/* A thread's registers are its own: XMM0 to XMM15, MXCSR and the general ones, however it lost its CPU. */
#include "threads.h"

#define THREADS    4
#define ROUNDS     25
#define FLAGS_MASK 0x3fu /* of MXCSR: an inexact sum of anybody's may set them */

typedef struct DECLSPEC_ALIGN(16) _REGISTERS {
    M128A Xmm[16];
    ULONG64 General[4]; /* RSI, RDI, R12, R13: the call keeps them; R14 and R15 are the code's own */
    ULONG MxCsr;
    ULONG Turns; /* of the loop, PAUSE in each */
} REGISTERS;
C_ASSERT(FIELD_OFFSET(REGISTERS, General) == 256 && FIELD_OFFSET(REGISTERS, MxCsr) == 288);

typedef VOID NTAPI STEP(VOID);

static KEVENT Events[THREADS];
static WORKER Workers[THREADS];
static HELD Helds[THREADS];
static volatile LONG Done[THREADS], Last, Switches;
static const ULONG MxCsrs[THREADS] = {0x1f80, 0x3f80, 0xdf80, 0xff80}; /* rounding, flush to zero */

#define VOLATILE_XMM "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5"
#define KEPT_XMM     "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

#define LOAD_KEPT                    \
    "ldmxcsr 288(%%r14)\n\t"         \
    "movaps 96(%%r14), %%xmm6\n\t"   \
    "movaps 112(%%r14), %%xmm7\n\t"  \
    "movaps 128(%%r14), %%xmm8\n\t"  \
    "movaps 144(%%r14), %%xmm9\n\t"  \
    "movaps 160(%%r14), %%xmm10\n\t" \
    "movaps 176(%%r14), %%xmm11\n\t" \
    "movaps 192(%%r14), %%xmm12\n\t" \
    "movaps 208(%%r14), %%xmm13\n\t" \
    "movaps 224(%%r14), %%xmm14\n\t" \
    "movaps 240(%%r14), %%xmm15\n\t" \
    "movq 256(%%r14), %%rsi\n\t"     \
    "movq 264(%%r14), %%rdi\n\t"     \
    "movq 272(%%r14), %%r12\n\t"     \
    "movq 280(%%r14), %%r13\n\t"

#define STORE_KEPT                   \
    "movaps %%xmm6, 96(%%r15)\n\t"   \
    "movaps %%xmm7, 112(%%r15)\n\t"  \
    "movaps %%xmm8, 128(%%r15)\n\t"  \
    "movaps %%xmm9, 144(%%r15)\n\t"  \
    "movaps %%xmm10, 160(%%r15)\n\t" \
    "movaps %%xmm11, 176(%%r15)\n\t" \
    "movaps %%xmm12, 192(%%r15)\n\t" \
    "movaps %%xmm13, 208(%%r15)\n\t" \
    "movaps %%xmm14, 224(%%r15)\n\t" \
    "movaps %%xmm15, 240(%%r15)\n\t" \
    "movq %%rsi, 256(%%r15)\n\t"     \
    "movq %%rdi, 264(%%r15)\n\t"     \
    "movq %%r12, 272(%%r15)\n\t"     \
    "movq %%r13, 280(%%r15)\n\t"     \
    "stmxcsr 288(%%r15)\n\t"

#define LOAD_VOLATILE              \
    "movaps 0(%%r14), %%xmm0\n\t"  \
    "movaps 16(%%r14), %%xmm1\n\t" \
    "movaps 32(%%r14), %%xmm2\n\t" \
    "movaps 48(%%r14), %%xmm3\n\t" \
    "movaps 64(%%r14), %%xmm4\n\t" \
    "movaps 80(%%r14), %%xmm5\n\t"

#define STORE_VOLATILE             \
    "movaps %%xmm0, 0(%%r15)\n\t"  \
    "movaps %%xmm1, 16(%%r15)\n\t" \
    "movaps %%xmm2, 32(%%r15)\n\t" \
    "movaps %%xmm3, 48(%%r15)\n\t" \
    "movaps %%xmm4, 64(%%r15)\n\t" \
    "movaps %%xmm5, 80(%%r15)\n\t"

/* A call that gives the CPU away: what a call keeps must be there after it. */
static VOID AcrossCall(const REGISTERS *Wanted, REGISTERS *Found, STEP *Step) {
    register const REGISTERS *wanted __asm__("r14") = Wanted;
    register REGISTERS *found __asm__("r15") = Found;
    register STEP *step __asm__("rax") = Step;
    ULONG saved;
    __asm__ volatile("stmxcsr %0" : "=m"(saved));
    __asm__ volatile(LOAD_KEPT "movq %%rsp, %%rbx\n\t"
                               "andq $-16, %%rsp\n\t"
                               "subq $32, %%rsp\n\t"
                               "call *%%rax\n\t"
                               "movq %%rbx, %%rsp\n\t" STORE_KEPT
                     : "+r"(step)
                     : "r"(wanted), "r"(found)
                     : "memory", "cc", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
                       VOLATILE_XMM, KEPT_XMM);
    __asm__ volatile("ldmxcsr %0" : : "m"(saved));
}

/* Between two instructions, wherever another thread takes the CPU: everything must be there after it. */
static VOID AcrossPreemption(const REGISTERS *Wanted, REGISTERS *Found) {
    register const REGISTERS *wanted __asm__("r14") = Wanted;
    register REGISTERS *found __asm__("r15") = Found;
    ULONG saved;
    __asm__ volatile("stmxcsr %0" : "=m"(saved));
    __asm__ volatile(LOAD_KEPT LOAD_VOLATILE "movl 292(%%r14), %%ecx\n\t"
                                             "1:\n\t"
                                             "pause\n\t"
                                             "decl %%ecx\n\t"
                                             "jnz 1b\n\t" STORE_VOLATILE STORE_KEPT
                     :
                     : "r"(wanted), "r"(found)
                     : "memory", "cc", "rcx", "rsi", "rdi", "r12", "r13", VOLATILE_XMM, KEPT_XMM);
    __asm__ volatile("ldmxcsr %0" : : "m"(saved));
}

static VOID Fill(REGISTERS *Registers, ULONG Who, ULONG Round) {
    for (ULONG i = 0; i < RTL_NUMBER_OF(Registers->Xmm); i++) {
        Registers->Xmm[i].Low = 0x0101010101010101ull * (Who + 1) + (ULONG64)i * 0x100000 + Round;
        Registers->Xmm[i].High = (LONGLONG)~Registers->Xmm[i].Low;
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(Registers->General); i++) {
        Registers->General[i] = 0xa5a5000000000000ull + (Who << 8) + i + ((ULONG64)Round << 16);
    }
    Registers->MxCsr = MxCsrs[Who];
    Registers->Turns = 400;
}

static VOID Compare(const REGISTERS *Wanted, const REGISTERS *Found, ULONG FirstXmm) {
    for (ULONG i = FirstXmm; i < RTL_NUMBER_OF(Wanted->Xmm); i++) {
        ASSERT_EQ(Found->Xmm[i].Low, Wanted->Xmm[i].Low);
        ASSERT_EQ(Found->Xmm[i].High, Wanted->Xmm[i].High);
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(Wanted->General); i++) {
        ASSERT_EQ(Found->General[i], Wanted->General[i]);
    }
    ASSERT_EQ(Found->MxCsr & ~FLAGS_MASK, Wanted->MxCsr);
}

/* Each waits for its event and sets the next one's: a ring. */
static VOID NTAPI PassOn(VOID) {
    for (ULONG i = 0; i < THREADS; i++) {
        if (KeGetCurrentThread() == Workers[i].Thread) {
            KeSetEvent(&Events[(i + 1) % THREADS], 0, FALSE);
            KeWaitForSingleObject(&Events[i], Executive, KernelMode, FALSE, NULL);
        }
    }
}

static VOID NTAPI KeepAcrossCalls(PVOID Context) {
    static REGISTERS wanted[THREADS], found[THREADS];
    ULONG me = (ULONG)(ULONG_PTR)Context;
    ASSERT_EQ(WaitFor(&Events[me]), STATUS_SUCCESS);
    for (ULONG round = 0; round < ROUNDS; round++) {
        Fill(&wanted[me], me, round);
        AcrossCall(&wanted[me], &found[me], PassOn);
        Compare(&wanted[me], &found[me], 6);
    }
    Done[me] = TRUE;
    KeSetEvent(&Events[(me + 1) % THREADS], 0, FALSE);
}

static VOID RunRing(BOOLEAN Spread) {
    for (ULONG i = 0; i < THREADS; i++) {
        Done[i] = FALSE;
        KeInitializeEvent(&Events[i], SynchronizationEvent, FALSE);
    }
    for (ULONG i = 0; i < THREADS; i++) {
        StartWorker(&Workers[i], KeepAcrossCalls, (PVOID)(ULONG_PTR)i, ABOVE, ON(Spread ? CPU_OF(i) : 0));
    }
    KeSetEvent(&Events[0], 0, FALSE);
    for (ULONG i = 0; i < THREADS; i++) {
        EndWorker(&Workers[i]);
        ASSERT_TRUE(Done[i]);
    }
}

TARGET_CASE("THR-1", kept_across_waits, "") {
    RunRing(FALSE);
    RunRing(TRUE);
}

static VOID NTAPI KeepAcrossTurns(PVOID Context) {
    static REGISTERS wanted[THREADS], found[THREADS];
    ULONG me = (ULONG)(ULONG_PTR)Context;
    for (ULONG round = 0; Switches < 3 * THREADS; round++) {
        if (Last != (LONG)me) {
            Last = (LONG)me;
            Switches++;
        }
        Fill(&wanted[me], me, round);
        AcrossPreemption(&wanted[me], &found[me]);
        Compare(&wanted[me], &found[me], 0);
    }
}

/* Taken from it in the midst of anything: the end of its quantum. */
TARGET_CASE("THR-1", kept_across_the_end_of_a_quantum, FAST_TICKS) {
    for (ULONG cpu = 0; cpu < TargetCpus() && cpu < 2; cpu++) {
        Switches = 0;
        Last = -1;
        CloseGate();
        for (ULONG i = 0; i < THREADS; i++) {
            StartHeld(&Helds[i], KeepAcrossTurns, (PVOID)(ULONG_PTR)i, BELOW, cpu);
        }
        OpenGate();
        for (ULONG i = 0; i < THREADS; i++) {
            EndHeld(&Helds[i]);
        }
    }
}

static volatile LONG Stop;

/* Overwrites everything each time that it is let go. */
static VOID NTAPI Overwrite(PVOID Context) {
    static REGISTERS wanted, found;
    UNREFERENCED_PARAMETER(Context);
    for (ULONG round = 0; !Stop; round++) {
        ASSERT_EQ(WaitFor(&Events[0]), STATUS_SUCCESS);
        Fill(&wanted, 3, round);
        wanted.Turns = 1;
        AcrossPreemption(&wanted, &found);
        Compare(&wanted, &found, 0);
        InterlockedIncrement(&Switches);
    }
}

static VOID NTAPI SetAlways(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    while (!Stop) {
        LONG seen = Switches;
        KeSetEvent(&Events[0], 0, FALSE);
        WAIT_UNTIL(Switches != seen || Stop);
    }
    KeSetEvent(&Events[0], 0, FALSE);
}

/* Taken from it in the midst of anything: a thread of higher priority that another CPU lets go. */
TARGET_CASE("THR-1 IRQL-9", kept_across_preemption, "smp=2 " NO_TICKS) {
    static REGISTERS wanted, found;
    Stop = FALSE;
    Switches = 0;
    KeInitializeEvent(&Events[0], SynchronizationEvent, FALSE);
    StartWorker(&Workers[0], Overwrite, NULL, ABOVE, ON(0));
    StartWorker(&Workers[1], SetAlways, NULL, CASE_PRIORITY, ON(1));
    for (ULONG round = 0; Switches < 50; round++) {
        Fill(&wanted, round % 3, round);
        AcrossPreemption(&wanted, &found);
        Compare(&wanted, &found, 0);
    }
    Stop = TRUE;
    EndWorker(&Workers[1]);
    KeSetEvent(&Events[0], 0, FALSE);
    EndWorker(&Workers[0]);
}

/* A new thread begins with MXCSR as the convention has it, whatever its maker's is. */
static VOID NTAPI NoteMxCsr(PVOID Context) {
    ULONG now;
    __asm__ volatile("stmxcsr %0" : "=m"(now));
    *(volatile ULONG *)Context = now;
}

TARGET_CASE("THR-1", a_new_thread_begins_with_the_usual_rounding, "") {
    static volatile ULONG seen;
    ULONG mine = 0xff80, saved;
    __asm__ volatile("stmxcsr %0\n\tldmxcsr %1" : "=m"(saved) : "m"(mine));
    StartWorker(&Workers[0], NoteMxCsr, (PVOID)&seen, ABOVE, ON(0));
    EndWorker(&Workers[0]);
    __asm__ volatile("stmxcsr %0\n\tldmxcsr %1" : "=m"(mine) : "m"(saved));
    ASSERT_EQ(seen & ~FLAGS_MASK, 0x1f80);
    ASSERT_EQ(mine & ~FLAGS_MASK, 0xff80);
}

TARGET_DRIVER
