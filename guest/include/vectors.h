/* SPDX-License-Identifier: Apache-2.0 */
/* Which vector means what. Vector >> 4 is the IRQL (spec section 1, "the x64 level map"). Only numbers. */
#pragma once

#define APC_VECTOR          0x1f
#define DPC_VECTOR          0x2f
#define CONSOLE_VECTOR      0x31 /* COM1 */
#define HOST_VECTOR         0x32 /* COM2 */
#define CMCI_VECTOR         0x35 /* corrected machine checks: of the level map, never sent here */
#define FIRST_DEVICE_VECTOR 0x40
#define LAST_DEVICE_VECTOR  0xcf
#define CLOCK_VECTOR        0xd1
#define SPURIOUS_VECTOR     0xdf
#define IPI_VECTOR          0xe1
#define WAKE_VECTOR         0xe2 /* ends a halt: a lock that is waited for is free, there is work */
#define VECTOR_IRQL(vector) ((KIRQL)((vector) >> 4))
