/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's side of the talk with people (COM1, text) and with the harness (COM2 and the mailbox, typed records). */
#pragma once

#include "../include/hostif.h"

/* monitor/services.c */
VOID MonitorInitialize(VOID);     /* boot CPU, once, before interrupts are on */
VOID MonitorStart(VOID);          /* PASSIVE_LEVEL, once: the threads that serve requests and console lines */
VOID MonitorHostArrived(VOID);    /* any IRQL: word of a request has come */
VOID MonitorConsoleArrived(VOID); /* any IRQL: so has input */

/* monitor/hostlink.c */
VOID HostLinkInitialize(VOID);
VOID HostLinkServe(VOID); /* PASSIVE_LEVEL: takes the request that waits, if any, or (rendezvous) asks for one */
BOOLEAN HostLinkIsRendezvous(VOID);
VOID HostLinkSend(HOST_FRAME_TYPE type, ULONG sequence); /* any IRQL */
VOID HostLinkSendLast(HOST_FRAME_TYPE type,
                      ULONG sequence); /* the other CPUs stand still, perhaps in the middle of a frame */

/* monitor/iochannel.c: the host's I/O requests. */
VOID HostIoInitialize(VOID);                                     /* boot CPU, once */
VOID HostIoArrived(VOID);                                        /* any IRQL: word of posted requests has come */
VOID HostIoWait(const HOST_REQUEST *request, HOST_REPLY *reply); /* PASSIVE_LEVEL: HostRequestIo */
VOID HostIoStartThreads(VOID);                                   /* monitor/iothread.c. PASSIVE_LEVEL, once */
VOID HostIoPrintAll(VOID);                                       /* monitor/irps.c. PASSIVE_LEVEL */
ULONG HostIoThreadCount(VOID);                                   /* any IRQL */

/* monitor/inventory.c. PASSIVE_LEVEL. */
VOID MonitorRest(VOID); /* returns when no DPC that was queued and no thread that is ending is left */
VOID MonitorTakeInventory(HOST_INVENTORY *inventory);

/* monitor/run.c. PASSIVE_LEVEL. */
VOID HostRun(const HOST_REQUEST *request, HOST_REPLY *reply);

/* monitor/requests.c. PASSIVE_LEVEL. */
VOID HostExecute(const HOST_REQUEST *request, HOST_REPLY *reply);

/* monitor/console.c */
VOID ConsoleInitialize(VOID);
VOID ConsoleServe(VOID); /* PASSIVE_LEVEL: runs the lines that are complete */

/* monitor/commands.c. PASSIVE_LEVEL. line: NUL-terminated, changed by the call. */
VOID ConsoleExecute(char *line);

/* monitor/exercises.c: the console's `run`. PASSIVE_LEVEL. FALSE: no such exercise. */
BOOLEAN ConsoleExercise(const char *name, ULONG count);
VOID ConsoleListExercises(VOID);
