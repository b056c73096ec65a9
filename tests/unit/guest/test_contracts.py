# SPDX-License-Identifier: Apache-2.0
"""Every routine that drivers may import has its contract checked by the verifier, or stands here with the reason."""

from __future__ import annotations

import re
from pathlib import Path

from dirql.guest import artifacts
from dirql.guest.image import KernelImage

VERIFIER = Path(__file__).resolve().parents[3] / "guest" / "verifier"
_TABLED = re.compile(r"^    X\((\w+), ", re.MULTILINE)
_CHECKED = re.compile(r"\bNT_VERIFIED\(\s*(\w+)\s*,")

REGISTER_WIDTHS = ("UCHAR", "USHORT", "ULONG", "ULONG64")

ANY_IRQL = {
    *("DbgPrint", "DbgPrintEx", "vDbgPrintEx", "vDbgPrintExWithPrefix", "KeBugCheck", "KeBugCheckEx"),
    *("DbgQueryDebugFilterState", "DbgSetDebugFilterState"),
    *("RtlInitializeBitMap", "RtlSetBit", "RtlClearBit", "RtlSetBits", "RtlClearBits", "RtlSetAllBits"),
    *("RtlClearAllBits", "RtlTestBit", "RtlAreBitsSet", "RtlAreBitsClear", "RtlNumberOfSetBits"),
    *("RtlNumberOfClearBits", "RtlNumberOfSetBitsUlongPtr", "RtlFindMostSignificantBit"),
    *("RtlFindLeastSignificantBit", "RtlFindClearBits", "RtlFindSetBits", "RtlFindClearBitsAndSet"),
    *("RtlFindSetBitsAndClear", "RtlFindNextForwardRunClear", "RtlFindFirstRunClear", "RtlFindClearRuns"),
    *("RtlFindLastBackwardRunClear", "RtlFindLongestRunClear"),
    *("RtlTimeToTimeFields", "RtlTimeFieldsToTime", "RtlTimeToSecondsSince1970", "RtlTimeToSecondsSince1980"),
    *("RtlSecondsSince1970ToTime", "RtlSecondsSince1980ToTime", "ExSystemTimeToLocalTime"),
    *("ExLocalTimeToSystemTime", "RtlRandom", "RtlRandomEx"),
    *("RtlUshortByteSwap", "RtlUlongByteSwap", "RtlUlonglongByteSwap", "RtlGetEnabledExtendedFeatures"),
    *("KeQueryActiveProcessorCountEx", "KeQueryMaximumProcessorCountEx", "KeQueryActiveGroupCount"),
    *("KeQueryMaximumGroupCount", "KeQueryGroupAffinity", "KeQueryHighestNodeNumber", "KeGetCurrentNodeNumber"),
    *("KeQueryNodeActiveAffinity", "KeGetCurrentProcessorNumberEx", "KeGetProcessorNumberFromIndex"),
    "KeGetProcessorIndexFromNumber",
    *("KeRegisterBugCheckCallback", "KeDeregisterBugCheckCallback", "KeRegisterBugCheckReasonCallback"),
    *("KeDeregisterBugCheckReasonCallback", "DbgBreakPoint", "DbgBreakPointWithStatus", "RtlAssert"),
    *("IoGetCurrentProcess", "PsGetCurrentProcess", "PsGetCurrentProcessId", "PsGetProcessId", "PsGetThreadId"),
    *("PsGetThreadProcessId", "PsIsSystemThread", "ExGetPreviousMode", "ExIsProcessorFeaturePresent"),
    *("ExSizeOfRundownProtectionCacheAware", "ExInitializeRundownProtectionCacheAware"),
    *("ExAcquireRundownProtectionCacheAware", "ExAcquireRundownProtectionCacheAwareEx"),
    *("ExReInitializeRundownProtectionCacheAware", "ExRundownCompletedCacheAware"),
    *("RtlInitString", "RtlInitAnsiString", "RtlInitUnicodeString", "RtlInitAnsiStringEx", "RtlInitUnicodeStringEx"),
    *("RtlCopyString", "RtlCopyUnicodeString", "RtlAppendUnicodeToString", "RtlAppendUnicodeStringToString"),
    *("RtlAppendStringToString", "RtlAppendAsciizToString", "RtlValidateUnicodeString"),
    *("RtlCompareMemory", "RtlCompareMemoryUlong", "RtlCopyMemory", "RtlCopyMemoryNonTemporal", "RtlFillMemory"),
    *("RtlMoveMemory", "RtlPrefetchMemoryNonTemporal", "RtlZeroMemory"),
    *("KeInsertQueueDpc", "KeRemoveQueueDpc", "KeSetImportanceDpc", "KeSetTargetProcessorDpc"),
    *("KeSetTargetProcessorDpcEx", "KeQueryDpcWatchdogInformation"),
    *("KeGetCurrentIrql", "KeGetCurrentProcessorNumber", "KeTestSpinLock", "KeStallExecutionProcessor"),
    *("KeQueryActiveProcessors", "KeQueryActiveProcessorCount", "KeQueryMaximumProcessorCount"),
    *("KeQueryInterruptTime", "KeQueryInterruptTimePrecise", "KeQueryPerformanceCounter", "KeQuerySystemTime"),
    *("KeQuerySystemTimePrecise", "KeQueryTickCount", "KeQueryTimeIncrement", "KeQueryUnbiasedInterruptTime"),
    *("KeReadStateEvent", "KeReadStateMutex", "KeReadStateQueue", "KeReadStateSemaphore", "KeReadStateTimer"),
    *("MmGetPhysicalAddress", "MmGetVirtualForPhysical", "MmIsAddressValid", "MmIsNonPagedSystemAddressValid"),
    *("MmSizeOfMdl", "HalTranslateBusAddress"),
    *(f"{verb}_{kind}" for kind in REGISTER_WIDTHS for verb in ("READ_REGISTER", "WRITE_REGISTER")),
    *(f"{verb}_BUFFER_{kind}" for kind in REGISTER_WIDTHS for verb in ("READ_REGISTER", "WRITE_REGISTER")),
    *(f"{verb}_{kind}" for kind in REGISTER_WIDTHS[:3] for verb in ("READ_PORT", "WRITE_PORT")),
    *(f"{verb}_BUFFER_{kind}" for kind in REGISTER_WIDTHS[:3] for verb in ("READ_PORT", "WRITE_PORT")),
    *("PsGetCurrentThreadId", "IoSizeofWorkItem"),
    "IoValidateDeviceIoControlAccess",
    *("IoCsqInitialize", "IoCsqInitializeEx", "IoSetStartIoAttributes"),
    *("ExAcquireRundownProtection", "ExAcquireRundownProtectionEx", "ExInitializeRundownProtection"),
    *("ExReInitializeRundownProtection", "ExRundownCompleted"),
}
"""Callable at any IRQL, with nothing else to check."""

SEQUENCED_LISTS = {
    *("ExQueryDepthSList", "ExpInterlockedFlushSList", "ExpInterlockedPopEntrySList", "ExpInterlockedPushEntrySList"),
    *("FirstEntrySList", "InitializeSListHead", "InterlockedPushListSList"),
}
"""Without a lock and at any IRQL."""

EXCEPTIONS = {
    *("RtlCaptureContext", "RtlLookupFunctionEntry", "RtlPcToFileHeader", "RtlRaiseException", "RtlRestoreContext"),
    *("RtlUnwind", "RtlUnwindEx", "RtlVirtualUnwind", "__C_specific_handler", "__chkstk", "_local_unwind"),
}
"""What compiled code calls wherever an exception, or a large frame, takes it: at any IRQL."""

C_LIBRARY = set(re.findall(r"\b(\w+)\(", (VERIFIER.parent / "rtl" / "crt.h").read_text(encoding="utf-8")))
VARIABLES = {
    *("CmKeyObjectType", "PsInitialSystemProcess", "PsProcessType"),
    *("ExEventObjectType", "IoDeviceObjectType", "IoDriverObjectType", "IoFileObjectType", "KeNumberProcessors"),
    *("MmHighestUserAddress", "MmSystemRangeStart", "MmUserProbeAddress", "PsThreadType"),
}
OWN = "Dirql"
"""dirql's own routines check their arguments themselves (DIRQL_MISUSE)."""


def checked() -> set[str]:
    """Return the routines that the verifier's sources name."""
    found = set(_TABLED.findall((VERIFIER / "contracts.h").read_text(encoding="utf-8")))
    for path in VERIFIER.glob("*.c"):
        found.update(_CHECKED.findall(path.read_text(encoding="utf-8")))
    return found


def test_every_export_is_checked_or_has_a_reason_not_to_be() -> None:
    exports = {name for name in KernelImage(artifacts.kernel()).exports if not name.startswith(OWN)}
    assert exports - checked() - ANY_IRQL - SEQUENCED_LISTS - EXCEPTIONS - C_LIBRARY - VARIABLES == set()


def test_the_reasons_are_about_exports_that_are_not_checked() -> None:
    exports = set(KernelImage(artifacts.kernel()).exports)
    exempt = ANY_IRQL | SEQUENCED_LISTS | (C_LIBRARY & exports) | VARIABLES
    assert exempt <= exports
    assert exempt & checked() == set()


def test_no_routine_is_in_the_table_twice() -> None:
    names = _TABLED.findall((VERIFIER / "contracts.h").read_text(encoding="utf-8"))
    assert len(names) == len(set(names))
