/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests from the harness. The request itself lies in HostMailbox; what arrives here is only word that it is there: a
 * frame on COM2, or the value of a read from the rendezvous device, which the harness answers when it has a request and
 * which holds the whole machine until then.
 */
#include "monitor.h"

#include "../hal/hal.h"
#include "../hal/regs.h"
#include "../include/export.h"
#include "../ke/ki.h"
#include "../mm/mi.h"
#include "../rtl/rtl.h"
#include "../trace/trace.h"

#define RENDEZVOUS_VENDOR          0x1d1c
#define RENDEZVOUS_DEVICE          0x0001
#define MAILBOX_BUFFER_BYTES       (4u << 20)
#define MAILBOX_SMALL_RAM_PAGES    (48u << 8) /* below 48 MiB of RAM, a smaller buffer */
#define MAILBOX_SMALL_BUFFER_BYTES (1u << 20)

HOST_MAILBOX HostMailbox;

static volatile ULONG *RendezvousRegister;
static volatile ULONG HostPendingSequence; /* 0: none. Written by the interrupt, taken by the thread that serves it */

static struct {
    UCHAR Bytes[sizeof(HOST_FRAME)];
    ULONG Count;
} HostIncoming;

static BOOLEAN HostFrameIsGood(const HOST_FRAME *frame) {
    return frame->Magic == HOST_FRAME_MAGIC && frame->Crc == RtlpCrc32(frame, FIELD_OFFSET(HOST_FRAME, Crc));
}

static KDPC HostPageOutDpc;

/* A DPC, so that it comes while a case runs: pages go out at DISPATCH_LEVEL as well. */
static VOID NTAPI HostPageOut(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2) {
    UNREFERENCED_PARAMETER(dpc);
    UNREFERENCED_PARAMETER(context);
    UNREFERENCED_PARAMETER(argument1);
    UNREFERENCED_PARAMETER(argument2);
    MiPageOut(0, 0);
}

/* COM2's interrupt, at CONSOLE_LEVEL on the boot CPU. Bytes that start no good frame are passed over one at a time. */
static VOID HostLinkInterrupt(KI_TRAP_FRAME *trap, PVOID context) {
    UCHAR byte;
    UNREFERENCED_PARAMETER(trap);
    UNREFERENCED_PARAMETER(context);
    while (uart_read(UART_COM2, &byte)) {
        HostIncoming.Bytes[HostIncoming.Count++] = byte;
        if (HostIncoming.Count < sizeof(HOST_FRAME)) {
            continue;
        }
        HOST_FRAME frame;
        RtlCopyMemory(&frame, HostIncoming.Bytes, sizeof frame);
        if (HostFrameIsGood(&frame)) {
            if (frame.Type == HostFrameRequest) {
                HostPendingSequence = frame.Sequence;
                MonitorHostArrived();
            } else if (frame.Type == HostFramePageOut) {
                KeInsertQueueDpc(&HostPageOutDpc, NULL, NULL);
            } else if (frame.Type == HostFrameIo) {
                HostIoArrived();
            }
            HostIncoming.Count = 0;
        } else {
            HostIncoming.Count--;
            RtlMoveMemory(HostIncoming.Bytes, HostIncoming.Bytes + 1, HostIncoming.Count);
        }
    }
}

VOID HostLinkInitialize(VOID) {
    ULONG64 bytes = MiTotalPageCount() < MAILBOX_SMALL_RAM_PAGES ? MAILBOX_SMALL_BUFFER_BYTES : MAILBOX_BUFFER_BYTES;
    HostMailbox.BufferPhysical = MiAllocatePages(BYTES_TO_PAGES(bytes));
    if (HostMailbox.BufferPhysical == 0) {
        KeBugCheckEx(INSTALL_MORE_MEMORY, MiTotalPageCount(), BYTES_TO_PAGES(bytes), 4, MiFreePageCount());
    }
    HostMailbox.BufferBytes = bytes;
    if (HostBootOptions.Transport == HostTransportRendezvous) {
        const BOOT_PCI_FUNCTION *function = HalpFindFunctionById(RENDEZVOUS_VENDOR, RENDEZVOUS_DEVICE);
        if (function == NULL) {
            KeBugCheckEx(PHASE0_INITIALIZATION_FAILED, 3, RENDEZVOUS_VENDOR, RENDEZVOUS_DEVICE, 0);
        }
        RendezvousRegister = MiMapDevice(function->Bar[0].Base, sizeof(ULONG));
    }
    KeInitializeDpc(&HostPageOutDpc, HostPageOut, NULL);
    uart_initialize(UART_COM2, UART_FIFO_ON_14);
    KiConnectVector(HOST_VECTOR, HostLinkInterrupt, NULL, FALSE);
    ioapic_route(UART_COM2_PIN, HOST_VECTOR, KiPcr[0].Prcb.ApicId, FALSE);
    uart_listen(UART_COM2);
}

BOOLEAN HostLinkIsRendezvous(VOID) {
    return RendezvousRegister != NULL;
}

VOID HostLinkSendLast(HOST_FRAME_TYPE type, ULONG sequence) {
    HOST_FRAME frame = {
        .Magic = HOST_FRAME_MAGIC,
        .Type = (UCHAR)type,
        .Cpu = (UCHAR)KiCurrentPrcb()->Number,
        .Irql = (UCHAR)__readcr8(),
        .Sequence = sequence,
    };
    frame.Crc = RtlpCrc32(&frame, FIELD_OFFSET(HOST_FRAME, Crc));
    uart_write(UART_COM2, (const UCHAR *)&frame, sizeof frame);
}

/* Frames come from every CPU; one at a time. */
VOID HostLinkSend(HOST_FRAME_TYPE type, ULONG sequence) {
    static KSPIN_LOCK lock;
    KIRQL irql = KiAcquireLockAtHigh(&lock);
    HostLinkSendLast(type, sequence);
    KiReleaseLockFromHigh(&lock, irql);
}

/*
 * One call at a time: the next caller waits at HIGH_LEVEL. At the rendezvous the read itself holds this CPU until the host
 * has done what it was asked; elsewhere the host stores the number of the call when it has.
 */
NTSTATUS NTAPI DirqlHostCall(ULONG Code, ULONG64 Argument0, ULONG64 Argument1, ULONG64 *Value) {
    static KSPIN_LOCK lock;
    HOST_CALL *call = &HostMailbox.Call;
    KIRQL irql = KiAcquireLockAtHigh(&lock);
    ULONG sequence = call->Done + 1;
    call->Code = Code;
    call->Argument[0] = Argument0;
    call->Argument[1] = Argument1;
    trace(TraceHostCall, sequence, Code);
    /* Release: the host takes the call as complete once it sees its number. */
    __atomic_store_n(&call->Sequence, sequence, __ATOMIC_RELEASE);
    if (HostLinkIsRendezvous()) {
        ULONG ignored = *RendezvousRegister;
        UNREFERENCED_PARAMETER(ignored);
    } else {
        HostLinkSend(HostFrameCall, sequence);
    }
    /* Acquire: status and value were stored before it. */
    while (__atomic_load_n(&call->Done, __ATOMIC_ACQUIRE) != sequence) {
        _mm_pause();
    }
    NTSTATUS status = call->Status;
    ULONG64 value = call->Value;
    trace(TraceHostCallDone, sequence, value);
    KiReleaseLockFromHigh(&lock, irql);
    if (Value != NULL) {
        *Value = value;
    }
    return status;
}
NT_EXPORT(DirqlHostCall);

VOID HostLinkServe(VOID) {
    ULONG sequence;
    if (HostLinkIsRendezvous()) {
        trace(TraceRendezvousEnter, 0, 0);
        sequence = *RendezvousRegister;
        trace(TraceRendezvous, sequence, 0);
    } else {
        sequence = HostPendingSequence;
        HostPendingSequence = 0;
        if (sequence == 0) {
            return;
        }
    }
    HOST_REQUEST request = HostMailbox.Request;
    if (request.Sequence != sequence) {
        return; /* word of a request that is not there: nothing to answer */
    }
    trace(TraceHostRequest, sequence, request.Code);
    HOST_REPLY reply = {.Status = STATUS_SUCCESS};
    HostExecute(&request, &reply);
    HostMailbox.Reply.Status = reply.Status;
    RtlCopyMemory(HostMailbox.Reply.Value, reply.Value, sizeof reply.Value);
    trace(TraceHostReply, sequence, (ULONG)reply.Status);
    /* Release: the host takes the reply as complete once it sees its sequence number. */
    __atomic_store_n(&HostMailbox.Reply.Sequence, sequence, __ATOMIC_RELEASE);
    HostLinkSend(HostFrameReply, sequence);
}
