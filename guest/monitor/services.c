/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor's two threads, both on the boot CPU: one serves the harness, the other the person at the console, who is
 * served while a request is being worked on. Their interrupts have a DPC set the event that the thread waits for.
 */
#include "monitor.h"

#include "../ps/ps.h"

#define CONSOLE_PRIORITY 15 /* what one types is answered although something runs */

typedef struct _MONITOR_SERVICE {
    KEVENT Arrived;
    KDPC Dpc;
    VOID (*Serve)(VOID);
} MONITOR_SERVICE;

static MONITOR_SERVICE MonitorHost, MonitorConsole;

static VOID MonitorReportBugCheck(ULONG code) {
    HostLinkSendLast(HostFrameBugCheck, code);
}

static VOID NTAPI MonitorArrival(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    KeSetEvent(&((MONITOR_SERVICE *)DeferredContext)->Arrived, IO_NO_INCREMENT, FALSE);
}

static VOID MonitorPrepare(MONITOR_SERVICE *service, VOID (*serve)(VOID)) {
    service->Serve = serve;
    KeInitializeEvent(&service->Arrived, SynchronizationEvent, FALSE);
    KeInitializeDpc(&service->Dpc, MonitorArrival, service);
    KeSetTargetProcessorDpc(&service->Dpc, 0);
}

VOID MonitorHostArrived(VOID) {
    KeInsertQueueDpc(&MonitorHost.Dpc, NULL, NULL);
}

VOID MonitorConsoleArrived(VOID) {
    KeInsertQueueDpc(&MonitorConsole.Dpc, NULL, NULL);
}

VOID MonitorInitialize(VOID) {
    KiReportBugCheck = MonitorReportBugCheck;
    MonitorPrepare(&MonitorHost, HostLinkServe);
    MonitorPrepare(&MonitorConsole, ConsoleServe);
    ConsoleInitialize();
    HostLinkInitialize();
    HostIoInitialize();
}

static VOID MonitorThread(PVOID context) {
    MONITOR_SERVICE *service = context;
    for (;;) {
        service->Serve();
        KeWaitForSingleObject(&service->Arrived, Executive, KernelMode, FALSE, NULL);
    }
}

static VOID MonitorHostThread(PVOID context) {
    HostLinkSend(HostFrameReady, KiProcessorCount);
    while (HostLinkIsRendezvous()) { /* which the host holds until it has something to ask */
        HostLinkServe();
    }
    MonitorThread(context);
}

static VOID MonitorStartThread(PKSTART_ROUTINE routine, MONITOR_SERVICE *service, KPRIORITY priority) {
    PKTHREAD thread = PsNewThread(routine, service, priority, 1);
    if (thread == NULL) {
        KeBugCheckEx(INSTALL_MORE_MEMORY, 0, (ULONG64)routine, 6, 0);
    }
    KiStartThread(thread);
}

VOID MonitorStart(VOID) {
    HostIoStartThreads();
    MonitorStartThread(MonitorThread, &MonitorConsole, CONSOLE_PRIORITY);
    MonitorStartThread(MonitorHostThread, &MonitorHost, KI_NORMAL_PRIORITY);
}
