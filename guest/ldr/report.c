/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why an image was refused: each reason goes to the console, and all of them into LdrProblem, which the host reads. One line
 * for each, so that everything that is missing is told at once.
 */
#include "work.h"

#include "../rtl/rtl.h"

#define LDR_LINE_BYTES 400 /* names in an image may be any length: they are cut here */

char LdrProblem[LDR_PROBLEM_BYTES];

VOID LdrForgetProblem(VOID) {
    LdrProblem[0] = 0;
}

NTSTATUS LdrRefuse(NTSTATUS status, const char *format, ...) {
    char line[LDR_LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    ULONG length = RtlpFormat(line, sizeof line, format, arguments);
    va_end(arguments);
    for (ULONG i = 0; i < length; i++) { /* text of an image is anything at all */
        line[i] = line[i] < ' ' || line[i] > '~' ? '?' : line[i];
    }
    DbgPrint("ldr: %s\n", line);
    ULONG used = 0;
    while (LdrProblem[used] != 0) {
        used++;
    }
    if (used != 0 && used < sizeof LdrProblem - 1) {
        LdrProblem[used++] = '\n';
    }
    for (ULONG i = 0; i < length && used < sizeof LdrProblem - 1; i++) {
        LdrProblem[used++] = line[i];
    }
    LdrProblem[used] = 0;
    return status;
}
