/* SPDX-License-Identifier: Apache-2.0 */
/* Alerts (driver/apc.h): one bit a mode in the thread, which an alertable wait or a look takes. The dispatcher's. */
#include "apc.h"

#define KI_ALERT_INCREMENT 2 /* of the priority of a thread that an alert wakes */

static BOOLEAN KiAlertBit(KPROCESSOR_MODE mode) {
    return (BOOLEAN)(1u << (mode != KernelMode));
}

static BOOLEAN KiTakeOneAlert(PKTHREAD thread, KPROCESSOR_MODE mode) {
    BOOLEAN alerted = (thread->Alerted & KiAlertBit(mode)) != 0;
    thread->Alerted &= (BOOLEAN)~KiAlertBit(mode);
    return alerted;
}

BOOLEAN KiTakeAlert(PKTHREAD thread, KPROCESSOR_MODE mode) {
    return KiTakeOneAlert(thread, KernelMode) || (mode != KernelMode && KiTakeOneAlert(thread, mode));
}

BOOLEAN NTAPI KeAlertThread(PKTHREAD Thread, KPROCESSOR_MODE AlertMode) {
    KIRQL irql = KiLockDispatcher();
    BOOLEAN before = (Thread->Alerted & KiAlertBit(AlertMode)) != 0;
    if (!before) {
        if (Thread->State == KiThreadWaiting && Thread->WaitBlock != NULL && Thread->WaitAlertable &&
            AlertMode <= Thread->WaitMode) {
            KiEndWait(Thread, STATUS_ALERTED, KI_ALERT_INCREMENT);
        } else {
            Thread->Alerted |= KiAlertBit(AlertMode);
        }
    }
    KiUnlockDispatcher(irql);
    return before;
}
NT_EXPORT(KeAlertThread);

BOOLEAN NTAPI KeTestAlertThread(KPROCESSOR_MODE AlertMode) {
    KIRQL irql = KiLockDispatcher();
    BOOLEAN alerted = KiTakeOneAlert(KeGetCurrentThread(), AlertMode);
    KiUnlockDispatcher(irql);
    return alerted;
}
NT_EXPORT(KeTestAlertThread);
