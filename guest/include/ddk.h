/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DDK headers as the executive sees them: the public types and prototypes, plus the compiler intrinsics that those
 * headers declare and that mingw's own compiler would supply. Nothing of ours is declared here.
 */
#pragma once

#include <ntddk.h>

#define DIRQL_INTRINSIC extern __inline__ __attribute__((__always_inline__, __gnu_inline__, __artificial__))

DIRQL_INTRINSIC unsigned __int64 __readcr8(void) {
    unsigned __int64 value;
    __asm__ volatile("mov %%cr8, %0" : "=r"(value) : : "memory");
    return value;
}

DIRQL_INTRINSIC void __writecr8(unsigned __int64 value) {
    __asm__ volatile("mov %0, %%cr8" : : "r"(value) : "memory");
}

DIRQL_INTRINSIC unsigned char __readgsbyte(unsigned __LONG32 offset) {
    unsigned char value;
    __asm__ volatile("movb %%gs:(%q1), %0" : "=q"(value) : "r"((unsigned __int64)offset));
    return value;
}

DIRQL_INTRINSIC unsigned short __readgsword(unsigned __LONG32 offset) {
    unsigned short value;
    __asm__ volatile("movw %%gs:%c1, %0" : "=r"(value) : "i"(offset));
    return value;
}

DIRQL_INTRINSIC unsigned __int64 __readgsqword(unsigned __LONG32 offset) {
    unsigned __int64 value;
    __asm__ volatile("movq %%gs:%c1, %0" : "=r"(value) : "i"(offset));
    return value;
}

DIRQL_INTRINSIC void _mm_pause(void) {
    __asm__ volatile("pause" : : : "memory");
}

DIRQL_INTRINSIC unsigned __int64 __readmsr(unsigned __LONG32 index) {
    unsigned __LONG32 low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
    return (unsigned __int64)high << 32 | low;
}

DIRQL_INTRINSIC void __writemsr(unsigned __LONG32 index, unsigned __int64 value) {
    __asm__ volatile("wrmsr" : : "c"(index), "a"((ULONG)value), "d"((ULONG)(value >> 32)) : "memory");
}

DIRQL_INTRINSIC unsigned char __inbyte(unsigned short port) {
    unsigned char value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

DIRQL_INTRINSIC void __outbyte(unsigned short port, unsigned char value) {
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

DIRQL_INTRINSIC unsigned __int64 __rdtsc(void) {
    unsigned __LONG32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (unsigned __int64)high << 32 | low;
}

DIRQL_INTRINSIC void _disable(void) {
    __asm__ volatile("cli" : : : "memory");
}

DIRQL_INTRINSIC void _enable(void) {
    __asm__ volatile("sti" : : : "memory");
}
