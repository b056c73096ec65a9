/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contracts of the documented routines that this kernel exports, each beside its prototype: IRQL in and out, whether
 * it may wait, locks. The prototypes are the DDK's own, declared again, so that the compiler compares them. Where nothing
 * is said, a routine leaves the IRQL as it was, does not wait, and neither needs nor takes a lock that its caller sees.
 * The names that the DDK defines inline (KfRaiseIrql, KeLowerIrql, KeRaiseIrqlToDpcLevel, KeGetCurrentIrql,
 * KeInitializeSpinLock, KeGetCurrentProcessorNumber) are exported out of line too, with the same meaning.
 */
#pragma once

#include "nt/apc.h"
#include "nt/bus.h"
#include "nt/dma.h"
#include "nt/dpc.h"
#include "nt/exceptions.h"
#include "nt/files.h"
#include "nt/interrupts.h"
#include "nt/io.h"
#include "nt/locks.h"
#include "nt/memory.h"
#include "nt/mutexes.h"
#include "nt/power.h"
#include "nt/registry.h"
#include "nt/rtl.h"
#include "nt/startio.h"
#include "nt/system.h"
#include "nt/text.h"
#include "nt/threads.h"
#include "nt/time.h"
#include "nt/waits.h"
#include "nt/work.h"
