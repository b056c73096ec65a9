/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contracts of the documented routines that this kernel exports, each beside its prototype: IRQL in and out, whether
 * it may wait, locks. The prototypes are the DDK's own, declared again, so that the compiler compares them. Where nothing
 * is said, a routine leaves the IRQL as it was, does not wait, and neither needs nor takes a lock that its caller sees.
 * The names that the DDK defines inline (KfRaiseIrql, KeLowerIrql, KeRaiseIrqlToDpcLevel, KeGetCurrentIrql,
 * KeInitializeSpinLock, KeGetCurrentProcessorNumber) are exported out of line too, with the same meaning.
 */
#pragma once

#include "ddk.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose, see above */

/* Executive spin locks (ke/spinlock.c). A lock is resident and initialised; its holder's CPU stays at DISPATCH_LEVEL. */

/* IRQL <= DISPATCH_LEVEL in, DISPATCH_LEVEL out; spins until the lock is free; held at return. Returns the IRQL before. */
KIRQL NTAPI KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock);
/* DISPATCH_LEVEL in, NewIrql out; the caller holds the lock. A pending DPC interrupt is taken on the way out. */
VOID NTAPI KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql);
/* IRQL >= DISPATCH_LEVEL; spins until the lock is free; held at return. */
VOID NTAPI KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock);
/* IRQL >= DISPATCH_LEVEL; the caller holds the lock, taken by an AtDpcLevel routine. */
VOID NTAPI KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock);
/* IRQL >= DISPATCH_LEVEL; TRUE: held at return; FALSE: somebody else holds it. */
BOOLEAN NTAPI KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock);
/* Any IRQL. TRUE: the lock was free when it was looked at. */
BOOLEAN NTAPI KeTestSpinLock(PKSPIN_LOCK SpinLock);

/* Interrupt objects (ke/interrupt.c, io/connect.c). */

/* IRQL <= SynchronizeIrql of the interrupt; runs the routine there, on this CPU, under the interrupt spin lock. */
BOOLEAN NTAPI KeSynchronizeExecution(PKINTERRUPT Interrupt, PKSYNCHRONIZE_ROUTINE SynchronizeRoutine,
                                     PVOID SynchronizeContext);
/* IRQL <= SynchronizeIrql in, SynchronizeIrql out; the interrupt spin lock is held at return. Returns the IRQL before. */
KIRQL NTAPI KeAcquireInterruptSpinLock(PKINTERRUPT Interrupt);
/* SynchronizeIrql in, OldIrql out; the caller holds the interrupt spin lock. */
VOID NTAPI KeReleaseInterruptSpinLock(PKINTERRUPT Interrupt, KIRQL OldIrql);
/* PASSIVE_LEVEL. The ISR may run before it returns. */
NTSTATUS NTAPI IoConnectInterrupt(PKINTERRUPT *InterruptObject, PKSERVICE_ROUTINE ServiceRoutine, PVOID ServiceContext,
                                  PKSPIN_LOCK SpinLock, ULONG Vector, KIRQL Irql, KIRQL SynchronizeIrql,
                                  KINTERRUPT_MODE InterruptMode, BOOLEAN ShareVector, KAFFINITY ProcessorEnableMask,
                                  BOOLEAN FloatingSave);
/* PASSIVE_LEVEL. Spins until no CPU runs the ISR; it does not run afterwards. */
VOID NTAPI IoDisconnectInterrupt(PKINTERRUPT InterruptObject);
/* PASSIVE_LEVEL, both; as the two above. */
NTSTATUS NTAPI IoConnectInterruptEx(PIO_CONNECT_INTERRUPT_PARAMETERS Parameters);
VOID NTAPI IoDisconnectInterruptEx(PIO_DISCONNECT_INTERRUPT_PARAMETERS Parameters);

/* DPCs (ke/dpc.c). Any IRQL, HIGH_LEVEL included; the object is resident. */

VOID NTAPI KeInitializeDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext);
/* TRUE: queued; FALSE: it is queued already and its arguments stay. Below DISPATCH_LEVEL it may have run at return. */
BOOLEAN NTAPI KeInsertQueueDpc(PRKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2);
/* TRUE: it was queued and does not run for that. */
BOOLEAN NTAPI KeRemoveQueueDpc(PRKDPC Dpc);
/* PASSIVE_LEVEL; spins until every DPC that was queued before the call, on any CPU, has returned. */
VOID NTAPI KeFlushQueuedDpcs(VOID);
/* Both take effect at the next insertion. A processor that does not exist changes nothing. */
VOID NTAPI KeSetImportanceDpc(PRKDPC Dpc, KDPC_IMPORTANCE Importance);
VOID NTAPI KeSetTargetProcessorDpc(PRKDPC Dpc, CCHAR Number);

/* Processors, clock and the end (ke/processor.c, ke/clock.c, ke/bugcheck.c). Any IRQL. */

KAFFINITY NTAPI KeQueryActiveProcessors(VOID);
ULONG NTAPI KeQueryActiveProcessorCount(PKAFFINITY ActiveProcessors);
ULONG NTAPI KeQueryMaximumProcessorCount(VOID);
ULONG NTAPI KeQueryTimeIncrement(VOID); /* 100 ns units between two clock ticks */
VOID NTAPI KeBugCheckEx(ULONG BugCheckCode, ULONG_PTR P1, ULONG_PTR P2, ULONG_PTR P3, ULONG_PTR P4);

/* Pool and memory (ex/pool.c, mm/system.c). Pool: IRQL <= DISPATCH_LEVEL. Device mappings: PASSIVE_LEVEL. */

PVOID NTAPI ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag); /* NULL: no memory */
VOID NTAPI ExFreePoolWithTag(PVOID P, ULONG Tag); /* a foreign, freed or overwritten block is a bugcheck */
PVOID NTAPI MmMapIoSpace(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes, MEMORY_CACHING_TYPE CacheType);
VOID NTAPI MmUnmapIoSpace(PVOID BaseAddress, SIZE_T NumberOfBytes);
PHYSICAL_ADDRESS NTAPI MmGetPhysicalAddress(PVOID BaseAddress); /* any IRQL; 0: not mapped */

/* Devices and IRPs (io/device.c, io/irp.c). IRQL <= DISPATCH_LEVEL; creating and stacking devices: PASSIVE_LEVEL. */

NTSTATUS NTAPI IoCreateDevice(PDRIVER_OBJECT DriverObject, ULONG DeviceExtensionSize, PUNICODE_STRING DeviceName,
                              DEVICE_TYPE DeviceType, ULONG DeviceCharacteristics, BOOLEAN Exclusive,
                              PDEVICE_OBJECT *DeviceObject);
VOID NTAPI IoDeleteDevice(PDEVICE_OBJECT DeviceObject);
PDEVICE_OBJECT NTAPI IoAttachDeviceToDeviceStack(PDEVICE_OBJECT SourceDevice, PDEVICE_OBJECT TargetDevice);
VOID NTAPI IoDetachDevice(PDEVICE_OBJECT TargetDevice);
PDEVICE_OBJECT NTAPI IoGetAttachedDevice(PDEVICE_OBJECT DeviceObject);
PIRP NTAPI IoAllocateIrp(CCHAR StackSize, BOOLEAN ChargeQuota);
VOID NTAPI IoFreeIrp(PIRP Irp);
NTSTATUS FASTCALL IofCallDriver(PDEVICE_OBJECT DeviceObject, PIRP Irp);
VOID FASTCALL IofCompleteRequest(PIRP Irp, CCHAR PriorityBoost); /* the caller holds no spin lock (SPIN-17) */
/* PASSIVE_LEVEL; waits until the drivers below have completed the IRP. FALSE: it has no stack location left. */
BOOLEAN NTAPI IoForwardIrpSynchronously(PDEVICE_OBJECT DeviceObject, PIRP Irp);

/* Text (monitor/print.c). Any IRQL; takes the console's lock at HIGH_LEVEL; at most 512 bytes a message. */

ULONG __cdecl DbgPrint(PCSTR Format, ...);
ULONG __cdecl DbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, ...);

/* NOLINTEND(readability-redundant-declaration) */
