/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xmm.sys: keeps known values in XMM0 to XMM15 and MXCSR at PASSIVE_LEVEL on CPU 0 and compares them, over and over, while
 * an ISR (vector XMM_VECTOR, which the host injects) and a DPC (which CPU 1 queues, each time after the one before has run)
 * overwrite what the calling convention lets them overwrite. Starting a device on it runs that; AddDevice always refuses
 * the device.
 */
#include <ntddk.h>

#define XMM_VECTOR    0x5f
#define XMM_IRQL      5
#define XMM_REGISTERS 16
#define XMM_MXCSR     0xff80u /* flush to zero, toward zero, all exceptions masked, no flags */
#define XMM_FLAGS     0x3fu   /* in MXCSR: volatile, so a handler may find those of another one */
#define XMM_TURNS     50      /* of the loop between loading and comparing */

typedef struct _XMM_TEST {
    ULONG64 DpcsWanted;          /* host */
    volatile ULONG64 DpcsRun;    /* on CPU 0 */
    volatile ULONG64 IsrsRun;    /* on CPU 0 */
    volatile ULONG64 Rounds;     /* loads compared */
    volatile ULONG64 Mismatches; /* registers that changed */
    volatile ULONG64 WrongMxCsr; /* MXCSR changed, or a handler did not find it at its initial value */
} XMM_TEST;

typedef struct DECLSPEC_ALIGN(16) _XMM_STATE {
    M128A Register[XMM_REGISTERS];
    ULONG MxCsr;
} XMM_STATE;

#define XMM_ALL                                                                                                \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", \
        "xmm13", "xmm14", "xmm15"

DRIVER_INITIALIZE DriverEntry;

XMM_TEST XmmTest;
static PKINTERRUPT XmmInterrupt;
static KDPC XmmSender;  /* on CPU 1 */
static KDPC XmmClobber; /* on CPU 0 */

/* Overwrites the volatile registers and raises flags in MXCSR: 1.0 / 0.0, and an inexact sum. */
static VOID XmmOverwrite(VOID) {
    ULONG found;
    ULONG64 ones = ~0ull;
    double zero = 0.0;
    double one = 1.0;
    __asm__ volatile("stmxcsr %0" : "=m"(found));
    if ((found & ~XMM_FLAGS) != 0x1f80) {
        XmmTest.WrongMxCsr++;
    }
    __asm__ volatile("movq %0, %%xmm0\n\t"
                     "movq %0, %%xmm1\n\t"
                     "movq %0, %%xmm2\n\t"
                     "movq %0, %%xmm3\n\t"
                     "movq %0, %%xmm4\n\t"
                     "movsd %1, %%xmm5\n\t"
                     "divsd %2, %%xmm5"
                     :
                     : "r"(ones), "m"(one), "m"(zero)
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5");
}

static BOOLEAN NTAPI XmmIsr(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(ServiceContext);
    XmmOverwrite();
    XmmTest.IsrsRun++;
    return TRUE;
}

static VOID NTAPI XmmClobberDpc(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(DeferredContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    XmmOverwrite();
    XmmTest.DpcsRun++;
}

static VOID NTAPI XmmSenderDpc(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(DeferredContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    for (ULONG64 i = 0; i < XmmTest.DpcsWanted; i++) {
        KeInsertQueueDpc(&XmmClobber, NULL, NULL);
        while (XmmTest.DpcsRun == i) {
            YieldProcessor();
        }
    }
}

static VOID XmmRound(const XMM_STATE *wanted, XMM_STATE *found) {
    ULONG turns = XMM_TURNS;
    ULONG saved;
    __asm__ volatile("stmxcsr %0" : "=m"(saved));
    __asm__ volatile("ldmxcsr 256(%1)\n\t"
                     "movaps 0(%1), %%xmm0\n\t"
                     "movaps 16(%1), %%xmm1\n\t"
                     "movaps 32(%1), %%xmm2\n\t"
                     "movaps 48(%1), %%xmm3\n\t"
                     "movaps 64(%1), %%xmm4\n\t"
                     "movaps 80(%1), %%xmm5\n\t"
                     "movaps 96(%1), %%xmm6\n\t"
                     "movaps 112(%1), %%xmm7\n\t"
                     "movaps 128(%1), %%xmm8\n\t"
                     "movaps 144(%1), %%xmm9\n\t"
                     "movaps 160(%1), %%xmm10\n\t"
                     "movaps 176(%1), %%xmm11\n\t"
                     "movaps 192(%1), %%xmm12\n\t"
                     "movaps 208(%1), %%xmm13\n\t"
                     "movaps 224(%1), %%xmm14\n\t"
                     "movaps 240(%1), %%xmm15\n"
                     "1:\n\t"
                     "pause\n\t" /* here another CPU gets its turn, if they take turns */
                     "decl %0\n\t"
                     "jnz 1b\n\t"
                     "movaps %%xmm0, 0(%2)\n\t"
                     "movaps %%xmm1, 16(%2)\n\t"
                     "movaps %%xmm2, 32(%2)\n\t"
                     "movaps %%xmm3, 48(%2)\n\t"
                     "movaps %%xmm4, 64(%2)\n\t"
                     "movaps %%xmm5, 80(%2)\n\t"
                     "movaps %%xmm6, 96(%2)\n\t"
                     "movaps %%xmm7, 112(%2)\n\t"
                     "movaps %%xmm8, 128(%2)\n\t"
                     "movaps %%xmm9, 144(%2)\n\t"
                     "movaps %%xmm10, 160(%2)\n\t"
                     "movaps %%xmm11, 176(%2)\n\t"
                     "movaps %%xmm12, 192(%2)\n\t"
                     "movaps %%xmm13, 208(%2)\n\t"
                     "movaps %%xmm14, 224(%2)\n\t"
                     "movaps %%xmm15, 240(%2)\n\t"
                     "stmxcsr 256(%2)"
                     : "+r"(turns)
                     : "r"(wanted), "r"(found)
                     : "memory", "cc", XMM_ALL);
    __asm__ volatile("ldmxcsr %0" : : "m"(saved));
}

static VOID XmmCompare(const XMM_STATE *wanted, const XMM_STATE *found) {
    for (ULONG i = 0; i < XMM_REGISTERS; i++) {
        if (wanted->Register[i].Low != found->Register[i].Low || wanted->Register[i].High != found->Register[i].High) {
            XmmTest.Mismatches++;
        }
    }
    if (wanted->MxCsr != found->MxCsr) {
        XmmTest.WrongMxCsr++;
    }
}

static NTSTATUS NTAPI XmmAddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT PhysicalDeviceObject) {
    XMM_STATE wanted = {.MxCsr = XMM_MXCSR};
    XMM_STATE found;
    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(PhysicalDeviceObject);
    for (ULONG i = 0; i < XMM_REGISTERS; i++) {
        wanted.Register[i].Low = 0x0123456789abcdefull * (i + 1);
        wanted.Register[i].High = (LONGLONG)(0xfedcba9876543210ull ^ i);
    }
    DbgPrint("xmm: begins\n");
    KeInsertQueueDpc(&XmmSender, NULL, NULL);
    while (XmmTest.DpcsRun < XmmTest.DpcsWanted) {
        XmmRound(&wanted, &found);
        XmmCompare(&wanted, &found);
        XmmTest.Rounds++;
    }
    return STATUS_NO_SUCH_DEVICE;
}

static VOID NTAPI XmmUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
    IoDisconnectInterrupt(XmmInterrupt);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    KeInitializeDpc(&XmmSender, XmmSenderDpc, NULL);
    KeSetTargetProcessorDpc(&XmmSender, 1);
    KeSetImportanceDpc(&XmmSender, HighImportance);
    KeInitializeDpc(&XmmClobber, XmmClobberDpc, NULL);
    KeSetTargetProcessorDpc(&XmmClobber, 0);
    KeSetImportanceDpc(&XmmClobber, HighImportance);
    DriverObject->DriverExtension->AddDevice = XmmAddDevice;
    DriverObject->DriverUnload = XmmUnload;
    return IoConnectInterrupt(&XmmInterrupt, XmmIsr, NULL, NULL, XMM_VECTOR, XMM_IRQL, XMM_IRQL, Latched, FALSE, 1,
                              FALSE);
}
