/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupt objects and calls to all CPUs: the contracts (see ../nt.h). */
#pragma once

#include "../ddk.h"
#include "../driver/ddkinterrupts.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/* Interrupt objects (ke/interrupt.c, io/connect.c). */

/* IRQL <= SynchronizeIrql of the interrupt; takes the interrupt spin lock, first come, first served, and runs the routine there, on this CPU, under the interrupt spin lock. */
BOOLEAN NTAPI KeSynchronizeExecution(PKINTERRUPT Interrupt, PKSYNCHRONIZE_ROUTINE SynchronizeRoutine,
                                     PVOID SynchronizeContext);
/* IRQL <= SynchronizeIrql in, SynchronizeIrql out; the interrupt spin lock is held at return. Returns the IRQL before. */
KIRQL NTAPI KeAcquireInterruptSpinLock(PKINTERRUPT Interrupt);
/* SynchronizeIrql in, OldIrql out; the caller holds the interrupt spin lock. */
VOID NTAPI KeReleaseInterruptSpinLock(PKINTERRUPT Interrupt, KIRQL OldIrql);
/*
 * PASSIVE_LEVEL. The ISR may run before it returns. Irql is the vector's (its high half), 3 to 15; or
 * PASSIVE_LEVEL, as SynchronizeIrql then, without a SpinLock (STATUS_INVALID_PARAMETER with one): the ISR runs in a thread at
 * PASSIVE_LEVEL and may wait, and so may whoever synchronises with it. A vector that nobody has allocated is reserved
 * until its last object is disconnected. Only the CPUs of ProcessorEnableMask run the ISR: the vector on another CPU is
 * counted as unexpected; a mask without any active CPU is STATUS_INVALID_PARAMETER. SpinLock, where given, was made by
 * KeInitializeSpinLock and is used for nothing but interrupt objects.
 */
NTSTATUS NTAPI IoConnectInterrupt(PKINTERRUPT *InterruptObject, PKSERVICE_ROUTINE ServiceRoutine, PVOID ServiceContext,
                                  PKSPIN_LOCK SpinLock, ULONG Vector, KIRQL Irql, KIRQL SynchronizeIrql,
                                  KINTERRUPT_MODE InterruptMode, BOOLEAN ShareVector, KAFFINITY ProcessorEnableMask,
                                  BOOLEAN FloatingSave);
/* PASSIVE_LEVEL. Spins until no CPU runs the ISR; it does not run afterwards. */
VOID NTAPI IoDisconnectInterrupt(PKINTERRUPT InterruptObject);
/* PASSIVE_LEVEL, both; as the two above. */
NTSTATUS NTAPI IoConnectInterruptEx(PIO_CONNECT_INTERRUPT_PARAMETERS Parameters);
VOID NTAPI IoDisconnectInterruptEx(PIO_DISCONNECT_INTERRUPT_PARAMETERS Parameters);

/* PASSIVE_LEVEL. The vector of a line, 0 if there is none: PCIBus with a function's line register, Isa with an IRQ. */
ULONG NTAPI HalGetInterruptVector(INTERFACE_TYPE InterfaceType, ULONG BusNumber, ULONG BusInterruptLevel,
                                  ULONG BusInterruptVector, PKIRQL Irql, PKAFFINITY Affinity);
/*
 * IRQL <= DISPATCH_LEVEL, both; as often as one likes. Inactive: when it returns, the ISR is not running and is not called,
 * and a line on which nothing is active is masked; a level line's request is kept for when it is active again.
 */
VOID NTAPI IoReportInterruptActive(PIO_REPORT_INTERRUPT_ACTIVE_STATE_PARAMETERS Parameters);
VOID NTAPI IoReportInterruptInactive(PIO_REPORT_INTERRUPT_ACTIVE_STATE_PARAMETERS Parameters);
/* Below IPI_LEVEL in and out. Every CPU runs the routine at IPI_LEVEL, none before all are there; waits for all of them. */
ULONG_PTR NTAPI KeIpiGenericCall(PKIPI_BROADCAST_WORKER BroadcastFunction, ULONG_PTR Context);

/* NOLINTEND(readability-redundant-declaration) */
