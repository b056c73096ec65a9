/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interface between the guest and its host: boot options, the request mailbox, notification frames, trace rings
 * and the bugcheck record. All live in shared RAM behind ELF symbols; the host learns every layout from the debug
 * info of this header. What moves on the wire (second serial port) is only the 16-byte HOST_FRAME.
 */
#pragma once

#include "ddk.h"

#include "../../firmware/exitcode.h"
#include "driver/hostcall.h"
#include "hostio.h"
#include "inventory.h"
#include "trace_events.h"

#define MAXIMUM_CPUS 64

/* Boot options: written by the host into HostBootOptions before power-on, kept over a reset. */
#define HOST_BOOT_OPTIONS_MAGIC 0x736e6f6974706f71ull /* "qoptions" */

typedef enum _HOST_TRANSPORT {
    HostTransportSerial = 0,     /* requests arrive as frames on the second serial port */
    HostTransportRendezvous = 1, /* the idle boot processor asks for them by a blocking register read */
} HOST_TRANSPORT;

typedef enum _TRACE_POLICY {
    TraceDropNew = 0,      /* full ring: the new record is dropped and counted */
    TraceOverwriteOld = 1, /* full ring: the oldest record is overwritten */
} TRACE_POLICY;

typedef enum _DPC_PLACEMENT {
    DpcPlacementByRoutine = 0,      /* IoRequestDpc: first available; KeInsertQueueDpc: current processor */
    DpcPlacementFirstAvailable = 1, /* every untargeted DPC: first available processor */
    DpcPlacementCurrent = 2,        /* every untargeted DPC: current processor */
} DPC_PLACEMENT;

typedef enum _INTERRUPT_ROUTING {
    InterruptRoutingSymmetric = 0,  /* a device's interrupts are spread over the CPUs that may take them */
    InterruptRoutingAsymmetric = 1, /* CPU 0 takes all of them, for the others too (SYS-3) */
} INTERRUPT_ROUTING;

typedef struct _HOST_BOOT_OPTIONS {
    ULONG64 Magic;
    ULONG64 TraceMask[2];   /* bit n % 64 of word n / 64: event n is recorded */
    ULONG TraceRecords;     /* records per ring, a power of two; 0: the guest's default */
    ULONG TracePolicy;      /* TRACE_POLICY */
    ULONG Transport;        /* HOST_TRANSPORT */
    ULONG DpcPlacement;     /* DPC_PLACEMENT */
    ULONG ClockPeriod100ns; /* clock tick in 100 ns units; 0: the guest's default, 156250 */
    ULONG Verifier;         /* 1: the verifier watches drivers from the start (D2) */
    ULONG InterruptRouting; /* INTERRUPT_ROUTING */
    ULONG DpcWatchdogTicks; /* clock ticks that one DPC may take; 0: no watchdog */
    ULONG ThreadedDpcsOff;  /* 1: threaded DPCs run as ordinary ones */
    ULONG FeatureFaultCpu;  /* n: CPU n reports another feature word than it has, to prove SYS-1; 0: none */
    ULONG64 SystemTime;     /* at the start, in 100 ns since 1601 (UTC); 0: the guest's default, 2020-01-01 */
    ULONG64 LockHoldTicks;  /* TSC ticks that a driver may hold a spin lock (SPIN-10); 0: nobody measures */
    ULONG LockHoldFatal;    /* 1: longer is a violation, else a finding (VfHolds) */
    ULONG ForceIrql;        /* 1: the verifier puts pageable memory out where a driver raises to DISPATCH_LEVEL */
} HOST_BOOT_OPTIONS;

/* Notification frames on the second serial port, both directions, little-endian. */
#define HOST_FRAME_MAGIC 0x4c515244u /* "DRQL" */

typedef enum _HOST_FRAME_TYPE {
    HostFrameReady = 1,    /* guest: up, waiting for requests; Sequence = number of CPUs */
    HostFrameRequest = 2,  /* host: HostMailbox.Request holds request Sequence */
    HostFrameReply = 3,    /* guest: HostMailbox.Reply answers request Sequence */
    HostFrameBugCheck = 4, /* guest: KiBugCheckData is complete; Sequence = bugcheck code */
    HostFrameCall = 5,     /* guest: HostMailbox.Call holds call Sequence */
    HostFramePageOut = 6,  /* host: all that is pageable goes out now, whatever runs; no answer */
    HostFrameIo = 7,       /* both: there is something new in the ring of HostIoChannel that the other side fills */
} HOST_FRAME_TYPE;

typedef struct _HOST_FRAME {
    ULONG Magic;
    UCHAR Type; /* HOST_FRAME_TYPE */
    UCHAR Cpu;
    UCHAR Irql;
    UCHAR Reserved;
    ULONG Sequence;
    ULONG Crc; /* CRC-32 (IEEE 802.3, as zlib's) of the 12 bytes before it */
} HOST_FRAME;
C_ASSERT(sizeof(HOST_FRAME) == 16);

/*
 * Requests: what the host asks for, with its arguments and the values of the answer. Bulk data goes through the mailbox's
 * buffer. A PCI location is bus << 8 | device << 3 | function.
 *
 * Ping           -> [0] TSC
 * LoadDriver     [0] bytes of the image in the buffer, [1] offset of its name (ASCII, NUL) in the buffer, [2] offset there and
 *                [3] bytes of what its service key is to hold (CM_RECORDs, cm/cm.h)
 *                -> [0] base, [1] size, [2] entry point, [3] NTSTATUS of DriverEntry
 * StartDevice    [0] image base, [1] PCI location -> [0] NTSTATUS of AddDevice, [1] NTSTATUS of IRP_MN_START_DEVICE
 * UnloadDriver   [0] image base
 * StartIsaDevice [0] image base, [1] IRQ, [2] DMA channel, 0xff: none, [3] to [5] two ranges of ports each, first port | number << 16, and
 *                the same << 32; 0: none -> [0], [1] as StartDevice, [2] the location that it has from now on
 * StopDevice     [0] location -> [0] NTSTATUS of IRP_MN_QUERY_STOP_DEVICE; if it succeeded the device is stopped, StartDevice goes on
 * RemoveDevice   [0] location -> [0] NTSTATUS of IRP_MN_QUERY_REMOVE_DEVICE; if it succeeded the device is removed. One that is gone by
 *                surprise is not asked
 * SurpriseRemove [0] location: IRP_MN_SURPRISE_REMOVAL; RemoveDevice is to follow
 * TraceMask      [0], [1] new mask -> [0], [1] old mask
 * TimeSync       [0] pairs wanted -> [0] pairs written to the buffer as {ULONG64 Host, Tsc}
 * Retarget       [0] PCI location, [1] first CPU: message n goes to CPU (first + n) modulo the number of CPUs
 * FlushDpcs      answered when every DPC that was queued before has returned
 * Run            [0] address of a VOID routine(PVOID), [1] its argument: runs it at PASSIVE_LEVEL in a thread of its own on
 *                the boot CPU
 *                -> [0] RUN_LEFTOVER: what it left behind, [1], [2] how much there was before and after, [3] its pool tag
 * SetSystemTime  [0] system time in 100 ns since 1601 (UTC) -> [0] what it was
 * PageOut        [0] address, [1] bytes of what is to be put out as far as it is pageable; 0, 0: all -> [0] pages put out
 * Verifier       [0] 1: on, 0: off -> [0] what it was. Nothing of a driver runs meanwhile
 * Io             takes the requests that are posted in HostIoChannel, then waits: [0] HOST_IO_WAIT, [1] for which, [2] for at most
 *                so many units of 100 ns -> [0] 1: it came, 0: the time is over (rendezvous transport)
 * Inventory      -> a HOST_INVENTORY in the buffer, once no DPC is queued and no thread is ending
 * Idle           [0] PAUSE instructions to execute before asking again (rendezvous transport)
 */
typedef enum _HOST_REQUEST_CODE {
    HostRequestPing = 1,
    HostRequestLoadDriver = 2,
    HostRequestStartDevice = 3,
    HostRequestUnloadDriver = 4,
    HostRequestTraceMask = 5,
    HostRequestTimeSync = 6,
    HostRequestRetarget = 7,
    HostRequestIdle = 8,
    HostRequestFlushDpcs = 9,
    HostRequestRun = 10,
    HostRequestVerifier = 11,
    HostRequestSetSystemTime = 12,
    HostRequestPageOut = 13,
    HostRequestIo = 14,
    HostRequestInventory = 15,
    HostRequestStartIsaDevice = 20,
    HostRequestStopDevice = 21,
    HostRequestRemoveDevice = 22,
    HostRequestSurpriseRemove = 23,
} HOST_REQUEST_CODE;

/* What a routine of HostRequestRun left behind that it had not found. */
typedef enum _RUN_LEFTOVER {
    RunLeftNothing = 0,
    RunLeftIrql = 1,       /* [1] is PASSIVE_LEVEL, [2] the IRQL that it returned at */
    RunLeftPool = 2,       /* blocks of pool allocated with the tag [3] */
    RunLeftInterrupts = 3, /* interrupt objects connected */
    RunLeftVectors = 4,    /* vectors allocated */
    RunLeftWork = 5,       /* [1] is 0, [2] the number of a CPU that still runs what it started there */
    RunLeftThreads = 6,    /* threads that have not ended */
    RunLeftTimers = 7,     /* timers that are set */
    RunLeftHandles = 8,    /* handles that are open */
    RunLeftMutexes = 9,    /* [1] is 0, [2] mutexes that its own thread still owned */
} RUN_LEFTOVER;

typedef struct _HOST_REQUEST {
    ULONG Sequence;
    ULONG Code; /* HOST_REQUEST_CODE */
    ULONG64 Argument[6];
} HOST_REQUEST;

typedef struct _HOST_REPLY {
    ULONG Sequence;
    NTSTATUS Status;
    ULONG64 Value[6];
} HOST_REPLY;

/*
 * Calls go the other way: the guest asks the host for something and waits, at whatever IRQL it is, until it is done. The
 * codes are in driver/hostcall.h. Word of a call is HostFrameCall, or the guest's coming to the rendezvous.
 */
typedef struct _HOST_CALL {
    volatile ULONG Sequence; /* guest: stored last; a call waits while Done differs */
    HOST_CALL_CODE Code;
    ULONG64 Argument[4];
    volatile ULONG Done; /* host: the number of the call that it has answered, stored last */
    NTSTATUS Status;     /* host */
    ULONG64 Value;       /* host */
} HOST_CALL;

typedef struct _HOST_MAILBOX {
    HOST_REQUEST Request;
    HOST_REPLY Reply;
    HOST_CALL Call;
    ULONG64 BufferPhysical; /* bulk data, set by the guest before HostFrameReady */
    ULONG64 BufferBytes;
    volatile ULONG64 HostClock; /* HostRequestTimeSync: the host stores CLOCK_MONOTONIC ns here, over and over */
} HOST_MAILBOX;

/* How the machine ended: QEMU's exit status is (value << 1) | 1. The ROM's own are here for the host's sake. */
typedef enum _HOST_EXIT {
    HostExitBugCheck = EXIT_BUGCHECK,
    HostExitRequested = EXIT_REQUESTED,
    HostExitNoLongMode = EXIT_NO_LONG_MODE,
    HostExitNoGuest = EXIT_NO_GUEST,
    HostExitTooManyCpus = EXIT_TOO_MANY_CPUS,
    HostExitNoPciSpace = EXIT_NO_PCI_SPACE,
} HOST_EXIT;

/* Trace rings: one per CPU, written by that CPU alone, emptied by the host. */
typedef struct _TRACE_RECORD {
    ULONG64 Time;   /* TSC */
    ULONG Sequence; /* low 32 bits of (index in the ring's history + 1); stored last, with release order */
    USHORT Event;   /* TRACE_EVENT */
    UCHAR Cpu;
    UCHAR Irql; /* CR8 */
    ULONG64 Argument0;
    ULONG64 Argument1;
} TRACE_RECORD;
C_ASSERT(sizeof(TRACE_RECORD) == 32);

typedef struct DECLSPEC_ALIGN(64) _TRACE_RING {
    volatile ULONG64 Head;   /* records ever reserved: guest */
    volatile ULONG64 Lost;   /* records dropped because the ring was full: guest */
    ULONG64 RecordsPhysical; /* physical address of the TRACE_RECORD array */
    TRACE_RECORD *Records;
    ULONG64 Mask; /* records in the ring - 1 */
    LONG64 Limit; /* most records that may be in the ring: Mask; the largest number: old ones are overwritten */
    ULONG64 Cpu;  /* the CPU's number */
    ULONG64 Spare;
    volatile ULONG64 Tail; /* records consumed: host */
    ULONG64 Spare2[7];
} TRACE_RING;
C_ASSERT(sizeof(TRACE_RING) == 128);

typedef struct _TRACE_CONTROL {
    volatile ULONG64 Mask[2]; /* bit n % 64 of word n / 64: event n is recorded */
    ULONG Policy;             /* TRACE_POLICY */
    ULONG ProcessorCount;
} TRACE_CONTROL;

/* The bugcheck record. The first five words are the code and its four parameters, as debuggers expect. */
#define KI_BUGCHECK_FLAG 0x4b43454843475542ull /* "BUGCHECK" */

typedef struct _KI_BUGCHECK_CPU {
    ULONG64 Valid; /* 1: the registers below were saved */
    ULONG64 Rax, Rcx, Rdx, Rbx, Rsp, Rbp, Rsi, Rdi, R8, R9, R10, R11, R12, R13, R14, R15;
    ULONG64 Rip, Rflags, Cr0, Cr2, Cr3, Cr4, Cr8;
} KI_BUGCHECK_CPU;

typedef enum _KI_ACCESS {
    KiAccessNone = 0, /* it is about no access to memory */
    KiAccessRead = 1,
    KiAccessWrite = 2,
    KiAccessExecute = 3,
} KI_ACCESS;

typedef struct _KI_BUGCHECK_DATA {
    ULONG64 Code;
    ULONG64 Parameter[4];
    volatile ULONG64 Flag; /* KI_BUGCHECK_FLAG once everything here is complete */
    ULONG64 Processor;     /* the CPU that called KeBugCheckEx */
    ULONG64 ProcessorCount;
    ULONG64 Access;   /* KI_ACCESS: what the instruction at that CPU's Rip tried */
    ULONG64 Address;  /* and with which memory */
    const char *Text; /* what the code does not say; NULL: nothing */
    ULONG64 Again;    /* the code of a fault that came while this bugcheck was under way on its own CPU; 0: none */
    ULONG64 AgainInstruction; /* and where that was */
    KI_BUGCHECK_CPU Cpu[MAXIMUM_CPUS];
} KI_BUGCHECK_DATA;

/* The bugcheck of a driver's own assertion (driver/dirqltest.h); parameter 1 is the address of a DIRQL_ASSERTION. */
#define DIRQL_ASSERTION_FAILED 0xd1a0a55eu

/* The bugcheck of a routine of driver/dirql.h that was called wrongly; parameter 1 is a DIRQL_MISUSE_KIND. */
#define DIRQL_MISUSE 0xd1a0bad0u

typedef enum _DIRQL_MISUSE_KIND {
    DirqlMisuseNoSuchCpu = 1, /* [2] CPU, [3] number of CPUs, [4] routine. The boot CPU is none here */
    DirqlMisuseCpuBusy = 2,   /* [2] CPU, [3] the routine that it has still to begin, or 0, [4] routine */
    DirqlMisuseVector = 3,    /* [2] vector */
} DIRQL_MISUSE_KIND;

/* Loaded images, the kernel's own excluded. */
#define MAXIMUM_IMAGES 64

typedef struct _LDR_IMAGE {
    ULONG64 Base; /* 0: unused */
    ULONG64 Size;
    ULONG64 EntryPoint;
    ULONG64 Uses;  /* bit n: it imports from LdrImages[n] */
    char Name[40]; /* file name, NUL-terminated */
} LDR_IMAGE;

/* Why the last image was refused, or not unloaded: a line for each reason, NUL-terminated; empty: no reason was given. */
#define LDR_PROBLEM_BYTES 4096

extern HOST_BOOT_OPTIONS HostBootOptions;
extern HOST_MAILBOX HostMailbox;
extern TRACE_CONTROL TraceControl;
extern TRACE_RING TraceRing[MAXIMUM_CPUS];
extern KI_BUGCHECK_DATA KiBugCheckData;
extern LDR_IMAGE LdrImages[MAXIMUM_IMAGES];
extern char LdrProblem[LDR_PROBLEM_BYTES];
