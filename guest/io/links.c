/* SPDX-License-Identifier: Apache-2.0 */
/* Names that drivers give: symbolic links, and device interfaces, which are links that are enabled and disabled. */
#include "iop.h"

#define IOP_INTERFACE_CHARACTERS 128
#define IOP_GUID_CHARACTERS      38
#define POOL_TAG_INTERFACE       'cafI'

NTSTATUS NTAPI IoCreateSymbolicLink(PUNICODE_STRING SymbolicLinkName, PUNICODE_STRING DeviceName) {
    return ObInsertLink(SymbolicLinkName, DeviceName);
}
NT_EXPORT(IoCreateSymbolicLink);
NT_EXPORT_AS(IoCreateSymbolicLink, IoCreateUnprotectedSymbolicLink); /* there is nobody to protect it from */

NTSTATUS NTAPI IoDeleteSymbolicLink(PUNICODE_STRING SymbolicLinkName) {
    return ObRemoveLink(SymbolicLinkName);
}
NT_EXPORT(IoDeleteSymbolicLink);

typedef struct _IOP_TEXT {
    WCHAR *At;
    ULONG Left; /* characters */
} IOP_TEXT;

static VOID IopPut(IOP_TEXT *text, WCHAR c) {
    if (text->Left != 0) {
        *text->At++ = c;
        text->Left--;
    }
}

static VOID IopPutHex(IOP_TEXT *text, ULONG value, ULONG digits) {
    while (digits-- != 0) {
        ULONG digit = value >> digits * 4 & 15u;
        IopPut(text, (WCHAR)(digit < 10 ? L'0' + digit : L'a' + digit - 10));
    }
}

VOID IopPutLocation(WCHAR *digits, ULONG location) {
    IOP_TEXT text = {digits, 4};
    IopPutHex(&text, location, 4);
}

static VOID IopPutGuid(IOP_TEXT *text, const GUID *guid) {
    IopPut(text, L'{');
    IopPutHex(text, guid->Data1, 8);
    IopPut(text, L'-');
    IopPutHex(text, guid->Data2, 4);
    IopPut(text, L'-');
    IopPutHex(text, guid->Data3, 4);
    for (ULONG i = 0; i < sizeof guid->Data4; i++) {
        if (i == 0 || i == 2) {
            IopPut(text, L'-');
        }
        IopPutHex(text, guid->Data4[i], 2);
    }
    IopPut(text, L'}');
}

/* \??\PCI#LOCATION#{class}, and \reference: the same for the same device, class and reference. */
NTSTATUS NTAPI IoRegisterDeviceInterface(PDEVICE_OBJECT PhysicalDeviceObject, CONST GUID *InterfaceClassGuid,
                                         PUNICODE_STRING ReferenceString, PUNICODE_STRING SymbolicLinkName) {
    static const WCHAR prefix[] = L"\\??\\PCI#";
    const IOP_PDO *pdo = IopPdoOf(PhysicalDeviceObject);
    if (pdo == NULL) {
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    WCHAR *buffer = ExAllocatePoolWithTag(PagedPool, IOP_INTERFACE_CHARACTERS * sizeof(WCHAR), POOL_TAG_INTERFACE);
    if (buffer == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    IOP_TEXT text = {buffer, IOP_INTERFACE_CHARACTERS};
    for (ULONG i = 0; prefix[i] != 0; i++) {
        IopPut(&text, prefix[i]);
    }
    IopPutHex(&text, pdo->Location, 4);
    IopPut(&text, L'#');
    IopPutGuid(&text, InterfaceClassGuid);
    if (ReferenceString != NULL && ReferenceString->Length != 0) {
        IopPut(&text, L'#');
        for (ULONG i = 0; i < ReferenceString->Length / sizeof(WCHAR); i++) {
            IopPut(&text, ReferenceString->Buffer[i]);
        }
    }
    if (text.Left == 0) {
        ExFreePoolWithTag(buffer, POOL_TAG_INTERFACE);
        return STATUS_INVALID_PARAMETER;
    }
    SymbolicLinkName->Buffer = buffer;
    SymbolicLinkName->Length = (USHORT)((text.At - buffer) * (LONG64)sizeof(WCHAR));
    SymbolicLinkName->MaximumLength = IOP_INTERFACE_CHARACTERS * sizeof(WCHAR);
    *text.At = 0; /* Left is not 0 */
    return STATUS_SUCCESS;
}
NT_EXPORT(IoRegisterDeviceInterface);

/* The location in an interface's name: the device that it is of. NULL: no such name. */
static PDEVICE_OBJECT IopInterfaceDevice(PCUNICODE_STRING name) {
    ULONG at = 8; /* after \??\PCI# */
    ULONG location = 0;
    if (name->Length / sizeof(WCHAR) < at + 5 + IOP_GUID_CHARACTERS) {
        return NULL;
    }
    for (ULONG i = 0; i < 4; i++) {
        WCHAR c = name->Buffer[at + i];
        location = location << 4 | (ULONG)(c <= L'9' ? c - L'0' : c - L'a' + 10);
    }
    return IopFindPdo(location);
}

NTSTATUS NTAPI IoSetDeviceInterfaceState(PUNICODE_STRING SymbolicLinkName, BOOLEAN Enable) {
    PDEVICE_OBJECT device = IopInterfaceDevice(SymbolicLinkName);
    if (device == NULL) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    if (!Enable) {
        return ObRemoveLink(SymbolicLinkName);
    }
    WCHAR text[] = L"\\Device\\PCI0000";
    UNICODE_STRING target = {.Length = sizeof text - sizeof(WCHAR), .MaximumLength = sizeof text, .Buffer = text};
    IopPutLocation(text + RTL_NUMBER_OF(text) - 5, IopPdoOf(device)->Location);
    return ObInsertLink(SymbolicLinkName, &target);
}
NT_EXPORT(IoSetDeviceInterfaceState);
NT_PARTIAL(IoRegisterDeviceInterface, "of PCI functions; nothing enumerates interfaces (IoGetDeviceInterfaces)");
