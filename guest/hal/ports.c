/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports and device registers as routines (nt/bus.h). The DDK's headers for x64 have all of them inline, under the same names, so
 * they get names of their own here; other toolchains import them. A register's access is one access, in program order.
 */
#include "../include/ddk.h"

#include "../include/export.h"

/* NOLINTBEGIN(bugprone-macro-parentheses): a type and a string of the assembler, not expressions */
#define PORT_ROUTINES(name, type, letter)                                                                          \
    static type NTAPI HalpReadPort##name(type *Port) {                                                             \
        type value;                                                                                                \
        __asm__ volatile("in" letter " %w1, %0" : "=a"(value) : "Nd"((USHORT)(ULONG_PTR)Port) : "memory");         \
        return value;                                                                                              \
    }                                                                                                              \
    NT_EXPORT_AS(HalpReadPort##name, READ_PORT_##name);                                                            \
    static VOID NTAPI HalpWritePort##name(type *Port, type Value) {                                                \
        __asm__ volatile("out" letter " %0, %w1" : : "a"(Value), "Nd"((USHORT)(ULONG_PTR)Port) : "memory");        \
    }                                                                                                              \
    NT_EXPORT_AS(HalpWritePort##name, WRITE_PORT_##name);                                                          \
    static VOID NTAPI HalpReadPortBuffer##name(type *Port, type *Buffer, ULONG Count) {                            \
        ULONG64 count = Count;                                                                                     \
        __asm__ volatile("rep ins" letter : "+D"(Buffer), "+c"(count) : "d"((USHORT)(ULONG_PTR)Port) : "memory");  \
    }                                                                                                              \
    NT_EXPORT_AS(HalpReadPortBuffer##name, READ_PORT_BUFFER_##name);                                               \
    static VOID NTAPI HalpWritePortBuffer##name(type *Port, type *Buffer, ULONG Count) {                           \
        ULONG64 count = Count;                                                                                     \
        __asm__ volatile("rep outs" letter : "+S"(Buffer), "+c"(count) : "d"((USHORT)(ULONG_PTR)Port) : "memory"); \
    }                                                                                                              \
    NT_EXPORT_AS(HalpWritePortBuffer##name, WRITE_PORT_BUFFER_##name)

/* The fence: a write has left the store buffer when the routine returns. */
#define REGISTER_ROUTINES(name, type)                                                                           \
    static type NTAPI HalpReadRegister##name(const volatile type *Register) {                                   \
        return __atomic_load_n(Register, __ATOMIC_SEQ_CST);                                                     \
    }                                                                                                           \
    NT_EXPORT_AS(HalpReadRegister##name, READ_REGISTER_##name);                                                 \
    static VOID NTAPI HalpWriteRegister##name(volatile type *Register, type Value) {                            \
        *Register = Value;                                                                                      \
        __atomic_thread_fence(__ATOMIC_SEQ_CST);                                                                \
    }                                                                                                           \
    NT_EXPORT_AS(HalpWriteRegister##name, WRITE_REGISTER_##name);                                               \
    static VOID NTAPI HalpReadRegisterBuffer##name(const volatile type *Register, type *Buffer, ULONG Count) {  \
        for (ULONG i = 0; i < Count; i++) {                                                                     \
            Buffer[i] = Register[i];                                                                            \
        }                                                                                                       \
    }                                                                                                           \
    NT_EXPORT_AS(HalpReadRegisterBuffer##name, READ_REGISTER_BUFFER_##name);                                    \
    static VOID NTAPI HalpWriteRegisterBuffer##name(volatile type *Register, const type *Buffer, ULONG Count) { \
        for (ULONG i = 0; i < Count; i++) {                                                                     \
            Register[i] = Buffer[i];                                                                            \
        }                                                                                                       \
        __atomic_thread_fence(__ATOMIC_SEQ_CST);                                                                \
    }                                                                                                           \
    NT_EXPORT_AS(HalpWriteRegisterBuffer##name, WRITE_REGISTER_BUFFER_##name)
/* NOLINTEND(bugprone-macro-parentheses) */

PORT_ROUTINES(UCHAR, UCHAR, "b");
PORT_ROUTINES(USHORT, USHORT, "w");
PORT_ROUTINES(ULONG, ULONG, "l");
REGISTER_ROUTINES(UCHAR, UCHAR);
REGISTER_ROUTINES(USHORT, USHORT);
REGISTER_ROUTINES(ULONG, ULONG);
REGISTER_ROUTINES(ULONG64, ULONG64);
