/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ISR leaves and what DpcForIsr finds, three times. Both sides hold the interrupt spin lock; that is not what the first one
 * lacks.
 */
#include "naive.h"

/* No cure. Right as long as each DpcForIsr runs before the next interrupt: on one CPU that seems to be so, most of the time. */
static VOID LeaveInExtension(PNAIVE_EXTENSION extension, const NAIVE_DATA *data) {
    extension->Latest = *data;
}

static ULONG TakeFromExtension(PNAIVE_EXTENSION extension, NAIVE_DATA *taken) {
    taken[0] = extension->Latest;
    extension->Latest.Result = 0;
    return taken[0].Result != 0;
}

/* The data goes into the IRP: there are as many places as there are operations. */
static VOID LeaveInIrp(PNAIVE_EXTENSION extension, const NAIVE_DATA *data) {
    PIRP irp = extension->Request[data->Channel];
    if (irp != NULL) { /* its reader may have cancelled it */
        irp->IoStatus.Information = data->Result;
    }
}

static ULONG TakeFromIrps(PNAIVE_EXTENSION extension, NAIVE_DATA *taken) {
    ULONG count = 0;
    for (ULONG channel = 0; channel < extension->Messages->MessageCount; channel++) {
        PIRP irp = extension->Request[channel];
        if (irp != NULL && irp->IoStatus.Information != 0) {
            taken[count++] = (NAIVE_DATA){channel, irp->IoStatus.Information};
        }
    }
    return count;
}

/* A count, and an entry for each: the ISR adds, DpcForIsr takes all and leaves zero. */
static VOID LeaveEntry(PNAIVE_EXTENSION extension, const NAIVE_DATA *data) {
    if (extension->Count < RTL_NUMBER_OF(extension->Entry)) { /* more only if the device interrupts unasked */
        extension->Entry[extension->Count++] = *data;
    }
}

static ULONG TakeEntries(PNAIVE_EXTENSION extension, NAIVE_DATA *taken) {
    ULONG count = extension->Count;
    for (ULONG i = 0; i < count; i++) {
        taken[i] = extension->Entry[i];
    }
    extension->Count = 0;
    return count;
}

const NAIVE_CURE NaiveCures[3] = {
    {LeaveInExtension, TakeFromExtension},
    {LeaveInIrp, TakeFromIrps},
    {LeaveEntry, TakeEntries},
};
