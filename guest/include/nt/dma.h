/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DMA adapters: the contracts (see ../nt.h). Most of it is reached through the table DMA_OPERATIONS of an adapter; the names of the
 * older forms (IoAllocateAdapterChannel, IoMapTransfer, IoFlushAdapterBuffers, IoFreeAdapterChannel, IoFreeMapRegisters,
 * HalAllocateCommonBuffer, HalFreeCommonBuffer, HalReadDmaCounter, HalPutDmaAdapter, HalGetScatterGatherList,
 * HalPutScatterGatherList), which the DDK's headers have inline, are exported with the same meaning.
 *
 * AllocateCommonBuffer, FreeCommonBuffer, PutDmaAdapter: PASSIVE_LEVEL. AllocateAdapterChannel, GetScatterGatherList,
 * BuildScatterGatherList, PutScatterGatherList: DISPATCH_LEVEL. The others: IRQL <= DISPATCH_LEVEL. With the verifier on a wrong
 * IRQL, freeing what is not there, and an adapter put with things left are bugcheck 0xE6.
 *
 * The driver's routine (AdapterControl, AdapterListControl) is called at DISPATCH_LEVEL, no lock held, as soon as the channel
 * (of a controller: of all its adapters; of a bus master: the adapter) is free and the map registers are there: at once on this CPU, or
 * where they are given back, in the order in which they were asked for. One routine at a time for a channel.
 */
#pragma once

#include "../ddk.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/*
 * PASSIVE_LEVEL. NULL: no memory, a description of a later version than DEVICE_DESCRIPTION_VERSION2, or no such channel of that
 * width. A bus master reaches 64, 32 or, where neither is said, 24 bits of address. What lies beyond, and what a device without
 * scatter/gather has to have in one piece, is copied through map registers, at most 64 pages for an adapter, 16 (32) for a
 * channel of bytes (words); *NumberOfMapRegisters says how many.
 */
PDMA_ADAPTER NTAPI IoGetDmaAdapter(PDEVICE_OBJECT PhysicalDeviceObject, PDEVICE_DESCRIPTION DeviceDescription,
                                   PULONG NumberOfMapRegisters);
PADAPTER_OBJECT NTAPI HalGetAdapter(PDEVICE_DESCRIPTION DeviceDescription, PULONG NumberOfMapRegisters);

/* NOLINTEND(readability-redundant-declaration) */
