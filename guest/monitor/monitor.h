/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's side of the talk with people (COM1, text) and with the harness (COM2 and the mailbox, typed records). */
#pragma once

#include "../include/hostif.h"

VOID MonitorInitialize(VOID);                     /* boot CPU, once, before interrupts are on */
VOID MonitorLoop(VOID) __attribute__((noreturn)); /* the boot CPU's work at PASSIVE_LEVEL: requests and console lines */

/* monitor/hostlink.c */
VOID HostLinkInitialize(VOID);
BOOLEAN HostLinkPending(VOID); /* a request waits in the mailbox */
VOID HostLinkServe(VOID);      /* PASSIVE_LEVEL: takes the request that waits, or (rendezvous) asks for one */
BOOLEAN HostLinkIsRendezvous(VOID);
VOID HostLinkSend(HOST_FRAME_TYPE type, ULONG sequence);

/* monitor/run.c. PASSIVE_LEVEL. */
VOID HostRun(const HOST_REQUEST *request, HOST_REPLY *reply);

/* monitor/requests.c. PASSIVE_LEVEL. */
VOID HostExecute(const HOST_REQUEST *request, HOST_REPLY *reply);

/* monitor/console.c */
VOID ConsoleInitialize(VOID);
BOOLEAN ConsolePending(VOID);
VOID ConsoleServe(VOID); /* PASSIVE_LEVEL: runs the lines that are complete */

/* monitor/commands.c. PASSIVE_LEVEL. line: NUL-terminated, changed by the call. */
VOID ConsoleExecute(char *line);

/* monitor/exercises.c: the console's `run`. PASSIVE_LEVEL. FALSE: no such exercise. */
BOOLEAN ConsoleExercise(const char *name, ULONG count);
VOID ConsoleListExercises(VOID);
