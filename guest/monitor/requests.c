/* SPDX-License-Identifier: Apache-2.0 */
/* What each request of the harness does. Their arguments and values are named in include/hostif.h. */
#include "monitor.h"

#include "../cm/cm.h"
#include "../ex/worker.h"
#include "../io/iop.h"
#include "../ke/ki.h"
#include "../ldr/ldr.h"
#include "../mm/mi.h"
#include "../verifier/vf.h"

extern UCHAR KiImageStart[], KiImageEnd[];

typedef struct _HOST_CLOCK_PAIR {
    ULONG64 Host; /* CLOCK_MONOTONIC, ns */
    ULONG64 Tsc;
} HOST_CLOCK_PAIR;

static NTSTATUS HostLoadDriver(const HOST_REQUEST *request, HOST_REPLY *reply) {
    const char *buffer = MiPhysicalToVirtual(HostMailbox.BufferPhysical);
    ULONG64 bytes = request->Argument[0];
    ULONG64 name = request->Argument[1];
    LDR_IMAGE *image;
    ULONG64 values = request->Argument[2];
    ULONG64 value_bytes = request->Argument[3];
    ULONG64 limit = HostMailbox.BufferBytes;
    if (bytes > limit || name >= limit || values > limit || value_bytes > limit - values) {
        return STATUS_INVALID_PARAMETER;
    }
    NTSTATUS status = LdrLoadImage((const UCHAR *)buffer, bytes, buffer + name, &image);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    status = CmCreateService(image->Name, buffer + values, value_bytes);
    if (!NT_SUCCESS(status)) {
        LdrUnloadImage(image);
        return status;
    }
    reply->Value[0] = image->Base;
    reply->Value[1] = image->Size;
    reply->Value[2] = image->EntryPoint;
    status = IopStartDriver(image);
    reply->Value[3] = (ULONG)status;
    if (!NT_SUCCESS(status)) {
        CmDeleteService(image->Name);
        LdrUnloadImage(image);
    }
    return STATUS_SUCCESS;
}

static NTSTATUS HostStartIsaDevice(const HOST_REQUEST *request, HOST_REPLY *reply) {
    IOP_ISA isa = {.Irq = (ULONG)request->Argument[1], .Channel = (ULONG)request->Argument[2]};
    for (ULONG i = 0; i < IOP_ISA_RANGES; i++) {
        ULONG range = (ULONG)(request->Argument[3 + i / 2] >> (i % 2) * 32);
        if (range != 0) {
            isa.Port[isa.Ranges].Base = (USHORT)range;
            isa.Port[isa.Ranges++].Bytes = (USHORT)(range >> 16);
        }
    }
    return IopStartIsaDevice(request->Argument[0], &isa, &reply->Value[2], &reply->Value[0], &reply->Value[1]);
}

static NTSTATUS HostUnloadDriver(const HOST_REQUEST *request) {
    LDR_IMAGE *image = LdrFindImage(request->Argument[0]);
    if (image == NULL) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    NTSTATUS status = LdrMayUnload(image);
    if (NT_SUCCESS(status)) {
        status = IopStopDriver(image);
    }
    if (NT_SUCCESS(status)) {
        CmDeleteService(image->Name);
        LdrUnloadImage(image);
    }
    return status;
}

/*
 * The host stores its clock in HostMailbox.HostClock over and over; each change is noted with the TSC at which it was
 * seen. The pair with the least distance bounds the offset of the two clocks to well below a microsecond.
 */
static ULONG64 HostCollectClockPairs(ULONG64 wanted) {
    HOST_CLOCK_PAIR *pairs = MiPhysicalToVirtual(HostMailbox.BufferPhysical);
    ULONG64 limit = HostMailbox.BufferBytes / sizeof *pairs;
    ULONG64 last = HostMailbox.HostClock;
    ULONG64 count = 0;
    while (count < wanted && count < limit) {
        ULONG64 now = HostMailbox.HostClock;
        if (now == 0) {
            break; /* the host has stopped */
        }
        if (now != last) {
            pairs[count].Host = now;
            pairs[count].Tsc = __rdtsc();
            count++;
            last = now;
        }
    }
    return count;
}

VOID HostExecute(const HOST_REQUEST *request, HOST_REPLY *reply) {
    switch (request->Code) {
    case HostRequestPing:
        reply->Value[0] = __rdtsc();
        break;
    case HostRequestLoadDriver:
        reply->Status = HostLoadDriver(request, reply);
        break;
    case HostRequestStartDevice:
        reply->Status =
            IopStartDevice(request->Argument[0], (ULONG)request->Argument[1], &reply->Value[0], &reply->Value[1]);
        break;
    case HostRequestStartIsaDevice:
        reply->Status = HostStartIsaDevice(request, reply);
        break;
    case HostRequestStopDevice:
        reply->Status = IopStopDevice((ULONG)request->Argument[0], &reply->Value[0]);
        break;
    case HostRequestRemoveDevice:
        reply->Status = IopRemoveDevice((ULONG)request->Argument[0], &reply->Value[0]);
        break;
    case HostRequestSurpriseRemove:
        reply->Status = IopSurpriseRemoveDevice((ULONG)request->Argument[0]);
        break;
    case HostRequestUnloadDriver:
        reply->Status = HostUnloadDriver(request);
        break;
    case HostRequestTraceMask:
        TraceSetMask(request->Argument[0], request->Argument[1], reply->Value);
        break;
    case HostRequestTimeSync:
        reply->Value[0] = HostCollectClockPairs(request->Argument[0]);
        break;
    case HostRequestRetarget:
        reply->Status = IopRetargetDevice((ULONG)request->Argument[0], (ULONG)request->Argument[1]);
        break;
    case HostRequestRun:
        HostRun(request, reply);
        break;
    case HostRequestIo:
        HostIoWait(request, reply);
        break;
    case HostRequestInventory:
        ExWaitForWork((ULONG64)KiImageStart, (ULONG64)(KiImageEnd - KiImageStart)); /* objects may be deleted there */
        MonitorRest();
        MonitorTakeInventory(MiPhysicalToVirtual(HostMailbox.BufferPhysical));
        break;
    case HostRequestIdle:
        for (ULONG64 i = 0; i < request->Argument[0]; i++) {
            _mm_pause();
        }
        break;
    case HostRequestFlushDpcs:
        KeFlushQueuedDpcs();
        break;
    case HostRequestSetSystemTime:
        reply->Value[0] = DirqlSetSystemTime(request->Argument[0]);
        break;
    case HostRequestPageOut:
        reply->Value[0] = MiPageOut(request->Argument[0], request->Argument[1]);
        break;
    case HostRequestVerifier:
        reply->Value[0] = VfEnable(request->Argument[0] != 0);
        break;
    default:
        reply->Status = STATUS_NOT_IMPLEMENTED;
        break;
    }
}
