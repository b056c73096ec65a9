/* SPDX-License-Identifier: Apache-2.0 */
/*
 * irql.sys: what interrupts, DPCs and synchronised execution do, step by step. It connects one vector at each DIRQL, which
 * the host injects; starting a device on it does what the host ordered in IrqlTest; everything that happens is appended to
 * the log there. AddDevice always refuses the device, so that it can be asked again.
 */
#include <ntddk.h>

#define IRQL_FIRST        4
#define IRQL_LAST         11
#define IRQL_LEVELS       (IRQL_LAST - IRQL_FIRST + 1)
#define IRQL_VECTOR(irql) ((irql) << 4 | 0xf) /* the kernel hands out a level's vectors from the other end */
#define IRQL_EVENTS       64

typedef enum _IRQL_ORDER {
    IrqlOrderHold = 1,        /* raise to Level on CPU 0, wait for Release, lower one level at a time */
    IrqlOrderDpcTwice = 2,    /* queue a DPC twice before it can run */
    IrqlOrderDpcRemove = 3,   /* queue it, remove it twice */
    IrqlOrderImportance = 4,  /* queue medium 1, medium 2, high 3, high 4 */
    IrqlOrderDpcTarget = 5,   /* queue a DPC to CPU Cpu, wait until it has run */
    IrqlOrderSynchronize = 6, /* KeSynchronizeExecution at the interrupt object of Level */
} IRQL_ORDER;

typedef enum _IRQL_ISR {
    IrqlIsrOnly = 0,  /* the ISR only logs */
    IrqlIsrHold = 1,  /* it asks for DpcForIsr, then waits for Release */
    IrqlIsrQueue = 2, /* it queues the DPC twice with arguments 1 and 2 */
} IRQL_ISR;

typedef enum _IRQL_WHAT {
    IrqlEventIsr = 1,     /* Value: vector */
    IrqlEventLowered = 2, /* Value: IRQL lowered to */
    IrqlEventDpc = 3,     /* Value: SystemArgument1 << 8 | SystemArgument2 */
    IrqlEventResult = 4,  /* Value: what a routine returned */
    IrqlEventIsrEnd = 5,  /* Value: vector */
    IrqlEventDpcForIsr = 6,
    IrqlEventSync = 7,
} IRQL_WHAT;

typedef struct _IRQL_EVENT {
    ULONG What; /* IRQL_WHAT */
    ULONG Value;
    ULONG Cpu;
    ULONG Irql; /* at which it happened */
} IRQL_EVENT;

typedef struct _IRQL_TEST {
    ULONG Order; /* IRQL_ORDER; host */
    ULONG Level;
    ULONG Cpu;
    ULONG Isr;              /* IRQL_ISR; host */
    volatile ULONG Release; /* host: 1 lets go what is held */
    volatile LONG Count;    /* events begun; host clears it */
    IRQL_EVENT Event[IRQL_EVENTS];
} IRQL_TEST;

DRIVER_INITIALIZE DriverEntry;

IRQL_TEST IrqlTest;
static PKINTERRUPT IrqlInterrupts[IRQL_LEVELS];
static PDEVICE_OBJECT IrqlDevice;
static KDPC IrqlDpcs[4];

static VOID IrqlLog(IRQL_WHAT what, ULONG value) {
    ULONG at = (ULONG)InterlockedIncrement(&IrqlTest.Count) - 1;
    if (at < IRQL_EVENTS) {
        IRQL_EVENT *event = &IrqlTest.Event[at];
        event->What = what;
        event->Value = value;
        event->Cpu = KeGetCurrentProcessorNumber();
        event->Irql = KeGetCurrentIrql();
    }
}

static VOID IrqlWaitForRelease(VOID) {
    while (!IrqlTest.Release) {
        YieldProcessor();
    }
}

static BOOLEAN NTAPI IrqlIsr(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    ULONG vector = (ULONG)(ULONG_PTR)ServiceContext;
    UNREFERENCED_PARAMETER(Interrupt);
    IrqlLog(IrqlEventIsr, vector);
    if (IrqlTest.Isr == IrqlIsrQueue) {
        IrqlLog(IrqlEventResult, KeInsertQueueDpc(&IrqlDpcs[0], (PVOID)1, (PVOID)2));
        IrqlLog(IrqlEventResult, KeInsertQueueDpc(&IrqlDpcs[0], (PVOID)3, (PVOID)4));
    }
    if (IrqlTest.Isr == IrqlIsrHold) {
        DbgPrint("irql: isr 0x%02x holds CPU %u\n", vector, KeGetCurrentProcessorNumber());
        IoRequestDpc(IrqlDevice, NULL, NULL);
        IrqlWaitForRelease();
    } else {
        DbgPrint("irql: isr 0x%02x on CPU %u\n", vector, KeGetCurrentProcessorNumber());
    }
    IrqlLog(IrqlEventIsrEnd, vector);
    return TRUE;
}

static VOID NTAPI IrqlDpc(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(DeferredContext);
    IrqlLog(IrqlEventDpc, (ULONG)(ULONG_PTR)SystemArgument1 << 8 | (ULONG)(ULONG_PTR)SystemArgument2);
    DbgPrint("irql: dpc on CPU %u\n", KeGetCurrentProcessorNumber());
}

static VOID NTAPI IrqlDpcForIsr(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    IrqlLog(IrqlEventDpcForIsr, 0);
    DbgPrint("irql: dpc for isr on CPU %u\n", KeGetCurrentProcessorNumber());
}

static BOOLEAN NTAPI IrqlSynchronized(PVOID SynchronizeContext) {
    IrqlLog(IrqlEventSync, (ULONG)(ULONG_PTR)SynchronizeContext);
    return 2; /* true, and not TRUE */
}

static VOID IrqlHold(KIRQL level) {
    KIRQL old;
    KeRaiseIrql(level, &old);
    DbgPrint("irql: CPU %u held at %u\n", KeGetCurrentProcessorNumber(), level);
    IrqlWaitForRelease();
    while (level > old) {
        level--;
        KeLowerIrql(level);
        IrqlLog(IrqlEventLowered, level);
    }
}

static VOID IrqlDpcTwice(VOID) {
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    IrqlLog(IrqlEventResult, KeInsertQueueDpc(&IrqlDpcs[0], (PVOID)1, (PVOID)2));
    IrqlLog(IrqlEventResult, KeInsertQueueDpc(&IrqlDpcs[0], (PVOID)3, (PVOID)4));
    KeLowerIrql(old);
    IrqlLog(IrqlEventLowered, old);
}

static VOID IrqlDpcRemove(VOID) {
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    IrqlLog(IrqlEventResult, KeInsertQueueDpc(&IrqlDpcs[0], (PVOID)1, (PVOID)2));
    IrqlLog(IrqlEventResult, KeRemoveQueueDpc(&IrqlDpcs[0]));
    IrqlLog(IrqlEventResult, KeRemoveQueueDpc(&IrqlDpcs[0]));
    KeLowerIrql(old);
    IrqlLog(IrqlEventLowered, old);
}

static VOID IrqlImportance(VOID) {
    KIRQL old;
    KeSetImportanceDpc(&IrqlDpcs[2], HighImportance);
    KeSetImportanceDpc(&IrqlDpcs[3], HighImportance);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    for (ULONG_PTR i = 0; i < RTL_NUMBER_OF(IrqlDpcs); i++) {
        KeInsertQueueDpc(&IrqlDpcs[i], (PVOID)(i + 1), NULL);
    }
    KeLowerIrql(old);
    IrqlLog(IrqlEventLowered, old);
}

static VOID IrqlDpcTarget(ULONG cpu) {
    KeSetTargetProcessorDpc(&IrqlDpcs[0], (CCHAR)cpu);
    IrqlLog(IrqlEventResult, KeInsertQueueDpc(&IrqlDpcs[0], (PVOID)(ULONG_PTR)cpu, NULL));
    while (IrqlTest.Count < 2) {
        YieldProcessor();
    }
}

static NTSTATUS NTAPI IrqlAddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT PhysicalDeviceObject) {
    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(PhysicalDeviceObject);
    for (ULONG i = 0; i < RTL_NUMBER_OF(IrqlDpcs); i++) {
        KeInitializeDpc(&IrqlDpcs[i], IrqlDpc, NULL);
    }
    switch (IrqlTest.Order) {
    case IrqlOrderHold:
        IrqlHold((KIRQL)IrqlTest.Level);
        break;
    case IrqlOrderDpcTwice:
        IrqlDpcTwice();
        break;
    case IrqlOrderDpcRemove:
        IrqlDpcRemove();
        break;
    case IrqlOrderImportance:
        IrqlImportance();
        break;
    case IrqlOrderDpcTarget:
        IrqlDpcTarget(IrqlTest.Cpu);
        break;
    case IrqlOrderSynchronize:
        IrqlLog(IrqlEventResult,
                KeSynchronizeExecution(IrqlInterrupts[IrqlTest.Level - IRQL_FIRST], IrqlSynchronized, (PVOID)7));
        break;
    default:
        break;
    }
    return STATUS_NO_SUCH_DEVICE;
}

static VOID IrqlDisconnect(VOID) {
    for (ULONG i = 0; i < IRQL_LEVELS; i++) {
        if (IrqlInterrupts[i] != NULL) {
            IoDisconnectInterrupt(IrqlInterrupts[i]);
        }
    }
}

static VOID NTAPI IrqlUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
    IrqlDisconnect();
    IoDeleteDevice(IrqlDevice);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    NTSTATUS status = IoCreateDevice(DriverObject, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &IrqlDevice);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    IoInitializeDpcRequest(IrqlDevice, IrqlDpcForIsr);
    for (ULONG i = 0; i < IRQL_LEVELS && NT_SUCCESS(status); i++) {
        KIRQL irql = (KIRQL)(IRQL_FIRST + i);
        ULONG_PTR vector = IRQL_VECTOR(irql);
        status = IoConnectInterrupt(&IrqlInterrupts[i], IrqlIsr, (PVOID)vector, NULL, (ULONG)vector, irql, irql,
                                    Latched, FALSE, KeQueryActiveProcessors(), FALSE);
    }
    if (!NT_SUCCESS(status)) {
        IrqlDisconnect();
        IoDeleteDevice(IrqlDevice);
        return status;
    }
    DriverObject->DriverExtension->AddDevice = IrqlAddDevice;
    DriverObject->DriverUnload = IrqlUnload;
    return STATUS_SUCCESS;
}
