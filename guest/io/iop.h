/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The I/O manager's own face: drivers, physical device objects for PCI functions, and how their interrupts are routed.
 * PASSIVE_LEVEL, no locks held, unless a line says otherwise. The public routines are those of the DDK headers.
 */
#pragma once

#include "../include/bootblock.h"
#include "../include/ddk.h"
#include "../include/hostif.h"
#include "../ke/ki.h"
#include "../ob/ob.h"

extern OBJECT_TYPE IopDeviceType, IopDriverType, IopFileType, IopEventType;

#define IOP_MAXIMUM_MESSAGES 64
#define IOP_FIRST_DIRQL      4
#define IOP_DIRQLS           8 /* 4 to 11, what devices are given (ke/vectors.c) */
#define IOP_NO_CPU           0xffffffffu
#define POOL_TAG_RESOURCES   'rseR'
#define POOL_TAG_INTERRUPT   'tnIK'

/* What a device on ISA has; nobody enumerates it, so the host says so. IOP_NONE: no interrupt, no channel. */
#define IOP_ISA_RANGES   6
#define IOP_ISA_LOCATION 0x8000u /* of the first such device: a PCI bus that is not there */
#define IOP_NONE         0xffu
typedef struct _IOP_ISA {
    ULONG Irq, Channel;
    ULONG Ranges;
    struct {
        USHORT Base, Bytes;
    } Port[IOP_ISA_RANGES];
} IOP_ISA;

typedef enum _IOP_DEVICE_STATE {
    IopNotStarted,
    IopStarted,
    IopStopped,
    IopGone, /* by surprise: it is told so, and waits for its removal */
} IOP_DEVICE_STATE;

/* What the bus driver keeps in the extension of a physical device object. */
typedef struct _IOP_PDO {
    ULONG Location;
    const BOOT_PCI_FUNCTION *Function; /* NULL: a device on ISA */
    IOP_ISA Isa;
    ULONG Pin;             /* of the I/O APIC, where its line ends; BOOT_NO_PIN: it has none */
    PDRIVER_OBJECT Driver; /* the function driver, NULL before AddDevice */
    IOP_DEVICE_STATE State;
    KIRQL Irql;         /* of its interrupts */
    ULONG MessageCount; /* 0: uses its line, or none */
    ULONG LineVector;   /* 0: none. Of its pin: devices that share the pin share the vector */
    ULONG MessageVector[IOP_MAXIMUM_MESSAGES];
    PKINTERRUPT MessageInterrupt[IOP_MAXIMUM_MESSAGES]; /* NULL: not connected */
    volatile ULONG *MessageTable;                       /* mapped while connected; NULL for MSI */
    ULONG64 MessageTableBytes;
} IOP_PDO;

/* What a device's owner chose of StartIo, and what io/startio.c knows of it. */
typedef struct _IOP_NEXT_PACKET {
    BOOLEAN Cancelable;
    BOOLEAN ByKey;
    ULONG Key;
} IOP_NEXT_PACKET;

typedef struct _IOP_START_IO {
    BOOLEAN Deferred;
    BOOLEAN NonCancelable;
    volatile LONG Inside;
    IOP_NEXT_PACKET Next;
} IOP_START_IO;

/* A device object's extension: the public part, then ours. */
typedef struct _IOP_DEVICE_EXTENSION {
    DEVOBJ_EXTENSION Public;
    IOP_START_IO StartIo;
    volatile LONG PowerState; /* DEVICE_POWER_STATE, 0: not said yet, which is D0 */
} IOP_DEVICE_EXTENSION;

VOID IopInitialize(VOID); /* boot CPU, once: the bus driver */

/* io/driver.c: calls DriverEntry; on failure nothing is left of the driver but its image. Stop calls DriverUnload. */
NTSTATUS IopStartDriver(const LDR_IMAGE *image);
NTSTATUS IopStopDriver(const LDR_IMAGE *image);
PDRIVER_OBJECT IopFindDriver(ULONG64 image_base); /* NULL: none */
NTSTATUS IopCreateDriverObject(const char *name, ULONG64 base, ULONG64 size, PDRIVER_OBJECT *driver);

/*
 * io/pnp.c: AddDevice on a PDO, then IRP_MN_START_DEVICE; of a device that was stopped, only that. *added, *started: their NTSTATUS
 * values. A device on ISA gets its location here.
 */
NTSTATUS IopStartDevice(ULONG64 image_base, ULONG location, ULONG64 *added, ULONG64 *started);
NTSTATUS IopStartIsaDevice(ULONG64 image_base, const IOP_ISA *isa, ULONG64 *location, ULONG64 *added, ULONG64 *started);
/* *answer: the status of the query that comes first; where it fails the device goes on as before. */
NTSTATUS IopStopDevice(ULONG location, ULONG64 *answer);
NTSTATUS IopRemoveDevice(ULONG location, ULONG64 *answer);
NTSTATUS IopSurpriseRemoveDevice(ULONG location);
VOID IopReadDeviceState(PDEVICE_OBJECT device); /* IRP_MN_QUERY_PNP_DEVICE_STATE, and what follows */
VOID IopRemoveDevices(PDRIVER_OBJECT driver);   /* IRP_MN_REMOVE_DEVICE to each device that the driver serves */

/* To the top of the device's stack; *information, where given, is the IRP's, before and after. */
NTSTATUS IopSendPnp(PDEVICE_OBJECT pdo, const IO_STACK_LOCATION *what, ULONG_PTR *information);

/* io/pdoquery.c: the status that the IRP is to be completed with. */
NTSTATUS IopQueryPdo(PDEVICE_OBJECT device, PIRP irp);

/* io/pdo.c: the bus driver */
VOID IopInitializeBus(VOID);
PDEVICE_OBJECT IopFirstPdo(VOID);          /* the others by NextDevice */
PDEVICE_OBJECT IopFindPdo(ULONG location); /* NULL: not enumerated */
IOP_PDO *IopPdoOf(PDEVICE_OBJECT device);  /* NULL: not a PDO of ours */
NTSTATUS IopEnumerate(ULONG location, PDEVICE_OBJECT *device);
NTSTATUS IopEnumerateIsa(const IOP_ISA *isa, PDEVICE_OBJECT *device);

/*
 * io/resource.c: the resources of a PDO, as IRP_MN_START_DEVICE carries them, and what it could do with. The lists are pool, the caller
 * frees them. *messages, *line: what interrupts a list of requirements leaves it.
 */
NTSTATUS IopAssignInterrupts(IOP_PDO *pdo, ULONG messages, BOOLEAN line);
VOID IopReleaseInterrupts(IOP_PDO *pdo);
PCM_RESOURCE_LIST IopBuildResources(const IOP_PDO *pdo, BOOLEAN translated);
PIO_RESOURCE_REQUIREMENTS_LIST IopBuildRequirements(const IOP_PDO *pdo);
VOID IopReadRequirements(const IO_RESOURCE_REQUIREMENTS_LIST *list, ULONG *messages, BOOLEAN *line);

/* io/bus.c: configuration space of a PCI function, byte by byte. Return how many; IRQL <= DISPATCH_LEVEL. */
ULONG IopReadConfig(ULONG location, PUCHAR buffer, ULONG offset, ULONG length);
ULONG IopWriteConfig(ULONG location, const UCHAR *buffer, ULONG offset, ULONG length);

VOID IopPutLocation(WCHAR *digits, ULONG location); /* io/links.c: four hexadecimal digits */

/* io/line.c: the pins of the I/O APIC and their vectors. */
ULONG IopLineVector(ULONG pin);                   /* 0: none left, or a pin that is the kernel's own or is none */
ULONG IopPinOfVector(ULONG vector);               /* BOOT_NO_PIN: no line's */
ULONG IopChooseCpu(KAFFINITY usable, ULONG turn); /* as the routing option says; IOP_NO_CPU: none of these may */
KAFFINITY IopDeviceProcessors(VOID);              /* those that the routing option lets take devices' interrupts */
/* Sets Cpu in *parameters. STATUS_INVALID_PARAMETER: cannot be shared so, or no CPU is allowed to all that share it. */
NTSTATUS IopConnectToLine(ULONG pin, PKINTERRUPT object, KI_INTERRUPT_PARAMETERS *parameters);
VOID IopDisconnectFromLine(ULONG pin, PKINTERRUPT object);
VOID IopHoldLine(ULONG pin); /* any IRQL: after something on it became active or inactive */
NTSTATUS IopRetargetLine(ULONG pin, ULONG cpu);

/*
 * Work in the name of a device or driver object (IRQL <= DISPATCH_LEVEL): the device, even if it is deleted meanwhile, and the
 * driver stay until it has ended. io/device.c, io/driver.c.
 */
VOID IopBeginWork(PVOID object);
VOID IopEndWork(PVOID object);
/* io/device.c: an open of a device (DEVICE_OBJECT.ReferenceCount). FALSE: it is exclusive, and open. <= DISPATCH_LEVEL. */
BOOLEAN IopTakeForOpen(PDEVICE_OBJECT device);
VOID IopLeaveOpen(PDEVICE_OBJECT device);
/* io/driver.c: an open file's devices are of these drivers, which are not unloaded meanwhile. */
VOID IopBeginOpen(PDRIVER_OBJECT driver);
VOID IopEndOpen(PDRIVER_OBJECT driver);
PSINGLE_LIST_ENTRY IopExtensionsOf(PDRIVER_OBJECT driver); /* of IoAllocateDriverObjectExtension */
VOID IopFreeExtensions(PDRIVER_OBJECT driver);             /* io/driverextension.c: the driver is about to go */
VOID IopInitializeThreadIrps(VOID);                        /* io/threadirp.c: boot CPU, once */
VOID IopInitializeWork(VOID);                              /* io/workitem.c: boot CPU, once */
VOID IopInitializeDma(VOID);                               /* io/dmachannel.c: boot CPU, once */

/* io/connect.c: disconnects what a device or an image left connected, and says so. */
VOID IopForceOff(const VOID *owner, ULONG64 base, ULONG64 size, PUNICODE_STRING whose);

/* io/passive.c: objects whose Irql is PASSIVE_LEVEL. The parameters have been checked. */
NTSTATUS IopConnectPassive(const KI_INTERRUPT_PARAMETERS *given, PKINTERRUPT *interrupt);
VOID IopDisconnectPassive(PKINTERRUPT object);
VOID IopSetPassiveActive(PKINTERRUPT object, BOOLEAN active); /* may wait */

/* io/messages.c. Connect: *p's table is set before the first interrupt. Retarget: message n to CPU (first_cpu + n). */
NTSTATUS IopConnectMessages(IOP_PDO *pdo, const IO_CONNECT_INTERRUPT_MESSAGE_BASED_PARAMETERS *p);
VOID IopDisconnectMessages(IOP_PDO *pdo, PIO_INTERRUPT_MESSAGE_INFO table);
NTSTATUS IopRetargetDevice(ULONG location, ULONG first_cpu); /* or its line to first_cpu */
VOID IopSetMessagesActive(PIO_INTERRUPT_MESSAGE_INFO table, BOOLEAN active);
