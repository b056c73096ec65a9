/* SPDX-License-Identifier: Apache-2.0 */
/* Memory descriptor lists as objects: made, chained to an IRP, narrowed, freed. What they say is mm/mdl.c's. */
#include "iop.h"

#include "../ke/ki.h"

#define POOL_TAG_MDL ' ldM'

PMDL NTAPI IoAllocateMdl(PVOID VirtualAddress, ULONG Length, BOOLEAN SecondaryBuffer, BOOLEAN ChargeQuota, PIRP Irp) {
    UNREFERENCED_PARAMETER(ChargeQuota); /* there are no quotas */
    SIZE_T bytes = MmSizeOfMdl(VirtualAddress, Length);
    if (bytes > MAXSHORT) { /* MDL.Size has no room for more */
        return NULL;
    }
    PMDL mdl = ExAllocatePoolWithTag(NonPagedPoolNx, bytes, POOL_TAG_MDL);
    if (mdl == NULL) {
        return NULL;
    }
    MmInitializeMdl(mdl, VirtualAddress, Length);
    if (Irp != NULL) {
        PMDL *link = &Irp->MdlAddress;
        while (SecondaryBuffer && *link != NULL) {
            link = &(*link)->Next;
        }
        *link = mdl;
    }
    return mdl;
}
NT_EXPORT(IoAllocateMdl);

VOID NTAPI IoFreeMdl(PMDL Mdl) {
    if ((Mdl->MdlFlags & MDL_PARTIAL_HAS_BEEN_MAPPED) != 0) {
        MmUnmapLockedPages(Mdl->MappedSystemVa, Mdl);
    }
    ExFreePoolWithTag(Mdl, POOL_TAG_MDL);
}
NT_EXPORT(IoFreeMdl);

VOID NTAPI IoBuildPartialMdl(PMDL SourceMdl, PMDL TargetMdl, PVOID VirtualAddress, ULONG Length) {
    ULONG64 from = (ULONG64)MmGetMdlVirtualAddress(SourceMdl);
    ULONG64 skipped = (ULONG64)VirtualAddress - from;
    ULONG bytes = Length != 0 ? Length : SourceMdl->ByteCount - (ULONG)skipped; /* 0: to its end */
    ULONG64 pages = ADDRESS_AND_SIZE_TO_SPAN_PAGES(VirtualAddress, bytes);
    if (sizeof(MDL) + pages * sizeof(PFN_NUMBER) > (ULONG64)TargetMdl->Size) {
        KeBugCheckEx(TARGET_MDL_TOO_SMALL, (ULONG64)SourceMdl, (ULONG64)TargetMdl, (ULONG64)VirtualAddress, bytes);
    }
    TargetMdl->StartVa = PAGE_ALIGN(VirtualAddress);
    TargetMdl->ByteOffset = BYTE_OFFSET(VirtualAddress);
    TargetMdl->ByteCount = bytes;
    TargetMdl->Process = SourceMdl->Process;
    ULONG64 first = ((ULONG64)TargetMdl->StartVa - (ULONG64)SourceMdl->StartVa) >> PAGE_SHIFT;
    RtlCopyMemory(MmGetMdlPfnArray(TargetMdl), MmGetMdlPfnArray(SourceMdl) + first, pages * sizeof(PFN_NUMBER));
    TargetMdl->MdlFlags =
        (CSHORT)(TargetMdl->MdlFlags | MDL_PARTIAL | (SourceMdl->MdlFlags & MDL_SOURCE_IS_NONPAGED_POOL));
    if ((SourceMdl->MdlFlags & (MDL_SOURCE_IS_NONPAGED_POOL | MDL_MAPPED_TO_SYSTEM_VA)) != 0) {
        TargetMdl->MappedSystemVa = (PVOID)((ULONG64)SourceMdl->MappedSystemVa + skipped);
    }
    if ((SourceMdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA) !=
        0) { /* the source's mapping serves, and is not the target's */
        TargetMdl->MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA | MDL_PARENT_MAPPED_SYSTEM_VA;
    }
}
NT_EXPORT(IoBuildPartialMdl);
