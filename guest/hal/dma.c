/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two 8237 DMA controllers of a PC (Intel 8237A data sheet; the page registers as on the PC/AT): channels 0 to 3 move bytes,
 * 5 to 7 words, 4 is the cascade. The flip-flop between the halves of a 16-bit register is one for a controller: one lock.
 */
#include "hal.h"

#include "../include/highlock.h"
#include "regs.h"

static KSPIN_LOCK HalpDmaLock;

static USHORT HalpDmaPort(ULONG channel, ULONG byte_controller, ULONG word_controller) {
    return (USHORT)(channel < 4 ? byte_controller : word_controller);
}

/* Address and count registers: one byte apart in the first controller, two in the second. */
static USHORT HalpDmaRegister(ULONG channel, ULONG which) {
    return (USHORT)(channel < 4 ? channel * 2 + which : DMA2_FIRST + (channel - 4) * 4 + which * 2);
}

static VOID HalpDmaWrite16(ULONG channel, ULONG which, ULONG value) {
    __outbyte(HalpDmaPort(channel, DMA1_FLIP_FLOP, DMA2_FLIP_FLOP), 0);
    __outbyte(HalpDmaRegister(channel, which), (UCHAR)value);
    __outbyte(HalpDmaRegister(channel, which), (UCHAR)(value >> 8));
}

static ULONG HalpDmaRead16(ULONG channel, ULONG which) {
    __outbyte(HalpDmaPort(channel, DMA1_FLIP_FLOP, DMA2_FLIP_FLOP), 0);
    ULONG low = __inbyte(HalpDmaRegister(channel, which));
    return low | (ULONG)__inbyte(HalpDmaRegister(channel, which)) << 8;
}

static VOID HalpDmaMask(ULONG channel, BOOLEAN masked) {
    __outbyte(HalpDmaPort(channel, DMA1_MASK, DMA2_MASK), (UCHAR)((channel & 3u) | (masked ? DMA_MASKED : 0)));
}

VOID HalpStartDma(ULONG channel, ULONG64 physical, ULONG bytes, ULONG mode) {
    static const UCHAR page[8] = {0x87, 0x83, 0x81, 0x82, 0, 0x8b, 0x89, 0x8a};
    ULONG shift = channel < 4 ? 0 : 1;
    KIRQL irql = KiAcquireLockAtHigh(&HalpDmaLock);
    HalpDmaMask(channel, TRUE);
    __outbyte(HalpDmaPort(channel, DMA1_MODE, DMA2_MODE), (UCHAR)(mode | (channel & 3u)));
    HalpDmaWrite16(channel, 0, (ULONG)(physical >> shift));
    __outbyte(page[channel], (UCHAR)(physical >> 16 & (shift ? 0xfeu : 0xffu)));
    HalpDmaWrite16(channel, 1, (bytes >> shift) - 1); /* the controller counts to -1 */
    if (channel > 3) {
        __outbyte(DMA2_MODE, DMA_MODE_CASCADE);
        HalpDmaMask(4, FALSE);
    }
    HalpDmaMask(channel, FALSE);
    KiReleaseLockFromHigh(&HalpDmaLock, irql);
}

VOID HalpStopDma(ULONG channel) {
    KIRQL irql = KiAcquireLockAtHigh(&HalpDmaLock);
    HalpDmaMask(channel, TRUE);
    KiReleaseLockFromHigh(&HalpDmaLock, irql);
}

ULONG HalpDmaBytesLeft(ULONG channel) {
    KIRQL irql = KiAcquireLockAtHigh(&HalpDmaLock);
    ULONG left = HalpDmaRead16(channel, 1);
    ULONG again = HalpDmaRead16(channel, 1);
    while ((left & 0xff00u) != (again & 0xff00u)) { /* it counted across a byte between the halves */
        left = again;
        again = HalpDmaRead16(channel, 1);
    }
    KiReleaseLockFromHigh(&HalpDmaLock, irql);
    return ((again + 1) & 0xffffu) << (channel < 4 ? 0 : 1);
}
