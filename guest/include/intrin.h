/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in front of mingw's intrin.h, which does not compile in an LP64 compiler. What the DDK headers need of it is
 * declared by winnt.h and defined in ddk.h, so nothing is left to say here.
 */
#pragma once
