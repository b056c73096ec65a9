/* SPDX-License-Identifier: Apache-2.0 */
/* What a driver can ask of the host: the codes of DirqlHostCall, with their arguments and the value of the answer. */
#pragma once

typedef enum _HOST_CALL_CODE {
    HostCallPing = 1, /* value: -> the first argument */
    HostCallInterrupt =
        2,            /* CPU; vector: sent to it as a message-signalled interrupt; pending there when this returns */
    HostCallNmi = 3,  /* CPU */
    HostCallLine = 4, /* pin of the I/O APIC; level, 0 or 1 */
} HOST_CALL_CODE;
