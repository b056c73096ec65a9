/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exceptions that a driver handles: what a filter sees, what runs while frames are left, which registers are whole afterwards, at
 * every IRQL; and what no handler is asked about. The regions are hand-made tables, as a compiler with __try makes them.
 */
#include <seh.h>

#include <dirqltest.h>

#define NOWHERE 0x7f0000001000ull

static volatile NTSTATUS Code;
static volatile ULONG64 Information[2];
static PVOID volatile Address;
static volatile ULONG Result, Zero, Steps;
static volatile ULONG Order[8]; /* which handlers ran, in order */
static volatile ULONG Runs;
static volatile LONG Answer; /* of the filter */
static ULONG *volatile Null = (ULONG *)8;
static ULONG *volatile Nowhere = (ULONG *)NOWHERE;
static KDPC Dpc;
static KMUTEX Mutex;
static KSEMAPHORE Semaphore;

typedef VOID TROUBLE(VOID);

static DECLSPEC_NOINLINE VOID Ran(ULONG handler) {
    Order[Runs++ % RTL_NUMBER_OF(Order)] = handler;
}

static __attribute__((used)) LONG Take(PEXCEPTION_POINTERS Pointers, PVOID Frame) {
    UNREFERENCED_PARAMETER(Frame);
    Code = Pointers->ExceptionRecord->ExceptionCode;
    Address = Pointers->ExceptionRecord->ExceptionAddress;
    Information[0] = Pointers->ExceptionRecord->ExceptionInformation[0];
    Information[1] = Pointers->ExceptionRecord->ExceptionInformation[1];
    return EXCEPTION_EXECUTE_HANDLER;
}

static __attribute__((used)) LONG AsTold(PEXCEPTION_POINTERS Pointers, PVOID Frame) {
    UNREFERENCED_PARAMETER(Frame);
    Ran(1);
    return Pointers->ExceptionRecord->ExceptionCode == STATUS_NONCONTINUABLE_EXCEPTION ? EXCEPTION_CONTINUE_SEARCH
                                                                                       : Answer;
}

/* TRUE: the trouble was an exception. */
static DECLSPEC_NOINLINE __attribute__((noclone)) BOOLEAN Guarded(TROUBLE *trouble) {
    volatile BOOLEAN handled = TRUE;
    SEH_HANDLERS(1, SEH_EXCEPT(Guarded, Take));
    Code = 0;
    SEH_BEGIN(Guarded);
    trouble();
    handled = FALSE;
    SEH_END(Guarded);
    return handled;
}

static DECLSPEC_NOINLINE VOID ReadNull(VOID) {
    Result = *(volatile ULONG *)Null;
}

static DECLSPEC_NOINLINE VOID WriteNowhere(VOID) {
    *(volatile ULONG *)Nowhere = 1;
}

static DECLSPEC_NOINLINE VOID CallNowhere(VOID) {
    ((VOID(NTAPI *)(VOID))(ULONG_PTR)Nowhere)();
    Result = 1;
}

static DECLSPEC_NOINLINE VOID Divide(VOID) {
    Result = 1000 / Zero;
}

static DECLSPEC_NOINLINE VOID Undefined(VOID) {
    __asm__ volatile("ud2");
}

static DECLSPEC_NOINLINE VOID Breakpoint(VOID) {
    __asm__ volatile("int3");
}

static DECLSPEC_NOINLINE VOID NotCanonical(VOID) {
    Result = *(volatile ULONG *)0x8000000000000000ull;
}

static DECLSPEC_NOINLINE VOID Assertion(VOID) {
    __asm__ volatile("int $0x2c");
}

TARGET_CASE("SEH-1", each_exception_finds_its_handler, "") {
    static const struct {
        TROUBLE *Trouble;
        NTSTATUS Code;
    } troubles[] = {
        {ReadNull, STATUS_ACCESS_VIOLATION},     {WriteNowhere, STATUS_ACCESS_VIOLATION},
        {CallNowhere, STATUS_ACCESS_VIOLATION},  {Divide, STATUS_INTEGER_DIVIDE_BY_ZERO},
        {Undefined, STATUS_ILLEGAL_INSTRUCTION}, {Breakpoint, STATUS_BREAKPOINT},
        {NotCanonical, STATUS_ACCESS_VIOLATION}, {Assertion, STATUS_ASSERTION_FAILURE},
    };
    for (ULONG i = 0; i < RTL_NUMBER_OF(troubles); i++) {
        ASSERT_TRUE(Guarded(troubles[i].Trouble));
        ASSERT_EQ(Code, troubles[i].Code);
    }
    ASSERT_TRUE(Guarded(WriteNowhere));
    ASSERT_EQ(Information[0], 1);
    ASSERT_EQ(Information[1], NOWHERE);
    ASSERT_TRUE(Guarded(CallNowhere));
    ASSERT_EQ(Information[0], 8);
    ASSERT_EQ((ULONG64)Address, NOWHERE);
    ASSERT_TRUE(Guarded(NotCanonical));
    ASSERT_EQ(Information[1], ~0ull);
}

static VOID Quiet(VOID) {
    Result = 5;
}

TARGET_CASE("SEH-1", without_an_exception_no_handler_runs, "") {
    ASSERT_TRUE(!Guarded(Quiet));
    ASSERT_EQ(Code, 0);
    ASSERT_EQ(Result, 5);
}

static TROUBLE *volatile Deeper; /* called where the compiler is not to know what it is */

/* The filter lets the inner region pass and takes the outer one. */
static __attribute__((used)) LONG Pass(PEXCEPTION_POINTERS Pointers, PVOID Frame) {
    UNREFERENCED_PARAMETER(Pointers);
    UNREFERENCED_PARAMETER(Frame);
    Ran(2);
    return EXCEPTION_CONTINUE_SEARCH;
}

static __attribute__((used)) VOID Finally(BOOLEAN Abnormal, PVOID Frame) {
    UNREFERENCED_PARAMETER(Frame);
    Ran(Abnormal ? 3 : 4);
}

static DECLSPEC_NOINLINE __attribute__((noclone)) VOID InnerRegion(TROUBLE *trouble) {
    SEH_HANDLERS(2, SEH_EXCEPT(InnerPass, Pass) SEH_FINALLY(InnerFinally, Finally));
    SEH_BEGIN(InnerFinally);
    SEH_BEGIN(InnerPass);
    trouble();
    SEH_END(InnerPass);
    SEH_END(InnerFinally);
    Ran(9); /* nobody comes here after an exception */
}

static VOID InnerDivide(VOID) {
    InnerRegion(Divide);
}

static VOID InnerRaise(VOID) {
    ExRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
}

static VOID InnerOfKernel(VOID) {
    InnerRegion(InnerRaise);
}

TARGET_CASE("SEH-3", termination_handlers_run_after_the_filters, "") {
    Runs = 0;
    ASSERT_TRUE(Guarded(InnerDivide));
    ASSERT_EQ(Runs, 2);
    ASSERT_EQ(Order[0], 2);
    ASSERT_EQ(Order[1], 3);
    Runs = 0;
    ASSERT_TRUE(Guarded(InnerOfKernel));
    ASSERT_EQ(Code, STATUS_INSUFFICIENT_RESOURCES);
    ASSERT_EQ(Runs, 2);
    ASSERT_EQ(Order[1], 3);
}

/* Routines of the kernel that raise, and faults inside of others: each leaves for the caller's handler. */
static VOID ReleaseMutex(VOID) {
    KeReleaseMutex(&Mutex, FALSE);
}

static VOID ReleaseSemaphore(VOID) {
    KeReleaseSemaphore(&Semaphore, IO_NO_INCREMENT, 1, FALSE);
}

static VOID AllocateTooMuch(VOID) {
    Result = ExAllocatePoolWithQuotaTag(NonPagedPool, 1ull << 40, 'hesT') != NULL;
}

static VOID CopyFromNowhere(VOID) {
    UCHAR bytes[64];
    RtlMoveMemory(bytes, (const VOID *)NOWHERE, sizeof bytes);
    Result = bytes[5];
}

static VOID CopyToNowhere(VOID) {
    static UCHAR bytes[64];
    RtlCopyMemory(Nowhere, bytes, sizeof bytes);
}

static VOID Probe(VOID) {
    ProbeForRead(&Mutex, sizeof Mutex, 1);
}

static VOID ProbeMisaligned(VOID) {
    ProbeForRead((PVOID)0x1001, 8, 4);
}

static VOID ProbeAndWrite(VOID) {
    ProbeForWrite((PVOID)0x10000, 8, 4);
}

static VOID RaiseAccess(VOID) {
    ExRaiseAccessViolation();
}

static VOID RaiseMisaligned(VOID) {
    ExRaiseDatatypeMisalignment();
}

/* Registers that a routine gives back as they were: set before the region, whole behind it. */
static DECLSPEC_NOINLINE __attribute__((noclone)) BOOLEAN KeepsRegisters(TROUBLE *trouble) {
    volatile ULONG64 seen[8] = {0};
    volatile ULONG64 vector[2] = {0};
    Ran(8); /* whoever calls another has room for its arguments, and an aligned stack */
    SEH_HANDLERS(1, SEH_EXCEPT(Registers, Take));
    SEH_BEGIN(Registers);
    __asm__ volatile("movabs $0x1111111111111111, %%rbx\n\t"
                     "movabs $0x2222222222222222, %%rsi\n\t"
                     "movabs $0x3333333333333333, %%rdi\n\t"
                     "movabs $0x4444444444444444, %%r12\n\t"
                     "movabs $0x5555555555555555, %%r13\n\t"
                     "movabs $0x6666666666666666, %%r14\n\t"
                     "movabs $0x7777777777777777, %%r15\n\t"
                     "movq %%rbx, %%xmm6\n\t"
                     "movq %%r15, %%xmm15\n\t"
                     "call *%%rax"
                     :
                     : "a"(trouble)
                     : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0",
                       "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm15", "memory");
    __asm__ volatile("nop\n.Lseh_Registers_end:\n\tnop\n\t"
                     "movq %%rbx, %0\n\tmovq %%rsi, %1\n\tmovq %%rdi, %2\n\tmovq %%r12, %3\n\t"
                     "movq %%r13, %4\n\tmovq %%r14, %5\n\tmovq %%r15, %6\n\tmovq %%xmm6, %7\n\tmovq %%xmm15, %8"
                     : "=m"(seen[0]), "=m"(seen[1]), "=m"(seen[2]), "=m"(seen[3]), "=m"(seen[4]), "=m"(seen[5]),
                       "=m"(seen[6]), "=m"(vector[0]), "=m"(vector[1])
                     :
                     : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
                       "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm15", "memory");
    for (ULONG i = 0; i < 7; i++) {
        if (seen[i] != (i + 1) * 0x1111111111111111ull) {
            return FALSE;
        }
    }
    return vector[0] == seen[0] && vector[1] == seen[6];
}

/* A driver's routine that uses and saves what it has to give back, on the way to the trouble. */
static DECLSPEC_NOINLINE __attribute__((noclone)) VOID UsesRegisters(VOID) {
    __asm__ volatile("xorl %%ebx, %%ebx\n\txorl %%esi, %%esi\n\txorl %%edi, %%edi\n\txorl %%r12d, %%r12d\n\t"
                     "xorl %%r13d, %%r13d\n\txorl %%r14d, %%r14d\n\txorl %%r15d, %%r15d\n\t"
                     "pxor %%xmm6, %%xmm6\n\tpxor %%xmm15, %%xmm15"
                     :
                     :
                     : "rbx", "rsi", "rdi", "r12", "r13", "r14", "r15", "xmm6", "xmm15");
    Deeper();
    Steps++;
}

TARGET_CASE("SEH-2 SEH-6", what_the_kernel_raises_leaves_the_registers_whole, "") {
    static const struct {
        TROUBLE *Trouble;
        NTSTATUS Code;
    } troubles[] = {
        {InnerRaise, STATUS_INSUFFICIENT_RESOURCES},
        {ReleaseMutex, STATUS_MUTANT_NOT_OWNED},
        {ReleaseSemaphore, STATUS_SEMAPHORE_LIMIT_EXCEEDED},
        {AllocateTooMuch, STATUS_INSUFFICIENT_RESOURCES},
        {CopyFromNowhere, STATUS_ACCESS_VIOLATION},
        {CopyToNowhere, STATUS_ACCESS_VIOLATION},
        {Probe, STATUS_ACCESS_VIOLATION},
        {ProbeMisaligned, STATUS_DATATYPE_MISALIGNMENT},
        {ProbeAndWrite, STATUS_ACCESS_VIOLATION},
        {RaiseAccess, STATUS_ACCESS_VIOLATION},
        {RaiseMisaligned, STATUS_DATATYPE_MISALIGNMENT},
        {ReadNull, STATUS_ACCESS_VIOLATION},
        {Divide, STATUS_INTEGER_DIVIDE_BY_ZERO},
    };
    KeInitializeMutex(&Mutex, 0);
    KeInitializeSemaphore(&Semaphore, 1, 1);
    for (ULONG i = 0; i < RTL_NUMBER_OF(troubles); i++) {
        Code = 0;
        ASSERT_TRUE(KeepsRegisters(troubles[i].Trouble));
        ASSERT_EQ(Code, troubles[i].Code);
        Code = 0;
        Steps = 0;
        Deeper = troubles[i].Trouble;
        ASSERT_TRUE(KeepsRegisters(UsesRegisters));
        ASSERT_EQ(Code, troubles[i].Code);
        ASSERT_EQ(Steps, 0);
    }
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ASSERT_EQ(KeReadStateSemaphore(&Semaphore), 1);
}

/* The filter repairs what was wrong; the instruction is tried again. */
static __attribute__((used)) LONG Repair(PEXCEPTION_POINTERS Pointers, PVOID Frame) {
    UNREFERENCED_PARAMETER(Frame);
    Pointers->ContextRecord->Rcx = 4;
    Steps++;
    return EXCEPTION_CONTINUE_EXECUTION;
}

static DECLSPEC_NOINLINE __attribute__((noclone)) ULONG DivideAgain(VOID) {
    ULONG quotient = 100, rest = 0;
    SEH_HANDLERS(1, SEH_EXCEPT(Again, Repair));
    SEH_BEGIN(Again);
    __asm__ volatile("xorl %%ecx, %%ecx\n\tdivl %%ecx" : "+a"(quotient), "+d"(rest) : : "rcx");
    __asm__ volatile("nop\n.Lseh_Again_end:\n\tnop" : "+a"(quotient));
    return quotient;
}

static DECLSPEC_NOINLINE __attribute__((noclone)) ULONG RaiseAndGoOn(VOID) {
    EXCEPTION_RECORD record = {.ExceptionCode = STATUS_TIMEOUT};
    volatile ULONG after = 0;
    SEH_HANDLERS(1, SEH_EXCEPT(GoOn, Repair));
    SEH_BEGIN(GoOn);
    RtlRaiseException(&record);
    after = 7;
    SEH_END(GoOn);
    return after;
}

TARGET_CASE("SEH-4", a_filter_has_the_instruction_tried_again, "") {
    Steps = 0;
    ASSERT_EQ(DivideAgain(), 25);
    ASSERT_EQ(RaiseAndGoOn(), 7);
    ASSERT_EQ(Steps, 2);
}

static DECLSPEC_NOINLINE __attribute__((noclone)) VOID RaiseAsTold(VOID) {
    SEH_HANDLERS(1, SEH_EXCEPT(Told, AsTold));
    SEH_BEGIN(Told);
    Deeper();
    SEH_END(Told);
    Steps++;
}

TARGET_CASE("SEH-4", what_cannot_continue_is_another_exception, "") {
    Answer = EXCEPTION_CONTINUE_EXECUTION;
    Deeper = InnerRaise;
    Steps = Runs = 0;
    ASSERT_TRUE(Guarded(RaiseAsTold));
    ASSERT_EQ(Code, STATUS_NONCONTINUABLE_EXCEPTION);
    ASSERT_EQ(Runs, 1 + 1); /* the filter was asked about that one too */
    ASSERT_EQ(Steps, 0);
}

/* A filter that faults itself, and handles that. */
static __attribute__((used)) LONG FaultsItself(PEXCEPTION_POINTERS Pointers, PVOID Frame) {
    NTSTATUS outer = Pointers->ExceptionRecord->ExceptionCode;
    UNREFERENCED_PARAMETER(Frame);
    ASSERT_TRUE(Guarded(Divide));
    ASSERT_EQ(Code, STATUS_INTEGER_DIVIDE_BY_ZERO);
    ASSERT_EQ(Pointers->ExceptionRecord->ExceptionCode, outer);
    Code = outer;
    Ran(5);
    return EXCEPTION_EXECUTE_HANDLER;
}

static DECLSPEC_NOINLINE __attribute__((noclone)) VOID NestedInFilter(VOID) {
    SEH_HANDLERS(1, SEH_EXCEPT(Nested, FaultsItself));
    SEH_BEGIN(Nested);
    ReadNull();
    SEH_END(Nested);
    Ran(6);
}

TARGET_CASE("SEH-5", a_filter_may_fault_itself, "") {
    Runs = 0;
    NestedInFilter();
    ASSERT_EQ(Runs, 2);
    ASSERT_EQ(Order[0], 5);
    ASSERT_EQ(Order[1], 6);
    ASSERT_EQ(Code, STATUS_ACCESS_VIOLATION);
}

/* A termination handler that raises another exception: whoever handles that one, no termination handler runs twice. */
static __attribute__((used)) VOID FinallyRaises(BOOLEAN Abnormal, PVOID Frame) {
    UNREFERENCED_PARAMETER(Frame);
    Ran(Abnormal ? 7 : 4);
    ExRaiseStatus(STATUS_UNSUCCESSFUL);
}

static DECLSPEC_NOINLINE __attribute__((noclone)) VOID Colliding(VOID) {
    SEH_HANDLERS(2, SEH_FINALLY(CollidesInside, FinallyRaises) SEH_FINALLY(CollidesOutside, Finally));
    SEH_BEGIN(CollidesOutside);
    SEH_BEGIN(CollidesInside);
    Divide();
    SEH_END(CollidesInside);
    SEH_END(CollidesOutside);
    Ran(9);
}

TARGET_CASE("SEH-5", a_termination_handler_raises_another, "") {
    Runs = 0;
    ASSERT_TRUE(Guarded(Colliding));
    ASSERT_EQ(Code, STATUS_UNSUCCESSFUL);
    ASSERT_EQ(Runs, 2);
    ASSERT_EQ(Order[0], 7);
    ASSERT_EQ(Order[1], 3);
}

/* An exception at DISPATCH_LEVEL and above is its own routine's to handle; the IRQL stays. */
static VOID NTAPI DpcDivides(PKDPC Object, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(Object);
    UNREFERENCED_PARAMETER(DeferredContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    ASSERT_TRUE(Guarded(Divide));
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    Result = 11;
}

TARGET_CASE("SEH-7", a_dpc_handles_its_exception, "") {
    Result = 0;
    KeInitializeDpc(&Dpc, DpcDivides, NULL);
    KeSetImportanceDpc(&Dpc, HighImportance);
    KeSetTargetProcessorDpc(&Dpc, (CCHAR)(TargetCpus() - 1));
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    WAIT_UNTIL(Result == 11);
    ASSERT_EQ(Code, STATUS_INTEGER_DIVIDE_BY_ZERO);
}

TARGET_CASE("SEH-7", at_dirql_too, "") {
    KIRQL old;
    KeRaiseIrql(9, &old);
    ASSERT_TRUE(Guarded(Divide));
    ASSERT_EQ(KeGetCurrentIrql(), 9);
    KeLowerIrql(old);
}

static VOID NTAPI DpcOfCase(PKDPC Object, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(Object);
    UNREFERENCED_PARAMETER(DeferredContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    Divide();
}

static VOID WaitsForDpc(VOID) {
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    KeLowerIrql(old); /* the DPC interrupts here */
}

/* The handler of what a DPC has interrupted has nothing to do with the DPC. */
TARGET_CASE("SEH-7 SEH-8", an_interrupt_is_not_the_interrupted_ones,
            "cpus=1 bugcheck=0x1e/0xffffffffc0000094/*/0/0 named=Divide") {
    KeInitializeDpc(&Dpc, DpcOfCase, NULL);
    Guarded(WaitsForDpc);
}

static VOID ReadNullAtDispatch(VOID) {
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    ReadNull();
}

TARGET_CASE("SEH-8", a_page_fault_at_dispatch_level_is_fatal, "cpus=2 bugcheck=0xd1/8/2/0 named=ReadNull") {
    Guarded(ReadNullAtDispatch);
}

static VOID ReadSystemAddress(VOID) {
    Result = *(volatile ULONG *)0xfffff00000001000ull;
}

TARGET_CASE("SEH-8", an_address_of_the_system_is_fatal,
            "cpus=2 bugcheck=0x50/0xfffff00000001000/0 named=ReadSystemAddress") {
    Guarded(ReadSystemAddress);
}

TARGET_CASE("SEH-8", nobody_takes_it,
            "cpus=2 bugcheck=0x1e/0xffffffffc000009a/*/0/0 named=STATUS_INSUFFICIENT_RESOURCES") {
    Answer = EXCEPTION_CONTINUE_SEARCH;
    Deeper = InnerRaise;
    RaiseAsTold();
}

TARGET_CASE("0x139", a_driver_finds_itself_damaged, "cpus=2 bugcheck=0x139/2 named=damaged") {
    __asm__ volatile("int $0x29" : : "c"(2)); /* FAST_FAIL_STACK_COOKIE_CHECK_FAILURE */
}

static VOID Unwinding(VOID) {
    PVOID frame = NULL;
    ULONG64 base;
    PVOID header;
    PRUNTIME_FUNCTION entry = RtlLookupFunctionEntry((ULONG64)(ULONG_PTR)Guarded, &base, NULL);
    ASSERT_TRUE(entry != NULL);
    ASSERT_EQ((ULONG64)RtlPcToFileHeader((PVOID)(ULONG_PTR)Guarded, &header), base);
    ASSERT_EQ((ULONG64)header, base);
    ASSERT_EQ(base + entry->BeginAddress, (ULONG64)(ULONG_PTR)Guarded);

    /* One frame up by hand: this routine's caller. */
    CONTEXT context;
    RtlCaptureContext(&context);
    ULONG64 establisher;
    entry = RtlLookupFunctionEntry(context.Rip, &base, NULL);
    ASSERT_TRUE(entry != NULL);
    RtlVirtualUnwind(UNW_FLAG_NHANDLER, base, context.Rip, entry, &context, &frame, &establisher, NULL);
    ASSERT_EQ(context.Rip, (ULONG64)__builtin_return_address(0));
    ASSERT_TRUE(context.Rsp > establisher);
}

TARGET_CASE("SEH-6", tables_lead_to_the_caller, "") {
    ASSERT_TRUE(!Guarded(Unwinding));
}

TARGET_DRIVER
