/* SPDX-License-Identifier: Apache-2.0 */
/* Where the other CPUs start: a page below 1 MiB that nothing else uses by then. Only numbers. */
#pragma once

#define TRAMPOLINE_ADDRESS 0x7000
