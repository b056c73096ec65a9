/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32, bit by bit: frames are 12 bytes long, a table would cost more cache than it saves. */
#include "rtl.h"

ULONG RtlpCrc32(const VOID *data, ULONG bytes) {
    const UCHAR *next = data;
    ULONG crc = 0xffffffffu;
    while (bytes-- != 0) {
        crc ^= *next++;
        for (ULONG bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1u ? 0xedb88320u : 0);
        }
    }
    return ~crc;
}
