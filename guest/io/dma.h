/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DMA adapters between their files: what a driver's DMA_ADAPTER is, the channel that its users queue for, and the map registers
 * of one use. A map register is a page that the device can reach, used in place of one that it cannot. IRQL <= DISPATCH_LEVEL.
 */
#pragma once

#include "iop.h"

#define IOP_MAP_REGISTERS 64 /* of an adapter, at most: a word of bits */
#define IOP_NO_CHANNEL    0xffu
#define POOL_TAG_DMA      ' AMD'

/* What one user at a time owns from its AdapterControl routine on: an 8237's channel, or a bus master's adapter. */
typedef struct _IOP_DMA_CHANNEL {
    KSPIN_LOCK Lock;    /* of all that queue here, and of their adapters' counts and map registers */
    LIST_ENTRY Waiters; /* IOP_DMA_MAP.Link, first come, first served. Flink NULL: not used yet */
    struct _IOP_DMA_MAP *Owner;
} IOP_DMA_CHANNEL;

typedef struct _IOP_ADAPTER {
    DMA_ADAPTER Public;
    IOP_DMA_CHANNEL *Channel;
    IOP_DMA_CHANNEL Own;   /* of a bus master */
    ULONG Number;          /* of the 8237s' channel; IOP_NO_CHANNEL: a bus master */
    ULONG Mode;            /* DMA_MODE_... */
    BOOLEAN ScatterGather; /* a transfer may be in pieces */
    ULONG64 Highest;       /* address that the device reaches */
    ULONG64 Boundary;      /* that no piece crosses; 0: none */
    ULONG Registers;       /* that its users may have at a time */
    PUCHAR Bounce;         /* the map registers' memory; NULL: the device reaches all, in pieces */
    ULONG64 BouncePhysical;
    ULONG64 Used;          /* bit n: map register n is somebody's */
    ULONG Maps;            /* allocations of map registers that have not been freed */
    ULONG Lists;           /* scatter/gather lists that have not been put */
    volatile LONG Buffers; /* common buffers */
} IOP_ADAPTER;

typedef struct _IOP_DMA_SLOT {
    PMDL Mdl; /* of what lies in this register and those that follow it; NULL: nothing does */
    PUCHAR Va;
    ULONG Bytes;
} IOP_DMA_SLOT;

/* One allocation: the MapRegisterBase of drivers. In the queue until it has its registers. */
typedef struct _IOP_DMA_MAP {
    LIST_ENTRY Link;
    IOP_ADAPTER *Adapter;
    PDRIVER_CONTROL Routine;
    PVOID Context;
    PDEVICE_OBJECT Device;
    PIRP Irp; /* the device's current one when it was asked for */
    ULONG First, Count;
    ULONG Next;       /* register that the next transfer begins in, counted from First */
    ULONG64 Unmapped; /* bytes mapped and not flushed yet, those in place included */
    BOOLEAN InList;   /* part of a larger block: not freed here */
    IOP_DMA_SLOT Slot[];
} IOP_DMA_MAP;

static inline IOP_ADAPTER *IopAdapterOf(PDMA_ADAPTER adapter) {
    return CONTAINING_RECORD(adapter, IOP_ADAPTER, Public);
}

/* bug-check-0xe6, which the headers leave out, and its first parameters. */
#define DRIVER_VERIFIER_DMA_VIOLATION 0xe6

#define DMA_MISCELLANEOUS   0x00
#define DMA_FREED_BUFFERS   0x03
#define DMA_FREED_CHANNELS  0x04
#define DMA_FREED_REGISTERS 0x05
#define DMA_FREED_LISTS     0x06
#define DMA_LEFT_BUFFERS    0x07
#define DMA_LEFT_CHANNEL    0x08
#define DMA_LEFT_REGISTERS  0x09
#define DMA_LEFT_LISTS      0x0a
#define DMA_MANY_REGISTERS  0x0c
#define DMA_STILL_MAPPED    0x10
#define DMA_IRQL            0x13
#define DMA_OUTSIDE_OF_MDL  0x1b
#define DMA_ZERO_LENGTH     0x21

/* io/dmaadapter.c. A bugcheck 0xE6 while the verifier is on, otherwise nothing. */
VOID IopDmaViolation(ULONG64 what, ULONG64 parameter2, ULONG64 parameter3, ULONG64 parameter4);
VOID IopDmaIrql(KIRQL least, KIRQL most); /* the caller's */

/* io/dmachannel.c */
VOID IopInitializeChannel(IOP_DMA_CHANNEL *channel);
IOP_DMA_CHANNEL *IopSystemChannel(ULONG number);
ULONG64 IopMapBytes(const IOP_ADAPTER *adapter, ULONG registers); /* memory that a map of so many takes */
/* Zeroed but for these. */
VOID IopPrepareMap(IOP_DMA_MAP *map, IOP_ADAPTER *adapter, PDEVICE_OBJECT device, ULONG registers,
                   PDRIVER_CONTROL routine, PVOID context);
VOID IopQueueMap(IOP_DMA_MAP *map);                    /* calls the routine, at once or when it is its turn */
VOID IopReleaseMap(IOP_DMA_MAP *map, ULONG registers); /* and whoever waits for them has his turn; 0: all of them */
NTSTATUS NTAPI IopAllocateAdapterChannel(PDMA_ADAPTER DmaAdapter, PDEVICE_OBJECT DeviceObject,
                                         ULONG NumberOfMapRegisters, PDRIVER_CONTROL ExecutionRoutine, PVOID Context);
VOID NTAPI IopFreeAdapterChannel(PDMA_ADAPTER DmaAdapter);
VOID NTAPI IopFreeMapRegisters(PDMA_ADAPTER DmaAdapter, PVOID MapRegisterBase, ULONG NumberOfMapRegisters);

/* io/dmamap.c */
PHYSICAL_ADDRESS NTAPI IopMapTransfer(PDMA_ADAPTER DmaAdapter, PMDL Mdl, PVOID MapRegisterBase, PVOID CurrentVa,
                                      PULONG Length, BOOLEAN WriteToDevice);
BOOLEAN NTAPI IopFlushAdapterBuffers(PDMA_ADAPTER DmaAdapter, PMDL Mdl, PVOID MapRegisterBase, PVOID CurrentVa,
                                     ULONG Length, BOOLEAN WriteToDevice);
VOID IopFlushMap(IOP_DMA_MAP *map, BOOLEAN to_device); /* all of it */

/* io/dmalist.c */
NTSTATUS NTAPI IopGetScatterGatherList(PDMA_ADAPTER DmaAdapter, PDEVICE_OBJECT DeviceObject, PMDL Mdl, PVOID CurrentVa,
                                       ULONG Length, PDRIVER_LIST_CONTROL ExecutionRoutine, PVOID Context,
                                       BOOLEAN WriteToDevice);
VOID NTAPI IopPutScatterGatherList(PDMA_ADAPTER DmaAdapter, PSCATTER_GATHER_LIST ScatterGather, BOOLEAN WriteToDevice);
NTSTATUS NTAPI IopCalculateScatterGatherListSize(PDMA_ADAPTER DmaAdapter, PMDL Mdl, PVOID CurrentVa, ULONG Length,
                                                 PULONG ScatterGatherListSize, PULONG NumberOfMapRegisters);
NTSTATUS NTAPI IopBuildScatterGatherList(PDMA_ADAPTER DmaAdapter, PDEVICE_OBJECT DeviceObject, PMDL Mdl,
                                         PVOID CurrentVa, ULONG Length, PDRIVER_LIST_CONTROL ExecutionRoutine,
                                         PVOID Context, BOOLEAN WriteToDevice, PVOID ScatterGatherBuffer,
                                         ULONG ScatterGatherLength);
NTSTATUS NTAPI IopBuildMdlFromScatterGatherList(PDMA_ADAPTER DmaAdapter, PSCATTER_GATHER_LIST ScatterGather,
                                                PMDL OriginalMdl, PMDL *TargetMdl);
