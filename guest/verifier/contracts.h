/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The routines whose contract is an IRQL, as their pages state it. X(name, first parameter of 0xC4, lowest IRQL, highest IRQL,
 * how many of the routine's own arguments follow the IRQL in the report, VI_CONTRACT_...). The first parameter is the documented one of
 * the routine where it has one, else that of a DDI compliance rule (Irql...), whose second parameter is a text, else 0xE5 (a
 * routine called at an incorrect IRQL). Of the many rules of the I/O manager for PASSIVE_LEVEL IrqlIoPassive1 stands for all, as
 * IrqlExApcLte3 and IrqlMmApcLte do for theirs. A routine that this kernel does not export is never asked for.
 *
 * Those that need more than a look at the IRQL have checked forms of their own: waits and signals in wait.c.
 */
#pragma once

#define RULE_ALLOCATE         0x02    /* IRQL, pool type, bytes; 0x01 for paged pool */
#define RULE_FREE             0x12    /* IRQL, pool type, address; 0x11 for paged pool */
#define RULE_FAST_ACQUIRE     0x33    /* IRQL, fast mutex */
#define RULE_FAST_RELEASE     0x34    /* IRQL, fast mutex */
#define RULE_LOCK_PAGES       0x70    /* IRQL, MDL, access mode */
#define RULE_MAP_IO           0x73    /* IRQL, physical address, bytes */
#define RULE_MAP_PAGES        0x74    /* IRQL, MDL, access mode */
#define RULE_MAP_PAGES_CACHED 0x76    /* IRQL, MDL, access mode */
#define RULE_UNLOCK_PAGES     0x78    /* IRQL, MDL */
#define RULE_UNMAP_PAGES      0x79    /* IRQL, address, MDL */
#define RULE_UNMAP_IO         0x7b    /* IRQL, address, bytes */
#define RULE_PAGES_FOR_MDL    0x7e    /* IRQL, DISPATCH_LEVEL */
#define RULE_KERNEL_API       0xe5    /* IRQL */
#define RULE_ENTER_CRITICAL   0x11a   /* IRQL */
#define RULE_LEAVE_CRITICAL   0x11b   /* IRQL */
#define RULE_DISPATCH         0x20003 /* IrqlDispatch */
#define RULE_EX_APC           0x20007 /* IrqlExApcLte3 */
#define RULE_EX_PASSIVE       0x20008 /* IrqlExPassive */
#define RULE_IO_PASSIVE       0x2000a /* IrqlIoPassive1 */
#define RULE_KE_APC           0x2000f /* IrqlKeApcLte1 */
#define RULE_KE_DISPATCH      0x20011 /* IrqlKeDispatchLte */
#define RULE_MM_APC           0x20019 /* IrqlMmApcLte */
#define RULE_OB_PASSIVE       0x2001b /* IrqlObPassive */
#define RULE_PS_PASSIVE       0x2001c /* IrqlPsPassive */
#define RULE_RTL_PASSIVE      0x2001e /* IrqlRtlPassive */
#define RULE_ZW_PASSIVE       0x2001f /* IrqlZwPassive */
#define RULE_FIRST_OF_DDI     0x20000

#define VI_CONTRACT_NO_LOCK  1 /* may not be called with a spin lock held (SPIN-17) */
#define VI_CONTRACT_NOT_DPC  2 /* what the routine itself does about a caller in a DPC comes first */
#define VI_CONTRACT_ALLOCATE 4 /* the kind of pool in the first argument decides */
#define VI_CONTRACT_FREE     8 /* the kind of pool that the first argument lies in decides */

#define VI_CONTRACT_ALLOCATE_2 32 /* the first argument is POOL_FLAGS */
#define VI_CONTRACT_RESIDENT   16 /* the first argument is not in pageable memory */

#define IPI_LEVEL_HERE VECTOR_IRQL(IPI_VECTOR)

/* clang-format off */
#define VI_CONTRACTS(X)                                                                                       \
    X(IoConnectInterrupt, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                \
    X(IoConnectInterruptEx, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                              \
    X(IoDisconnectInterrupt, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                             \
    X(IoDisconnectInterruptEx, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                           \
    X(HalGetInterruptVector, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                             \
    X(IoGetDmaAdapter, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                   \
    X(HalGetAdapter, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                     \
    X(HalPutDmaAdapter, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                  \
    X(HalAllocateCommonBuffer, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                           \
    X(HalFreeCommonBuffer, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                               \
    X(HalAssignSlotResources, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                            \
    X(IoAllocateAdapterChannel, RULE_DISPATCH, DISPATCH_LEVEL, DISPATCH_LEVEL, 0, 0)                          \
    X(HalAllocateAdapterChannel, RULE_DISPATCH, DISPATCH_LEVEL, DISPATCH_LEVEL, 0, 0)                         \
    X(HalGetScatterGatherList, RULE_DISPATCH, DISPATCH_LEVEL, DISPATCH_LEVEL, 0, 0)                           \
    X(HalPutScatterGatherList, RULE_DISPATCH, DISPATCH_LEVEL, DISPATCH_LEVEL, 0, 0)                           \
    X(IoFreeAdapterChannel, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                            \
    X(IoFreeMapRegisters, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                              \
    X(IoMapTransfer, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                   \
    X(IoFlushAdapterBuffers, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                           \
    X(HalReadDmaCounter, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                               \
    X(HalGetBusData, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                   \
    X(HalSetBusData, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                   \
    X(HalGetBusDataByOffset, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                           \
    X(HalSetBusDataByOffset, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                           \
    X(PoCallDriver, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                    \
    X(PoStartNextPowerIrp, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                             \
    X(PoSetPowerState, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                 \
    X(PoRequestPowerIrp, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                               \
    X(IoGetDeviceProperty, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                               \
    X(IoInvalidateDeviceState, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                         \
    X(IoWMIRegistrationControl, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                          \
    X(IoCreateDevice, RULE_IO_PASSIVE, PASSIVE_LEVEL, APC_LEVEL, 0, 0)                                        \
    X(IoDeleteDevice, RULE_IO_PASSIVE, PASSIVE_LEVEL, APC_LEVEL, 0, 0)                                        \
    X(IoCreateSymbolicLink, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                              \
    X(IoCreateUnprotectedSymbolicLink, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                   \
    X(IoDeleteSymbolicLink, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                              \
    X(IoRegisterDeviceInterface, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                         \
    X(IoSetDeviceInterfaceState, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                         \
    X(IoGetDeviceObjectPointer, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                          \
    X(IoCreateNotificationEvent, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                         \
    X(IoCreateSynchronizationEvent, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                      \
    X(IoBuildSynchronousFsdRequest, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                      \
    X(IoBuildDeviceIoControlRequest, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                     \
    X(ZwCreateFile, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                      \
    X(ZwOpenFile, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                        \
    X(ZwReadFile, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                        \
    X(ZwWriteFile, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                       \
    X(ZwDeviceIoControlFile, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                             \
    X(ZwFlushBuffersFile, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                \
    X(ZwQueryInformationFile, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                            \
    X(ZwSetInformationFile, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                              \
    X(ZwCreateEvent, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                     \
    X(ZwSetEvent, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                        \
    X(ZwClearEvent, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                      \
    X(IoAttachDeviceToDeviceStackSafe, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                 \
    X(IoGetAttachedDeviceReference, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                    \
    X(IoGetLowerDeviceObject, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                          \
    X(IoGetRelatedDeviceObject, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                        \
    X(IoInitializeIrp, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                 \
    X(IoReuseIrp, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                      \
    X(IoMakeAssociatedIrp, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                             \
    X(IoBuildAsynchronousFsdRequest, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                   \
    X(ObReferenceObjectByPointer, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                      \
    X(ObDereferenceObjectDeferDelete, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                  \
    X(IoSetShareAccess, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                  \
    X(IoCheckShareAccess, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                \
    X(IoUpdateShareAccess, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                               \
    X(IoRemoveShareAccess, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                               \
    X(IoAllocateDriverObjectExtension, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                 \
    X(IoGetDriverObjectExtension, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                      \
    X(IoAllocateErrorLogEntry, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                         \
    X(IoFreeErrorLogEntry, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                             \
    X(IoWriteErrorLogEntry, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                            \
    X(IoForwardIrpSynchronously, RULE_IO_PASSIVE, PASSIVE_LEVEL, APC_LEVEL, 0, 0)                             \
    X(IoAttachDeviceToDeviceStack, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                     \
    X(IoDetachDevice, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                  \
    X(IoGetAttachedDevice, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                             \
    X(IoReportInterruptActive, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                         \
    X(IoReportInterruptInactive, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                       \
    X(IoAllocateIrp, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                   \
    X(KeInitializeDeviceQueue, RULE_KERNEL_API, PASSIVE_LEVEL, HIGH_LEVEL, 0, VI_CONTRACT_RESIDENT)           \
    X(KeInsertDeviceQueue, RULE_DISPATCH, DISPATCH_LEVEL, DISPATCH_LEVEL, 0, 0)                               \
    X(KeInsertByKeyDeviceQueue, RULE_DISPATCH, DISPATCH_LEVEL, DISPATCH_LEVEL, 0, 0)                          \
    X(KeRemoveDeviceQueue, RULE_DISPATCH, DISPATCH_LEVEL, DISPATCH_LEVEL, 0, 0)                               \
    X(KeRemoveByKeyDeviceQueue, RULE_DISPATCH, DISPATCH_LEVEL, DISPATCH_LEVEL, 0, 0)                          \
    X(KeRemoveByKeyDeviceQueueIfBusy, RULE_DISPATCH, DISPATCH_LEVEL, DISPATCH_LEVEL, 0, 0)                    \
    X(KeRemoveEntryDeviceQueue, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                        \
    X(IoStartPacket, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, VI_CONTRACT_NO_LOCK)                 \
    X(IoStartNextPacket, RULE_DISPATCH, DISPATCH_LEVEL, DISPATCH_LEVEL, 0, VI_CONTRACT_NO_LOCK)               \
    X(IoStartNextPacketByKey, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, VI_CONTRACT_NO_LOCK)        \
    X(IoCsqInsertIrp, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                  \
    X(IoCsqInsertIrpEx, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                \
    X(IoCsqRemoveIrp, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                  \
    X(IoCsqRemoveNextIrp, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                              \
    X(IoStartTimer, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                    \
    X(IoStopTimer, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                     \
    X(IoAllocateWorkItem, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                              \
    X(IoFreeWorkItem, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                  \
    X(IoQueueWorkItem, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                 \
    X(ExQueueWorkItem, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                 \
    X(IoAllocateMdl, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                   \
    X(IoFreeMdl, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                       \
    X(IoBuildPartialMdl, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                               \
    X(KeFlushQueuedDpcs, RULE_KE_APC, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, VI_CONTRACT_NOT_DPC)                   \
    X(KeGenericCallDpc, RULE_KE_APC, PASSIVE_LEVEL, APC_LEVEL, 0, VI_CONTRACT_NOT_DPC)                        \
    X(KeSignalCallDpcDone, RULE_DISPATCH, DISPATCH_LEVEL, DISPATCH_LEVEL, 0, 0)                               \
    X(KeSignalCallDpcSynchronize, RULE_DISPATCH, DISPATCH_LEVEL, DISPATCH_LEVEL, 0, 0)                        \
    X(KeIpiGenericCall, RULE_KE_DISPATCH, PASSIVE_LEVEL, IPI_LEVEL_HERE - 1, 0, 0)                            \
    X(KeInitializeEvent, RULE_KERNEL_API, PASSIVE_LEVEL, HIGH_LEVEL, 0, VI_CONTRACT_RESIDENT)                 \
    X(KeInitializeMutex, RULE_KERNEL_API, PASSIVE_LEVEL, HIGH_LEVEL, 0, VI_CONTRACT_RESIDENT)                 \
    X(KeInitializeSemaphore, RULE_KERNEL_API, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, VI_CONTRACT_RESIDENT)          \
    X(KeInitializeTimer, RULE_KERNEL_API, PASSIVE_LEVEL, HIGH_LEVEL, 0, VI_CONTRACT_RESIDENT)                 \
    X(KeInitializeTimerEx, RULE_KERNEL_API, PASSIVE_LEVEL, HIGH_LEVEL, 0, VI_CONTRACT_RESIDENT)               \
    X(KeInitializeDpc, RULE_KERNEL_API, PASSIVE_LEVEL, HIGH_LEVEL, 0, VI_CONTRACT_RESIDENT)                   \
    X(KeInitializeThreadedDpc, RULE_KERNEL_API, PASSIVE_LEVEL, HIGH_LEVEL, 0, VI_CONTRACT_RESIDENT)           \
    X(KeResetEvent, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                    \
    X(KeSetTimer, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, VI_CONTRACT_RESIDENT)                   \
    X(KeSetTimerEx, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, VI_CONTRACT_RESIDENT)                 \
    X(KeSetCoalescableTimer, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, VI_CONTRACT_RESIDENT)        \
    X(KeCancelTimer, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, VI_CONTRACT_RESIDENT)                \
    X(KeSetPriorityThread, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                             \
    X(KeQueryPriorityThread, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                           \
    X(KeSetBasePriorityThread, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                         \
    X(KeSetSystemAffinityThread, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                       \
    X(KeSetSystemAffinityThreadEx, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                     \
    X(KeRevertToUserAffinityThread, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                    \
    X(KeRevertToUserAffinityThreadEx, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                  \
    X(KeClearEvent, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                    \
    X(KeEnterCriticalRegion, RULE_ENTER_CRITICAL, PASSIVE_LEVEL, APC_LEVEL, 0, 0)                             \
    X(KeEnterGuardedRegion, RULE_KE_APC, PASSIVE_LEVEL, APC_LEVEL, 0, 0)                                      \
    X(KeAreApcsDisabled, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                               \
    X(KeAreAllApcsDisabled, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                            \
    X(KeInsertQueueApc, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, VI_CONTRACT_RESIDENT)             \
    X(KeRemoveQueueApc, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                \
    X(KeInitializeQueue, RULE_KERNEL_API, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                 \
    X(KeInsertQueue, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                   \
    X(KeInsertHeadQueue, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                               \
    X(KeRundownQueue, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                  \
    X(PsCreateSystemThread, RULE_PS_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                              \
    X(ObReferenceObjectByHandle, RULE_OB_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                         \
    X(ObfReferenceObject, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                              \
    X(ObfDereferenceObject, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                            \
    X(ZwClose, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                           \
    X(RtlCompareUnicodeString, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                          \
    X(RtlCompareUnicodeStrings, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                         \
    X(RtlEqualUnicodeString, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                            \
    X(RtlPrefixUnicodeString, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                           \
    X(RtlCompareString, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                 \
    X(RtlEqualString, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                   \
    X(RtlPrefixString, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                  \
    X(RtlHashUnicodeString, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                             \
    X(RtlUpcaseUnicodeChar, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                             \
    X(RtlDowncaseUnicodeChar, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                           \
    X(RtlUpperChar, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                     \
    X(RtlUpperString, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                   \
    X(RtlUpcaseUnicodeString, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                           \
    X(RtlDowncaseUnicodeString, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                         \
    X(RtlAnsiStringToUnicodeString, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                     \
    X(RtlUnicodeStringToAnsiString, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                     \
    X(RtlOemStringToUnicodeString, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                      \
    X(RtlUnicodeStringToOemString, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                      \
    X(RtlxAnsiStringToUnicodeSize, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                      \
    X(RtlxUnicodeStringToAnsiSize, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                      \
    X(RtlxOemStringToUnicodeSize, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                       \
    X(RtlxUnicodeStringToOemSize, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                       \
    X(RtlMultiByteToUnicodeN, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                           \
    X(RtlUnicodeToMultiByteN, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                           \
    X(RtlOemToUnicodeN, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                 \
    X(RtlUnicodeToOemN, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                 \
    X(RtlMultiByteToUnicodeSize, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                        \
    X(RtlUnicodeToMultiByteSize, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                        \
    X(RtlFreeUnicodeString, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                             \
    X(RtlFreeAnsiString, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                \
    X(RtlFreeOemString, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                 \
    X(RtlDuplicateUnicodeString, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                        \
    X(RtlCreateUnicodeString, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                           \
    X(RtlIntegerToUnicodeString, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                        \
    X(RtlInt64ToUnicodeString, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                          \
    X(RtlUnicodeStringToInteger, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                        \
    X(RtlCharToInteger, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                 \
    X(RtlStringFromGUID, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                \
    X(RtlGUIDFromString, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                \
    X(ZwOpenKey, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                         \
    X(ZwOpenKeyEx, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                       \
    X(ZwCreateKey, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                       \
    X(ZwDeleteKey, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                       \
    X(ZwFlushKey, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                        \
    X(ZwQueryKey, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                        \
    X(ZwEnumerateKey, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                    \
    X(ZwQueryValueKey, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                   \
    X(ZwEnumerateValueKey, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                               \
    X(ZwSetValueKey, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                     \
    X(ZwDeleteValueKey, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                  \
    X(RtlQueryRegistryValues, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                           \
    X(RtlWriteRegistryValue, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                            \
    X(RtlCheckRegistryKey, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                              \
    X(RtlCreateRegistryKey, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                             \
    X(RtlDeleteRegistryValue, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                           \
    X(RtlUTF8ToUnicodeN, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                \
    X(RtlUnicodeToUTF8N, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                \
    X(RtlGetVersion, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                    \
    X(RtlVerifyVersionInfo, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                             \
    X(RtlIsNtDdiVersionAvailable, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                       \
    X(PsGetVersion, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                     \
    X(VerSetConditionMask, RULE_RTL_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                              \
    X(KeSetSystemGroupAffinityThread, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                  \
    X(KeRevertToUserGroupAffinityThread, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)               \
    X(KeSaveFloatingPointState, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                        \
    X(KeRestoreFloatingPointState, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                     \
    X(KeSaveExtendedProcessorState, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                    \
    X(KeRestoreExtendedProcessorState, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                 \
    X(ExReleaseRundownProtectionCacheAware, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)            \
    X(ExReleaseRundownProtectionCacheAwareEx, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)          \
    X(ExWaitForRundownProtectionReleaseCacheAware, RULE_EX_APC, PASSIVE_LEVEL, APC_LEVEL, 0, 0)               \
    X(ExFreeCacheAwareRundownProtection, RULE_EX_APC, PASSIVE_LEVEL, APC_LEVEL, 0, 0)                         \
    X(ExAllocateCacheAwareRundownProtection, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)           \
    X(ExUuidCreate, RULE_EX_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                      \
    X(ExSetTimerResolution, RULE_EX_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                              \
    X(ExVerifySuite, RULE_EX_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                                     \
    X(ZwAllocateLocallyUniqueId, RULE_ZW_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                         \
    X(MmGetSystemRoutineAddress, RULE_MM_APC, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                             \
    X(IoOpenDeviceRegistryKey, RULE_IO_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                           \
    X(ExRaiseStatus, RULE_EX_PASSIVE, PASSIVE_LEVEL, APC_LEVEL, 0, 0)                                         \
    X(ExRaiseAccessViolation, RULE_EX_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                            \
    X(ExRaiseDatatypeMisalignment, RULE_EX_PASSIVE, PASSIVE_LEVEL, PASSIVE_LEVEL, 0, 0)                       \
    X(ExAllocatePoolWithTag, RULE_ALLOCATE, PASSIVE_LEVEL, DISPATCH_LEVEL, 2, VI_CONTRACT_ALLOCATE)           \
    X(ExAllocatePool, RULE_ALLOCATE, PASSIVE_LEVEL, DISPATCH_LEVEL, 2, VI_CONTRACT_ALLOCATE)                  \
    X(ExFreePoolWithTag, RULE_FREE, PASSIVE_LEVEL, DISPATCH_LEVEL, 2, VI_CONTRACT_FREE)                       \
    X(ExFreePool, RULE_FREE, PASSIVE_LEVEL, DISPATCH_LEVEL, 2, VI_CONTRACT_FREE)                              \
    X(ExAllocatePoolWithTagPriority, RULE_ALLOCATE, PASSIVE_LEVEL, DISPATCH_LEVEL, 2, VI_CONTRACT_ALLOCATE)   \
    X(ExAllocatePoolWithQuota, RULE_ALLOCATE, PASSIVE_LEVEL, DISPATCH_LEVEL, 2, VI_CONTRACT_ALLOCATE)         \
    X(ExAllocatePoolWithQuotaTag, RULE_ALLOCATE, PASSIVE_LEVEL, DISPATCH_LEVEL, 2, VI_CONTRACT_ALLOCATE)      \
    X(ExAllocatePool2, RULE_ALLOCATE, PASSIVE_LEVEL, DISPATCH_LEVEL, 2, VI_CONTRACT_ALLOCATE_2)               \
    X(ExAllocatePool3, RULE_ALLOCATE, PASSIVE_LEVEL, DISPATCH_LEVEL, 2, VI_CONTRACT_ALLOCATE_2)               \
    X(ExFreePool2, RULE_FREE, PASSIVE_LEVEL, DISPATCH_LEVEL, 2, VI_CONTRACT_FREE)                             \
    X(ExInitializeResourceLite, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, VI_CONTRACT_RESIDENT)     \
    X(ExReinitializeResourceLite, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, VI_CONTRACT_RESIDENT)   \
    X(ExDeleteResourceLite, RULE_EX_APC, PASSIVE_LEVEL, APC_LEVEL, 0, 0)                                      \
    X(ExConvertExclusiveToSharedLite, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                  \
    X(ExReleaseResourceForThreadLite, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                  \
    X(ExReleaseResourceAndLeaveCriticalRegion, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)         \
    X(ExSetResourceOwnerPointer, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                       \
    X(ExIsResourceAcquiredExclusiveLite, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)               \
    X(ExIsResourceAcquiredSharedLite, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                  \
    X(ExGetExclusiveWaiterCount, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                       \
    X(ExGetSharedWaiterCount, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                          \
    X(ExReleaseRundownProtection, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                      \
    X(ExReleaseRundownProtectionEx, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                    \
    X(ExWaitForRundownProtectionRelease, RULE_EX_APC, PASSIVE_LEVEL, APC_LEVEL, 0, 0)                         \
    X(IoInitializeWorkItem, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                            \
    X(IoUninitializeWorkItem, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                          \
    X(IoQueueWorkItemEx, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                               \
    X(KeAlertThread, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                   \
    X(KeTestAlertThread, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                               \
    X(KeInitializeGuardedMutex, RULE_KERNEL_API, PASSIVE_LEVEL, HIGH_LEVEL, 0, VI_CONTRACT_RESIDENT)          \
    X(KeInitializeApc, RULE_KERNEL_API, PASSIVE_LEVEL, HIGH_LEVEL, 0, VI_CONTRACT_RESIDENT)                   \
    X(ProbeForRead, RULE_EX_APC, PASSIVE_LEVEL, APC_LEVEL, 0, 0)                                              \
    X(ProbeForWrite, RULE_EX_APC, PASSIVE_LEVEL, APC_LEVEL, 0, 0)                                             \
    X(MmMapIoSpace, RULE_MAP_IO, PASSIVE_LEVEL, DISPATCH_LEVEL, 2, 0)                                         \
    X(MmUnmapIoSpace, RULE_UNMAP_IO, PASSIVE_LEVEL, APC_LEVEL, 2, 0)                                          \
    X(MmLockPagableDataSection, RULE_MM_APC, PASSIVE_LEVEL, APC_LEVEL, 0, 0)                                  \
    X(MmLockPagableSectionByHandle, RULE_MM_APC, PASSIVE_LEVEL, APC_LEVEL, 0, 0)                              \
    X(MmUnlockPagableImageSection, RULE_MM_APC, PASSIVE_LEVEL, APC_LEVEL, 0, 0)                               \
    X(MmPageEntireDriver, RULE_MM_APC, PASSIVE_LEVEL, APC_LEVEL, 0, 0)                                        \
    X(MmResetDriverPaging, RULE_MM_APC, PASSIVE_LEVEL, APC_LEVEL, 0, 0)                                       \
    X(ExAllocateTimer, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                 \
    X(ExSetTimer, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                      \
    X(ExCancelTimer, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                   \
    X(ExDeleteTimer, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                                   \
    X(ExInitializeNPagedLookasideList, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, VI_CONTRACT_RESIDENT)\
    X(ExDeleteNPagedLookasideList, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                     \
    X(ExInitializeLookasideListEx, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                     \
    X(ExDeleteLookasideListEx, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                         \
    X(ExFlushLookasideListEx, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                          \
    X(ExInitializePagedLookasideList, RULE_EX_APC, PASSIVE_LEVEL, APC_LEVEL, 0, 0)                            \
    X(ExDeletePagedLookasideList, RULE_EX_APC, PASSIVE_LEVEL, APC_LEVEL, 0, 0)                                \
    X(MmAllocatePagesForMdl, RULE_PAGES_FOR_MDL, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                         \
    X(MmAllocatePagesForMdlEx, RULE_PAGES_FOR_MDL, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                       \
    X(MmFreePagesFromMdl, RULE_PAGES_FOR_MDL, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                            \
    X(MmAllocateContiguousMemory, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                      \
    X(MmAllocateContiguousMemorySpecifyCache, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)          \
    X(MmAllocateNonCachedMemory, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                       \
    X(MmBuildMdlForNonPagedPool, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                       \
    X(MmFreeContiguousMemory, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                          \
    X(MmFreeContiguousMemorySpecifyCache, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)              \
    X(MmFreeNonCachedMemory, RULE_KE_DISPATCH, PASSIVE_LEVEL, DISPATCH_LEVEL, 0, 0)                           \
    X(MmProbeAndLockPages, RULE_LOCK_PAGES, PASSIVE_LEVEL, DISPATCH_LEVEL, 2, 0)                              \
    X(MmUnlockPages, RULE_UNLOCK_PAGES, PASSIVE_LEVEL, DISPATCH_LEVEL, 1, 0)                                  \
    X(MmMapLockedPages, RULE_MAP_PAGES, PASSIVE_LEVEL, DISPATCH_LEVEL, 2, 0)                                  \
    X(MmMapLockedPagesSpecifyCache, RULE_MAP_PAGES_CACHED, PASSIVE_LEVEL, DISPATCH_LEVEL, 2, 0)               \
    X(MmUnmapLockedPages, RULE_UNMAP_PAGES, PASSIVE_LEVEL, DISPATCH_LEVEL, 2, 0)
/* clang-format on */
