/* SPDX-License-Identifier: Apache-2.0 */
/* What the handle table needs of an object: its count of handles, each of which is a reference too. */
#pragma once

#include "ob.h"

VOID ObpAddHandle(PVOID object);
VOID ObpDropHandle(PVOID object); /* PASSIVE_LEVEL: the last one closes the object */
