/* SPDX-License-Identifier: Apache-2.0 */
/* RtlQueryRegistryValues, the last step: a value goes to the caller's routine, or straight into its variable. */
#include "rtlregistry.h"

#include "../rtl/strings.h"

#define CMP_HEADER_BYTES 8 /* a length and a type, before long data */

static BOOLEAN CmpIsString(ULONG type) {
    return type == REG_SZ || type == REG_EXPAND_SZ || type == REG_MULTI_SZ;
}

static NTSTATUS CmpDeliverString(UNICODE_STRING *string, const VOID *data, ULONG bytes) {
    if (bytes > RTLP_MAXIMUM_STRING) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    if (string->Buffer == NULL) {
        string->Buffer =
            RtlpAllocateString(max(bytes, sizeof(WCHAR))); /* the caller's, to be freed by RtlFreeUnicodeString */
        string->MaximumLength = (USHORT)bytes;
        if (string->Buffer == NULL) {
            return STATUS_NO_MEMORY;
        }
    } else if (bytes > string->MaximumLength) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    RtlCopyMemory(string->Buffer, data, bytes);
    BOOLEAN terminated = bytes >= sizeof(WCHAR) && string->Buffer[bytes / sizeof(WCHAR) - 1] == 0;
    string->Length = (USHORT)(terminated ? bytes - sizeof(WCHAR) : bytes);
    return STATUS_SUCCESS;
}

/* Up to a ULONG as it is; what is longer into a buffer whose first LONG tells its size, and by its sign its form. */
static NTSTATUS CmpDeliverBinary(VOID *place, ULONG type, const VOID *data, ULONG bytes) {
    if (bytes <= sizeof(ULONG)) {
        RtlCopyMemory(place, data, bytes);
        return STATUS_SUCCESS;
    }
    LONG size = *(const LONG *)place;
    if (size < 0) {
        if (0 - (ULONG)size < bytes) {
            return STATUS_BUFFER_TOO_SMALL;
        }
        RtlCopyMemory(place, data, bytes);
        return STATUS_SUCCESS;
    }
    if ((ULONG64)size < (ULONG64)bytes + CMP_HEADER_BYTES) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    ((ULONG *)place)[0] = bytes;
    ((ULONG *)place)[1] = type;
    RtlCopyMemory((UCHAR *)place + CMP_HEADER_BYTES, data, bytes);
    return STATUS_SUCCESS;
}

static NTSTATUS CmpDeliverDirect(const CMP_DELIVERY *delivery) {
    const RTL_QUERY_REGISTRY_TABLE *entry = delivery->Entry;
    BOOLEAN checked = (entry->Flags & RTL_QUERY_REGISTRY_TYPECHECK) != 0 && !delivery->Default;
    if (checked && entry->DefaultType >> RTL_QUERY_REGISTRY_TYPECHECK_SHIFT != delivery->Type) {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    if (delivery->Type == REG_MULTI_SZ && (entry->Flags & RTL_QUERY_REGISTRY_NOEXPAND) == 0) {
        return STATUS_INVALID_PARAMETER; /* several strings, and one place */
    }
    if (CmpIsString(delivery->Type)) {
        return CmpDeliverString(entry->EntryContext, delivery->Data, delivery->Bytes);
    }
    return CmpDeliverBinary(entry->EntryContext, delivery->Type, delivery->Data, delivery->Bytes);
}

static NTSTATUS CmpCall(const CMP_DELIVERY *delivery, ULONG type, PVOID data, ULONG bytes) {
    const RTL_QUERY_REGISTRY_TABLE *entry = delivery->Entry;
    NTSTATUS status = entry->QueryRoutine(delivery->Name, type, data, bytes, delivery->Context, entry->EntryContext);
    return status == STATUS_BUFFER_TOO_SMALL ? STATUS_SUCCESS : status; /* documented */
}

/* Each string by itself, its NUL with it; the empty one is the end. */
static NTSTATUS CmpCallForEach(const CMP_DELIVERY *delivery) {
    WCHAR *next = delivery->Data;
    ULONG characters = delivery->Bytes / (ULONG)sizeof(WCHAR);
    const WCHAR *end = next + characters;
    NTSTATUS status = STATUS_SUCCESS;
    while (NT_SUCCESS(status) && next < end && *next != 0) {
        ULONG length = 0;
        while (next + length < end && next[length] != 0) {
            length++;
        }
        length += next + length < end ? 1 : 0;
        status = CmpCall(delivery, REG_SZ, next, length * (ULONG)sizeof(WCHAR));
        next += length;
    }
    return status;
}

NTSTATUS CmpDeliver(const CMP_DELIVERY *delivery) {
    BOOLEAN expand = (delivery->Entry->Flags & RTL_QUERY_REGISTRY_NOEXPAND) == 0;
    if ((delivery->Entry->Flags & RTL_QUERY_REGISTRY_DIRECT) != 0) {
        return CmpDeliverDirect(delivery);
    }
    if (expand && delivery->Type == REG_MULTI_SZ) {
        return CmpCallForEach(delivery);
    }
    /* There are no environment variables: a string in which they would be replaced is as it is. */
    ULONG type = expand && delivery->Type == REG_EXPAND_SZ ? REG_SZ : delivery->Type;
    return CmpCall(delivery, type, delivery->Data, delivery->Bytes);
}
