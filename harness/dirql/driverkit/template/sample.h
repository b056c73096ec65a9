/* sample.sys: what its users share with it. */
#pragma once

/* Returns a SAMPLE_COUNTS. */
#define IOCTL_SAMPLE_QUERY CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_READ_ACCESS)

typedef struct _SAMPLE_COUNTS {
    ULONG64 Interrupts; /* that the ISR has counted */
    ULONG64 Completed;  /* reads that were told of interrupts */
    ULONG64 Cancelled;  /* reads that were cancelled once they were the device's current one */
} SAMPLE_COUNTS;
