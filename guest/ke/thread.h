/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Thread objects: what KeGetCurrentThread names. Each CPU has two: the one that it was started with (on the boot CPU the
 * monitor, elsewhere the idle loop) and the one that runs its threaded DPCs. There is no scheduler here: the first is
 * always there, and the second runs above it. Drivers see the pointer only.
 */
#pragma once

#include "../include/ddk.h"

typedef struct _KTHREAD {
    DISPATCHER_HEADER Header;
    ULONG Processor;
    ULONG64 StackTop;
} KTHREAD;
