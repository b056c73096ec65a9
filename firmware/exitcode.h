/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values that the ROM and the guest write to the debug-exit port; QEMU's exit status is (value << 1) | 1.
 * Only numbers: C and assembly read it, and the harness learns the same names from the guest's debug info.
 */
#pragma once

#define EXIT_PORT 0x501

#define EXIT_BUGCHECK      0x10 /* KeBugCheckEx; KiBugCheckData says which */
#define EXIT_REQUESTED     0x11 /* the console's quit command */
#define EXIT_NO_LONG_MODE  0x20 /* ROM: this CPU has no long mode */
#define EXIT_NO_GUEST      0x21 /* ROM: no guest image at 1 MiB */
#define EXIT_TOO_MANY_CPUS 0x22 /* ROM: more than 64 CPUs */
#define EXIT_NO_PCI_SPACE  0x23 /* ROM: the BARs do not fit */
