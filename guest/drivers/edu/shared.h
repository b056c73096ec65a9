/* SPDX-License-Identifier: Apache-2.0 */
/* What edu.sys and who uses it share: its control codes, and what it has counted. */
#pragma once

#define IOCTL_EDU_FACTORIAL \
    CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS) /* ULONG n -> ULONG n! */

#define EDU_LARGEST 12 /* 13! has more than 32 bits */
#define EDU_BYTES 4095 /* QEMU 7.2 ends, with all that runs on it, where a transfer reaches the last byte of the 4096 */

/* Read by the host from the variable EduCounts. */
typedef struct _EDU_COUNTS {
    volatile LONG64 Interrupts; /* times that the ISR found its device interrupting */
    volatile LONG64 Refused;    /* and that it did not */
    volatile LONG64 Raised;     /* causes drained */
    volatile LONG64 Taken;      /* causes that DPCs took */
    volatile LONG64 Messages;   /* 1: by message, 0: by line */
    volatile LONG64 Copied;     /* pieces whose bytes the adapter copied */
} EDU_COUNTS;
