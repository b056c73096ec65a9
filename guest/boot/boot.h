/* SPDX-License-Identifier: Apache-2.0 */
/* Start-up, in the order in which it happens. Boot CPU only, before any driver runs, unless a line says otherwise. */
#pragma once

#include "../include/bootblock.h"
#include "../include/ddk.h"

VOID KiSystemStartup(ULONG64 boot_block, ULONG64 pvh_start_info) __attribute__((noreturn)); /* from boot/entry.S */

/* boot/entry.S: leaves the current stack for good. */
VOID KiSwitchStack(ULONG64 top, VOID (*routine)(VOID)) __attribute__((noreturn));

/* boot/pvh.c: under the stock BIOS, gathers what our ROM would have told. FALSE: not a PVH start info. */
BOOLEAN PvhBuildBootBlock(ULONG64 start_info, BOOT_BLOCK *block);

/* boot/processors.c: starts the other CPUs and returns when all of them run. */
VOID KiStartProcessors(VOID);
VOID KiProcessorStartup(ULONG apic_id) __attribute__((noreturn)); /* each other CPU, from boot/entry.S */
