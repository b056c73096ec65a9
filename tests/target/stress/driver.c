/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's own part. */
#include <ntddk.h>

#include <dirqltest.h>

TARGET_DRIVER
