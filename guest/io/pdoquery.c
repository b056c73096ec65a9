/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a physical device object answers: its ids and texts, capabilities, resources, its bus, its configuration space, and the
 * standard bus interface by which a driver reaches these from DISPATCH_LEVEL. Answers are paged pool, the asker frees them.
 */
#include "pdoquery.h"
#include "../include/mutant.h"

#include "../hal/hal.h"

#define POOL_TAG_PNP 'PpnP'

/* wdmguid.h */
static const GUID IopBusInterface = {0x496b8280, 0x6f25, 0x11d0, {0xbe, 0xaf, 0x08, 0x00, 0x2b, 0xe2, 0x09, 0x2f}};
static const GUID IopPciBus = {0xc8ebdfb0, 0xb510, 0x11d0, {0x80, 0xe5, 0x00, 0xa0, 0xc9, 0x25, 0x42, 0xe3}};
static const GUID IopInternalBus = {0x1530ea73, 0x086b, 0x11d1, {0xa0, 0x9f, 0x00, 0xc0, 0x4f, 0xc3, 0x40, 0xb1}};

#define IOP_TEXT_CHARACTERS 512

typedef struct _IOP_PDO_STRING {
    PWSTR Text;
    ULONG Length;
} IOP_PDO_STRING;

/* '%' and a letter stand for what the function has; '|' ends one string of several. */
static VOID IopPutHex(IOP_PDO_STRING *text, ULONG value, ULONG digits) {
    while (digits-- != 0) {
        text->Text[text->Length++] = (WCHAR)L"0123456789ABCDEF"[value >> digits * 4 & 15u];
    }
}

static VOID IopPutDecimal(IOP_PDO_STRING *text, ULONG value) {
    ULONG unit = 1;
    while (value / unit >= 10) {
        unit *= 10;
    }
    for (; unit != 0; unit /= 10) {
        text->Text[text->Length++] = (WCHAR)(L'0' + value / unit % 10);
    }
}

static VOID IopPutField(IOP_PDO_STRING *text, char field, const IOP_PDO *pdo) {
    const BOOT_PCI_FUNCTION *function = pdo->Function;
    ULONG subsystem = HalpReadConfig(pdo->Location, FIELD_OFFSET(PCI_COMMON_CONFIG, u.type0.SubVendorID));
    switch (field) {
    case 'v':
        IopPutHex(text, function->VendorId, 4);
        break;
    case 'd':
        IopPutHex(text, function->DeviceId, 4);
        break;
    case 's': /* the subsystem's id, then its vendor's: as the register has them */
        IopPutHex(text, subsystem, 8);
        break;
    case 'r':
        IopPutHex(text, HalpReadConfig(pdo->Location, 8) & 0xffu, 2);
        break;
    case 'c':
        IopPutHex(text, function->ClassCode, 6);
        break;
    case 'C':
        IopPutHex(text, function->ClassCode >> 8, 4);
        break;
    default: /* 'n', 'f': device and function number */
        IopPutDecimal(text, field == 'n' ? pdo->Location >> 3 & 0x1fu : pdo->Location & 7u);
        break;
    }
}

static PWSTR IopMakeText(const char *form, const IOP_PDO *pdo, ULONG *bytes) {
    IOP_PDO_STRING text = {ExAllocatePoolWithTag(PagedPool, IOP_TEXT_CHARACTERS * sizeof(WCHAR), POOL_TAG_PNP), 0};
    if (text.Text == NULL) {
        return NULL;
    }
    for (; *form != 0; form++) {
        if (*form == '%') {
            IopPutField(&text, *++form, pdo);
        } else {
            text.Text[text.Length++] = *form == '|' ? 0 : (WCHAR)(UCHAR)*form;
        }
    }
    text.Text[text.Length++] = 0;
    *bytes = text.Length * sizeof(WCHAR);
    return text.Text;
}

/* The forms of ids are those of "Identifiers for PCI Devices"; of several each ends in a NUL, and the list in one more. */
PWSTR IopPdoText(const IOP_PDO *pdo, IOP_PDO_TEXT which, ULONG *bytes) {
    static const char *const pci[] = {
        [IopDeviceId] = "PCI\\VEN_%v&DEV_%d&SUBSYS_%s&REV_%r",
        [IopHardwareIds] = "PCI\\VEN_%v&DEV_%d&SUBSYS_%s&REV_%r|PCI\\VEN_%v&DEV_%d&SUBSYS_%s|"
                           "PCI\\VEN_%v&DEV_%d&CC_%c|PCI\\VEN_%v&DEV_%d&CC_%C|",
        [IopCompatibleIds] = "PCI\\VEN_%v&DEV_%d&REV_%r|PCI\\VEN_%v&DEV_%d|PCI\\VEN_%v&CC_%c|PCI\\VEN_%v&CC_%C|"
                             "PCI\\VEN_%v|PCI\\CC_%c|PCI\\CC_%C|",
        [IopInstanceId] = "%n&%f",
        [IopDescription] = "PCI Device %v:%d",
        [IopLocationText] = "PCI bus 0, device %n, function %f",
    };
    static const char *const isa[] = {
        [IopDeviceId] = "ROOT\\DIRQL_ISA", [IopHardwareIds] = "ROOT\\DIRQL_ISA|",
        [IopCompatibleIds] = "|",          [IopInstanceId] = "%n",
        [IopDescription] = "ISA Device",   [IopLocationText] = "ISA bus, device %n",
    };
    return IopMakeText(pdo->Function != NULL ? pci[which] : isa[which], pdo, bytes);
}

static NTSTATUS IopAnswerText(const IOP_PDO *pdo, ULONG which, PIRP irp) {
    ULONG bytes;
    PWSTR text = IopPdoText(pdo, which, &bytes);
    irp->IoStatus.Information = (ULONG_PTR)text;
    return text != NULL ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

ULONG IopPdoAddress(const IOP_PDO *pdo) {
    ULONG device = pdo->Location >> 3 & 0x1fu;
    return pdo->Function != NULL ? device << 16 | (pdo->Location & 7u) : device;
}

static NTSTATUS IopAnswerCapabilities(const IOP_PDO *pdo, PDEVICE_CAPABILITIES capabilities) {
    if (capabilities->Version != 1 || capabilities->Size < sizeof *capabilities) {
        return STATUS_UNSUCCESSFUL;
    }
    capabilities->UniqueID = TRUE;
    capabilities->Address = IopPdoAddress(pdo);
    capabilities->UINumber = MAXULONG;
    capabilities->DeviceState[PowerSystemWorking] = PowerDeviceD0;
    for (ULONG state = PowerSystemSleeping1; state < PowerSystemMaximum; state++) {
        capabilities->DeviceState[state] = PowerDeviceD3;
    }
    capabilities->SystemWake = PowerSystemUnspecified;
    capabilities->DeviceWake = PowerDeviceUnspecified;
    return STATUS_SUCCESS;
}

VOID IopPdoBus(const IOP_PDO *pdo, PPNP_BUS_INFORMATION bus) {
    bus->BusTypeGuid = pdo->Function != NULL ? IopPciBus : IopInternalBus;
    bus->LegacyBusType = pdo->Function != NULL ? PCIBus : Isa;
    bus->BusNumber = 0;
}

static NTSTATUS IopAnswerBus(const IOP_PDO *pdo, PIRP irp) {
    PPNP_BUS_INFORMATION bus = ExAllocatePoolWithTag(PagedPool, sizeof *bus, POOL_TAG_PNP);
    if (bus == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    IopPdoBus(pdo, bus);
    irp->IoStatus.Information = (ULONG_PTR)bus;
    return STATUS_SUCCESS;
}

static NTSTATUS IopAnswerTarget(PDEVICE_OBJECT device, PIRP irp) {
    PDEVICE_RELATIONS relations = ExAllocatePoolWithTag(PagedPool, sizeof *relations, POOL_TAG_PNP);
    if (relations == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    relations->Count = 1;
    relations->Objects[0] = device;
    ObfReferenceObject(device); /* the asker gives it back */
    irp->IoStatus.Information = (ULONG_PTR)relations;
    return STATUS_SUCCESS;
}

static NTSTATUS IopAnswerConfig(const IOP_PDO *pdo, PIRP irp, BOOLEAN write) {
    const IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    ULONG offset = location->Parameters.ReadWriteConfig.Offset;
    ULONG length = location->Parameters.ReadWriteConfig.Length;
    PVOID buffer = location->Parameters.ReadWriteConfig.Buffer;
    if (pdo->Function == NULL || location->Parameters.ReadWriteConfig.WhichSpace != PCI_WHICHSPACE_CONFIG) {
        return STATUS_INVALID_PARAMETER;
    }
    irp->IoStatus.Information = write ? IopWriteConfig(pdo->Location, buffer, offset, length)
                                      : IopReadConfig(pdo->Location, buffer, offset, length);
    return irp->IoStatus.Information == length ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
}

static VOID NTAPI IopReferenceInterface(PVOID Context) {
    ObfReferenceObject(Context);
}

static VOID NTAPI IopDereferenceInterface(PVOID Context) {
    ObfDereferenceObject(Context);
}

static BOOLEAN NTAPI IopInterfaceTranslate(PVOID Context, PHYSICAL_ADDRESS BusAddress, ULONG Length,
                                           PULONG AddressSpace, PPHYSICAL_ADDRESS TranslatedAddress) {
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Length);
    return HalTranslateBusAddress(PCIBus, 0, BusAddress, AddressSpace, TranslatedAddress);
}

static PDMA_ADAPTER NTAPI IopInterfaceDma(PVOID Context, PDEVICE_DESCRIPTION DeviceDescriptor,
                                          PULONG NumberOfMapRegisters) {
    return IoGetDmaAdapter(Context, DeviceDescriptor, NumberOfMapRegisters);
}

static ULONG NTAPI IopInterfaceRead(PVOID Context, ULONG DataType, PVOID Buffer, ULONG Offset, ULONG Length) {
    ULONG location = IopPdoOf(Context)->Location;
    return DataType == PCI_WHICHSPACE_CONFIG ? IopReadConfig(location, Buffer, Offset, Length) : 0;
}

static ULONG NTAPI IopInterfaceWrite(PVOID Context, ULONG DataType, PVOID Buffer, ULONG Offset, ULONG Length) {
    ULONG location = IopPdoOf(Context)->Location;
    return DataType == PCI_WHICHSPACE_CONFIG ? IopWriteConfig(location, Buffer, Offset, Length) : 0;
}

static NTSTATUS IopAnswerInterface(PDEVICE_OBJECT device, PIRP irp) {
    const IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    if (IopPdoOf(device)->Function == NULL ||
        memcmp(location->Parameters.QueryInterface.InterfaceType, &IopBusInterface, sizeof(GUID)) != 0) {
        return irp->IoStatus.Status; /* another driver of the stack may have it */
    }
    if (location->Parameters.QueryInterface.Size < sizeof(BUS_INTERFACE_STANDARD) ||
        location->Parameters.QueryInterface.Version != 1) {
        return STATUS_INVALID_PARAMETER;
    }
    BUS_INTERFACE_STANDARD answer = {
        .Size = sizeof answer,
        .Version = 1,
        .Context = device,
        .InterfaceReference = IopReferenceInterface,
        .InterfaceDereference = IopDereferenceInterface,
        .TranslateBusAddress = IopInterfaceTranslate,
        .GetDmaAdapter = IopInterfaceDma,
        .SetBusData = IopInterfaceWrite,
        .GetBusData = IopInterfaceRead,
    };
    *(PBUS_INTERFACE_STANDARD)location->Parameters.QueryInterface.Interface = answer;
    ObfReferenceObject(device); /* the asker gives it back by InterfaceDereference */
    return STATUS_SUCCESS;
}

static NTSTATUS IopAnswerResources(const IOP_PDO *pdo, PIRP irp, BOOLEAN wishes) {
    PVOID list = wishes ? (PVOID)IopBuildRequirements(pdo) : (PVOID)IopBuildResources(pdo, FALSE);
    irp->IoStatus.Information = (ULONG_PTR)list;
    return list != NULL ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

static NTSTATUS IopAnswerId(const IOP_PDO *pdo, BUS_QUERY_ID_TYPE type, PIRP irp) {
    static const UCHAR which[] = {IopDeviceId, IopHardwareIds, IopCompatibleIds, IopInstanceId};
    return (ULONG)type < RTL_NUMBER_OF(which) ? IopAnswerText(pdo, which[type], irp) : irp->IoStatus.Status;
}

NTSTATUS IopQueryPdo(PDEVICE_OBJECT device, PIRP irp) {
    const IOP_PDO *pdo = IopPdoOf(device);
    const IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    switch (location->MinorFunction) {
    case IRP_MN_QUERY_INTERFACE:
        return IopAnswerInterface(device, irp);
    case IRP_MN_QUERY_CAPABILITIES:
        return IopAnswerCapabilities(pdo, location->Parameters.DeviceCapabilities.Capabilities);
    case IRP_MN_QUERY_ID:
        return IopAnswerId(pdo, location->Parameters.QueryId.IdType, irp);
    case IRP_MN_QUERY_DEVICE_TEXT:
        return IopAnswerText(pdo,
                             location->Parameters.QueryDeviceText.DeviceTextType == DeviceTextDescription
                                 ? IopDescription
                                 : IopLocationText,
                             irp);
    case IRP_MN_QUERY_RESOURCES:
        return IopAnswerResources(pdo, irp, FALSE);
    case IRP_MN_QUERY_RESOURCE_REQUIREMENTS:
        return IopAnswerResources(pdo, irp, TRUE);
    case IRP_MN_QUERY_BUS_INFORMATION:
        return IopAnswerBus(pdo, irp);
    case IRP_MN_QUERY_DEVICE_RELATIONS:
        return location->Parameters.QueryDeviceRelations.Type == TargetDeviceRelation ? IopAnswerTarget(device, irp)
                                                                                      : irp->IoStatus.Status;
    case IRP_MN_READ_CONFIG:
    case IRP_MN_WRITE_CONFIG:
        return IopAnswerConfig(pdo, irp, location->MinorFunction == IRP_MN_WRITE_CONFIG);
    default: /* unchanged, as a bus driver leaves what it does not know */
        return irp->IoStatus.Status;
    }
}
