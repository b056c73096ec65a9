/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault.sys: does one wrong thing each time a device is started on it. The host chooses what, where and at which IRQL in
 * FaultOrder; AddDevice does it, or a DPC on another CPU. AddDevice always refuses the device, so that it can be asked again.
 */
#include <ntddk.h>

typedef enum _FAULT_KIND {
    FaultNothing = 0,
    FaultKindReadNull = 1,
    FaultKindWriteText = 2,
    FaultKindExecuteData = 3,
    FaultKindDivide = 4,
    FaultKindUndefined = 5,
    FaultKindNotCanonical = 6,
    FaultKindOverflow = 7,
    FaultKindBugCheck = 8, /* 0xE2 with parameters CPU, 2, 3, 4 */
    FaultKindTriple = 9,
    FaultKindCallNull = 10,
    FaultKindBreakpoint = 11,
    FaultKindRaiseStatus = 12, /* STATUS_INSUFFICIENT_RESOURCES */
    FaultKindRaiseAccess = 13,
    FaultKindRaiseMisaligned = 14,
    FaultKindSimd = 15,
    FaultKindStep = 16,
    FaultKindWriteNull = 17,
} FAULT_KIND;

typedef enum _FAULT_OTHERS {
    FaultOthersFree = 0,     /* the other CPUs are left alone */
    FaultOthersSpin = 1,     /* they spin at HIGH_LEVEL */
    FaultOthersDisabled = 2, /* the same with interrupts disabled */
    FaultOthersToo = 3,      /* they all do the wrong thing at the same moment */
} FAULT_OTHERS;

typedef struct _FAULT_ORDER {
    ULONG Kind;   /* FAULT_KIND */
    ULONG Cpu;    /* 0: AddDevice itself, at the IRQL below; else a DPC on that CPU */
    ULONG Irql;   /* to raise to first; 0: stay */
    ULONG Others; /* FAULT_OTHERS */
} FAULT_ORDER;

#define FAULT_MAXIMUM_CPUS 64
#define FAULT_DEPTH        1000000 /* of the recursion: more than any stack here holds */

DRIVER_INITIALIZE DriverEntry;

volatile FAULT_ORDER FaultOrder;
static KDPC FaultDpcs[FAULT_MAXIMUM_CPUS];
static volatile LONG FaultReady;              /* CPUs that are where they should be */
static volatile ULONG FaultZero;              /* never anything else */
static volatile ULONG FaultResult;            /* so that nothing is optimised away */
static volatile UCHAR FaultData[16] = {0xc3}; /* RET, were it executable */
static ULONG *volatile FaultNull = (ULONG *)8;
static ULONG *volatile FaultNotCanonical = (ULONG *)0x8000000000000000ull;

static DECLSPEC_NOINLINE VOID FaultReadNull(VOID) {
    FaultResult = *FaultNull; /* here: read null */
}

static DECLSPEC_NOINLINE VOID FaultWriteText(VOID) {
    *(volatile UCHAR *)(ULONG_PTR)FaultReadNull = 0x90; /* here: write text */
}

static DECLSPEC_NOINLINE VOID FaultExecuteData(VOID) {
    ((VOID(NTAPI *)(VOID))(ULONG_PTR)FaultData)(); /* here: execute data */
    FaultResult = 1;
}

static DECLSPEC_NOINLINE VOID FaultCallNull(VOID) {
    ((VOID(NTAPI *)(VOID))(ULONG_PTR)FaultZero)(); /* here: call null */
    FaultResult = 1;
}

static DECLSPEC_NOINLINE VOID FaultDivide(VOID) {
    FaultResult = 1000 / FaultZero; /* here: divide */
}

static DECLSPEC_NOINLINE VOID FaultUndefined(VOID) {
    __asm__ volatile("ud2"); /* here: undefined */
}

static DECLSPEC_NOINLINE VOID FaultReadNotCanonical(VOID) {
    FaultResult = *FaultNotCanonical; /* here: not canonical */
}

/* NOLINTNEXTLINE(misc-no-recursion): that is the fault */
static DECLSPEC_NOINLINE ULONG FaultOverflow(ULONG depth) {
    volatile ULONG local[64];
    local[depth % 64] = depth;
    if (depth == FAULT_DEPTH) {
        return 0;
    }
    return FaultOverflow(depth + 1) + local[depth % 64];
}

static DECLSPEC_NOINLINE VOID FaultBugCheck(VOID) {
    KeBugCheckEx(MANUALLY_INITIATED_CRASH, KeGetCurrentProcessorNumber(), 2, 3, 4); /* here: bugcheck */
}

/* No vector has a handler any more: the undefined instruction cannot be delivered, nor can the double fault. */
static DECLSPEC_NOINLINE VOID FaultTriple(VOID) {
    struct __attribute__((packed)) {
        USHORT Limit;
        ULONG64 Base;
    } nothing = {0, 0};
    __asm__ volatile("lidt %0\n\tud2" : : "m"(nothing)); /* here: triple */
}

static DECLSPEC_NOINLINE VOID FaultBreakpoint(VOID) {
    __asm__ volatile("int3"); /* here: breakpoint */
}

static DECLSPEC_NOINLINE VOID FaultRaiseStatus(VOID) {
    ExRaiseStatus(STATUS_INSUFFICIENT_RESOURCES); /* here: raise status */
}

static DECLSPEC_NOINLINE VOID FaultRaiseAccess(VOID) {
    ExRaiseAccessViolation(); /* here: raise access */
}

static DECLSPEC_NOINLINE VOID FaultRaiseMisaligned(VOID) {
    ExRaiseDatatypeMisalignment(); /* here: raise misaligned */
}

/* QEMU's TCG raises no SIMD exception by itself: MXCSR is as if it had, and its vector is called. */
static DECLSPEC_NOINLINE VOID FaultSimd(VOID) {
    const ULONG raised = (0x1f80 & ~0x200u) | 0x4u; /* a division by zero, not masked */
    __asm__ volatile("ldmxcsr %0" : : "m"(raised));
    __asm__ volatile("int $19\n\tnop"); /* here: simd */
}

static DECLSPEC_NOINLINE VOID FaultStep(VOID) {
    __asm__ volatile("pushfq\n\torq $0x100, (%rsp)\n\tpopfq\n\tnop\n\tnop"); /* here: step */
}

static DECLSPEC_NOINLINE VOID FaultWriteNull(VOID) {
    *FaultNull = 1; /* here: write null */
}

static DECLSPEC_NOINLINE VOID FaultSpin(VOID) {
    InterlockedIncrement(&FaultReady);
    for (;;) {
        __asm__ volatile("pause");
    }
}

static VOID FaultDo(VOID) {
    switch (FaultOrder.Kind) {
    case FaultKindReadNull:
        FaultReadNull();
        break;
    case FaultKindWriteText:
        FaultWriteText();
        break;
    case FaultKindExecuteData:
        FaultExecuteData();
        break;
    case FaultKindDivide:
        FaultDivide();
        break;
    case FaultKindUndefined:
        FaultUndefined();
        break;
    case FaultKindNotCanonical:
        FaultReadNotCanonical();
        break;
    case FaultKindOverflow:
        FaultResult = FaultOverflow(0);
        break;
    case FaultKindBugCheck:
        FaultBugCheck();
        break;
    case FaultKindCallNull:
        FaultCallNull();
        break;
    case FaultKindBreakpoint:
        FaultBreakpoint();
        break;
    case FaultKindRaiseStatus:
        FaultRaiseStatus();
        break;
    case FaultKindRaiseAccess:
        FaultRaiseAccess();
        break;
    case FaultKindRaiseMisaligned:
        FaultRaiseMisaligned();
        break;
    case FaultKindSimd:
        FaultSimd();
        break;
    case FaultKindStep:
        FaultStep();
        break;
    case FaultKindWriteNull:
        FaultWriteNull();
        break;
    case FaultKindTriple:
        FaultTriple();
        break;
    default:
        break;
    }
}

static VOID FaultWaitForAll(LONG count) {
    while (FaultReady < count) {
        YieldProcessor();
    }
}

/* One CPU's part, at PASSIVE_LEVEL on CPU 0 and at DISPATCH_LEVEL on the others. */
static VOID FaultPart(VOID) {
    LONG cpus = (LONG)KeQueryActiveProcessorCount(NULL);
    KIRQL old;
    if (FaultOrder.Others == FaultOthersToo) {
        InterlockedIncrement(&FaultReady);
        FaultWaitForAll(cpus);
        FaultDo();
        return;
    }
    if (KeGetCurrentProcessorNumber() != FaultOrder.Cpu) {
        KeRaiseIrql(HIGH_LEVEL, &old);
        if (FaultOrder.Others == FaultOthersDisabled) {
            __asm__ volatile("cli");
        }
        FaultSpin();
    }
    if (FaultOrder.Others != FaultOthersFree) {
        FaultWaitForAll(cpus - 1);
    }
    if (FaultOrder.Irql > KeGetCurrentIrql()) {
        KeRaiseIrql((KIRQL)FaultOrder.Irql, &old);
    }
    FaultDo();
}

static VOID NTAPI FaultDpc(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(DeferredContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    FaultPart();
}

static NTSTATUS NTAPI FaultAddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT PhysicalDeviceObject) {
    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(PhysicalDeviceObject);
    BOOLEAN all = FaultOrder.Others != FaultOthersFree;
    for (ULONG cpu = 1; cpu < KeQueryActiveProcessorCount(NULL); cpu++) {
        if (all || cpu == FaultOrder.Cpu) {
            KeInitializeDpc(&FaultDpcs[cpu], FaultDpc, NULL);
            KeSetTargetProcessorDpc(&FaultDpcs[cpu], (CCHAR)cpu);
            KeSetImportanceDpc(&FaultDpcs[cpu], HighImportance);
            KeInsertQueueDpc(&FaultDpcs[cpu], NULL, NULL);
        }
    }
    if (all || FaultOrder.Cpu == 0) {
        FaultPart();
    }
    return STATUS_NO_SUCH_DEVICE;
}

static VOID NTAPI FaultUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverExtension->AddDevice = FaultAddDevice;
    DriverObject->DriverUnload = FaultUnload;
    return STATUS_SUCCESS;
}
