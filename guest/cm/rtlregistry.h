/* SPDX-License-Identifier: Apache-2.0 */
/* What the run-time library's registry routines share: RelativeTo and Path, made a handle. */
#pragma once

#include "cmp.h"

NTSTATUS CmpOpenRelative(ULONG relative_to, PCWSTR path, BOOLEAN create, PHANDLE handle);
VOID CmpCloseRelative(ULONG relative_to, HANDLE handle); /* unless it is the caller's own */

/* rtldeliver.c: one value, which the registry had or which is the entry's default, given to whom the entry names. */
typedef struct _CMP_DELIVERY {
    const RTL_QUERY_REGISTRY_TABLE *Entry;
    PVOID Context;
    PWSTR Name;
    ULONG Type;
    PVOID Data;
    ULONG Bytes;
    BOOLEAN Default;
} CMP_DELIVERY;
NTSTATUS CmpDeliver(const CMP_DELIVERY *delivery);

#ifndef RTL_QUERY_REGISTRY_TYPECHECK /* documented in wdm.h since Windows 8, not in mingw's */
#define RTL_QUERY_REGISTRY_TYPECHECK       0x100
#define RTL_QUERY_REGISTRY_TYPECHECK_SHIFT 24
#endif
