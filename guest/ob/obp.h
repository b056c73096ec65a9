/* SPDX-License-Identifier: Apache-2.0 */
/* What the handle table needs to know of an object. */
#pragma once

#include "ob.h"

POBJECT_TYPE ObpTypeOf(PVOID object);
