/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupt objects and calls to all CPUs: the contracts (see ../nt.h). */
#pragma once

#include "../ddk.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

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

/* NOLINTEND(readability-redundant-declaration) */
