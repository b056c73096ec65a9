/* SPDX-License-Identifier: Apache-2.0 */
/* pageable.sys: memory that the host puts out, between requests and while a routine runs. */
#include <ntddk.h>

#include <dirql.h>

DRIVER_INITIALIZE DriverEntry;
DIRQL_WORK_ROUTINE PageableFill, PageableCheck, PageableWatch;

#define WORDS 2048

typedef struct _PAGEABLE_SEEN {
    ULONG64 Rounds;  /* host: how often PageableWatch is to see its page go */
    ULONG64 Wrong;   /* words that came back otherwise than they went */
    ULONG64 Address; /* of Data */
} PAGEABLE_SEEN;

PAGEABLE_SEEN PageableSeen;
static __attribute__((section("PAGEDATA"))) ULONG64 Data[WORDS] = {1};

VOID NTAPI PageableFill(PVOID Context) {
    for (ULONG64 i = 0; i < WORDS; i++) {
        Data[i] = (ULONG64)Context ^ i;
    }
    PageableSeen.Address = (ULONG64)Data;
    PageableSeen.Wrong = 0;
}

VOID NTAPI PageableCheck(PVOID Context) {
    for (ULONG64 i = 0; i < WORDS; i++) {
        PageableSeen.Wrong += Data[i] != ((ULONG64)Context ^ i);
    }
}

/* Touches the page, tells the host, and waits at PASSIVE_LEVEL until it has been put out. */
VOID NTAPI PageableWatch(PVOID Context) {
    for (ULONG64 round = 1; round <= PageableSeen.Rounds; round++) {
        PageableCheck(Context);
        DirqlHostCall(HostCallPing, round, 0, NULL);
        while (DirqlIsResident(Data)) {
            YieldProcessor();
        }
    }
}

static VOID NTAPI PageableUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = PageableUnload;
    return STATUS_SUCCESS;
}
