/* SPDX-License-Identifier: Apache-2.0 */
/* The controller's numbers: Intel 82077AA data sheet (registers 2.1, commands 5.0, status registers 6.0); NEC uPD765. */
#pragma once

#define FDC_IRQ         6
#define FDC_DMA_CHANNEL 2

#define FDC_PORT(offset)   ((PUCHAR)(ULONG_PTR)(0x3f0 + (offset)))
#define FDC_DIGITAL_OUTPUT FDC_PORT(2)
#define FDC_MAIN_STATUS    FDC_PORT(4)
#define FDC_FIFO           FDC_PORT(5)
#define FDC_DIGITAL_INPUT  FDC_PORT(7) /* read */
#define FDC_CONFIGURATION  FDC_PORT(7) /* write */

#define FDC_OUTPUT_RUN   0x04 /* 0: reset */
#define FDC_OUTPUT_GATE  0x08 /* interrupts and DMA */
#define FDC_OUTPUT_MOTOR 0x10 /* of drive 0 */

#define FDC_STATUS_READY   0x80 /* the FIFO wants to be written or read */
#define FDC_STATUS_TO_HOST 0x40 /* read */
#define FDC_STATUS_BUSY    0x10 /* a command is under way */

#define FDC_INPUT_CHANGED 0x80
#define FDC_500_KBPS      0x00

#define FDC_SPECIFY         0x03
#define FDC_SENSE_DRIVE     0x04
#define FDC_WRITE_DATA      0xc5 /* with multi-track and MFM */
#define FDC_READ_DATA       0xe6 /* the same, skipping deleted data */
#define FDC_RECALIBRATE     0x07
#define FDC_SENSE_INTERRUPT 0x08
#define FDC_SEEK            0x0f
#define FDC_VERSION         0x10
#define FDC_CONFIGURE       0x13

#define FDC_VERSION_82077 0x90
#define FDC_STEP_HEAD     0xaf /* 6 ms a step at 500 kb/s, head unloaded after 240 ms */
#define FDC_LOAD_DMA      0x04 /* head loaded in 4 ms, DMA */
#define FDC_FIFO_SEEK     0x57 /* implied seek, FIFO on, no drive polling, threshold 8 */
#define FDC_SECTOR_512    2
#define FDC_GAP           0x1b
#define FDC_NO_LENGTH     0xff

#define FDC_0_ENDED        0xc0 /* how: 0 normally */
#define FDC_0_SEEK_END     0x20
#define FDC_1_END          0x80 /* a sector beyond the track's last */
#define FDC_1_CRC          0x20
#define FDC_1_OVERRUN      0x10
#define FDC_1_NO_DATA      0x04
#define FDC_1_NOT_WRITABLE 0x02
#define FDC_1_NO_MARK      0x01
#define FDC_2_CYLINDER     0x10
#define FDC_3_PROTECTED    0x40
