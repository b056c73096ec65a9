/* SPDX-License-Identifier: Apache-2.0 */
/* Processors by group and number: there is one group, and one node; a processor's index is its number. */
#include "ki.h"

#include "../include/export.h"

static BOOLEAN KiIsGroup(USHORT group) {
    return group == 0 || group == ALL_PROCESSOR_GROUPS;
}

ULONG NTAPI KeQueryActiveProcessorCountEx(USHORT GroupNumber) {
    return KiIsGroup(GroupNumber) ? KeQueryActiveProcessorCount(NULL) : 0;
}
NT_EXPORT(KeQueryActiveProcessorCountEx);

ULONG NTAPI KeQueryMaximumProcessorCountEx(USHORT GroupNumber) {
    return KiIsGroup(GroupNumber) ? KeQueryMaximumProcessorCount() : 0;
}
NT_EXPORT(KeQueryMaximumProcessorCountEx);

USHORT NTAPI KeQueryActiveGroupCount(VOID) {
    return 1;
}
NT_EXPORT(KeQueryActiveGroupCount);

USHORT NTAPI KeQueryMaximumGroupCount(VOID) {
    return 1;
}
NT_EXPORT(KeQueryMaximumGroupCount);

KAFFINITY NTAPI KeQueryGroupAffinity(USHORT GroupNumber) {
    return GroupNumber == 0 ? KeQueryActiveProcessors() : 0;
}
NT_EXPORT(KeQueryGroupAffinity);

USHORT NTAPI KeQueryHighestNodeNumber(VOID) {
    return 0;
}
NT_EXPORT(KeQueryHighestNodeNumber);

USHORT NTAPI KeGetCurrentNodeNumber(VOID) {
    return 0;
}
NT_EXPORT(KeGetCurrentNodeNumber);

VOID NTAPI KeQueryNodeActiveAffinity(USHORT NodeNumber, PGROUP_AFFINITY Affinity, PUSHORT Count) {
    KAFFINITY mask = NodeNumber == 0 ? KeQueryActiveProcessors() : 0;
    if (Affinity != NULL) {
        RtlZeroMemory(Affinity, sizeof *Affinity);
        Affinity->Mask = mask;
    }
    if (Count != NULL) {
        *Count = (USHORT)(mask == 0 ? 0 : KeQueryActiveProcessorCount(NULL));
    }
}
NT_EXPORT(KeQueryNodeActiveAffinity);

ULONG NTAPI KeGetCurrentProcessorNumberEx(PPROCESSOR_NUMBER ProcNumber) {
    ULONG number = KeGetCurrentProcessorNumber();
    if (ProcNumber != NULL) {
        *ProcNumber = (PROCESSOR_NUMBER){.Number = (UCHAR)number};
    }
    return number;
}
NT_EXPORT(KeGetCurrentProcessorNumberEx);

NTSTATUS NTAPI KeGetProcessorNumberFromIndex(ULONG ProcIndex, PPROCESSOR_NUMBER ProcNumber) {
    if (ProcIndex >= KeQueryMaximumProcessorCount()) {
        return STATUS_INVALID_PARAMETER;
    }
    *ProcNumber = (PROCESSOR_NUMBER){.Number = (UCHAR)ProcIndex};
    return STATUS_SUCCESS;
}
NT_EXPORT(KeGetProcessorNumberFromIndex);

ULONG NTAPI KeGetProcessorIndexFromNumber(PPROCESSOR_NUMBER ProcNumber) {
    BOOLEAN known =
        ProcNumber->Group == 0 && ProcNumber->Reserved == 0 && ProcNumber->Number < KeQueryMaximumProcessorCount();
    return known ? ProcNumber->Number : INVALID_PROCESSOR_INDEX;
}
NT_EXPORT(KeGetProcessorIndexFromNumber);

/* An affinity of another group, or of none of its processors, has no effect: the previous one is 0 then. */
VOID NTAPI KeSetSystemGroupAffinityThread(PGROUP_AFFINITY Affinity, PGROUP_AFFINITY PreviousAffinity) {
    KAFFINITY usable = Affinity->Group == 0 ? Affinity->Mask & KeQueryActiveProcessors() : 0;
    KAFFINITY before = usable != 0 ? KeSetSystemAffinityThreadEx(usable) : 0;
    if (PreviousAffinity != NULL) {
        RtlZeroMemory(PreviousAffinity, sizeof *PreviousAffinity);
        PreviousAffinity->Mask = before;
    }
}
NT_EXPORT(KeSetSystemGroupAffinityThread);

VOID NTAPI KeRevertToUserGroupAffinityThread(PGROUP_AFFINITY PreviousAffinity) {
    if (PreviousAffinity->Group == 0) {
        KeRevertToUserAffinityThreadEx(PreviousAffinity->Mask);
    }
}
NT_EXPORT(KeRevertToUserGroupAffinityThread);
