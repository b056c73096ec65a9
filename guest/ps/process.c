/* SPDX-License-Identifier: Apache-2.0 */
/* The one process, the system's: an object without contents, and who asks which process or thread something is. */
#include "ps.h"

#include "../ob/ob.h"

#define PSP_SYSTEM_ID ((HANDLE)4)

struct _EPROCESS {
    HANDLE Id;
};

/* NOLINTNEXTLINE(misc-static-initialization-cycle): an address is a constant in C */
static OBJECT_TYPE PspProcessType = {.Self = &PspProcessType, .Name = "Process", .Tag = 'corP'};
NT_EXPORT_AS(&PspProcessType, PsProcessType);

static PEPROCESS PspSystemProcess;
NT_EXPORT_AS(&PspSystemProcess, PsInitialSystemProcess);

VOID PsInitializeProcess(VOID) {
    PspSystemProcess = ObCreateObject(&PspProcessType, sizeof *PspSystemProcess);
    if (PspSystemProcess == NULL) {
        KeBugCheckEx(INSTALL_MORE_MEMORY, 0, 0, 8, 0);
    }
    PspSystemProcess->Id = PSP_SYSTEM_ID;
}

static PEPROCESS NTAPI PspCurrentProcess(VOID) {
    return PspSystemProcess;
}
NT_EXPORT_AS(PspCurrentProcess, IoGetCurrentProcess);
NT_EXPORT_AS(PspCurrentProcess, PsGetCurrentProcess);

HANDLE NTAPI PsGetCurrentProcessId(VOID) {
    return PspSystemProcess->Id;
}
NT_EXPORT(PsGetCurrentProcessId);

HANDLE NTAPI PsGetProcessId(PEPROCESS Process) {
    return Process->Id;
}
NT_EXPORT(PsGetProcessId);

HANDLE NTAPI PsGetThreadId(PETHREAD Thread) {
    return (HANDLE)(ULONG64)((PKTHREAD)Thread)->Id;
}
NT_EXPORT(PsGetThreadId);

HANDLE NTAPI PsGetThreadProcessId(PETHREAD Thread) {
    UNREFERENCED_PARAMETER(Thread);
    return PspSystemProcess->Id;
}
NT_EXPORT(PsGetThreadProcessId);

BOOLEAN NTAPI PsIsSystemThread(PETHREAD Thread) {
    UNREFERENCED_PARAMETER(Thread); /* there are no others */
    return TRUE;
}
NT_EXPORT(PsIsSystemThread);

/* No request comes from a user's program. */
KPROCESSOR_MODE NTAPI ExGetPreviousMode(VOID) {
    return KernelMode;
}
NT_EXPORT(ExGetPreviousMode);
