/* SPDX-License-Identifier: Apache-2.0 */
/* Loads PE32+ driver images. PASSIVE_LEVEL; does not wait; no locks held. */
#pragma once

#include "../include/hostif.h"

/*
 * Maps an image from memory, relocates it, resolves its imports and lists it in LdrImages. Errors, machine unharmed, the
 * reasons in LdrProblem and on the console: STATUS_INVALID_IMAGE_FORMAT (not a whole PE32+ x64 native image),
 * STATUS_PROCEDURE_NOT_FOUND, STATUS_ORDINAL_NOT_FOUND (nobody exports what it imports), STATUS_DLL_NOT_FOUND (it imports
 * from a driver that is not loaded), STATUS_INSUFFICIENT_RESOURCES.
 */
NTSTATUS LdrLoadImage(const UCHAR *file, ULONG64 bytes, const char *name, LDR_IMAGE **image);
NTSTATUS LdrMayUnload(const LDR_IMAGE *image); /* STATUS_DEVICE_BUSY: others import from it; LdrProblem names them */
VOID LdrUnloadImage(LDR_IMAGE *image);
VOID LdrForgetProblem(VOID);           /* nothing has been refused so far */
LDR_IMAGE *LdrFindImage(ULONG64 base); /* NULL if none is loaded there */
PVOID LdrFindExport(const char *name); /* NULL: not exported */
const char *LdrNameOf(PVOID address);  /* of an export; NULL: none is there */
/* PASSIVE_LEVEL, boot CPU, while nothing of a driver runs; checked_name: the routine whose checked form is at an address.
 * Imports lead to checked forms, or no longer, as the verifier is. */
VOID LdrResolveAgain(const char *(*checked_name)(PVOID));
