/* SPDX-License-Identifier: Apache-2.0 */
/* What the boot CPU does when it has started everything: it serves the harness and the person at the console. */
#include "monitor.h"

#include "../ke/ki.h"

static VOID MonitorReportBugCheck(ULONG code) {
    HostLinkSend(HostFrameBugCheck, code);
}

VOID MonitorInitialize(VOID) {
    KiReportBugCheck = MonitorReportBugCheck;
    ConsoleInitialize();
    HostLinkInitialize();
}

VOID MonitorLoop(VOID) {
    HostLinkSend(HostFrameReady, KiProcessorCount);
    for (;;) {
        if (ConsolePending()) {
            ConsoleServe();
        }
        if (HostLinkIsRendezvous() || HostLinkPending()) {
            HostLinkServe();
            continue;
        }
        /* Interrupts off from the last look to the halt: what arrives in between ends the halt at once. */
        _disable();
        if (HostLinkPending() || ConsolePending()) {
            _enable();
        } else {
            KiWaitForInterrupt();
        }
    }
}
