/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DDK headers as the executive sees them: the public types and prototypes, preceded by the compiler intrinsics that
 * their inline functions call and that mingw's own compiler would supply. Nothing of ours is declared here.
 */
#pragma once

#define DIRQL_INTRINSIC extern __inline__ __attribute__((__always_inline__, __gnu_inline__, __artificial__))

DIRQL_INTRINSIC unsigned long long __readcr8(void) {
    unsigned long long value;
    __asm__ volatile("mov %%cr8, %0" : "=r"(value) : : "memory");
    return value;
}

DIRQL_INTRINSIC void __writecr8(unsigned long long value) {
    __asm__ volatile("mov %0, %%cr8" : : "r"(value) : "memory");
}

DIRQL_INTRINSIC unsigned char __readgsbyte(unsigned int offset) {
    unsigned char value;
    __asm__ volatile("movb %%gs:(%q1), %0" : "=q"(value) : "r"((unsigned long long)offset));
    return value;
}

DIRQL_INTRINSIC unsigned short __readgsword(unsigned int offset) {
    unsigned short value;
    __asm__ volatile("movw %%gs:%c1, %0" : "=r"(value) : "i"(offset));
    return value;
}

DIRQL_INTRINSIC unsigned long long __readgsqword(unsigned int offset) {
    unsigned long long value;
    __asm__ volatile("movq %%gs:%c1, %0" : "=r"(value) : "i"(offset));
    return value;
}

DIRQL_INTRINSIC void _mm_pause(void) {
    __asm__ volatile("pause" : : : "memory");
}

DIRQL_INTRINSIC unsigned long long __readmsr(unsigned int index) {
    unsigned int low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
    return (unsigned long long)high << 32 | low;
}

DIRQL_INTRINSIC void __writemsr(unsigned int index, unsigned long long value) {
    __asm__ volatile("wrmsr" : : "c"(index), "a"((unsigned int)value), "d"((unsigned int)(value >> 32)) : "memory");
}

DIRQL_INTRINSIC unsigned char __inbyte(unsigned short port) {
    unsigned char value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

DIRQL_INTRINSIC void __outbyte(unsigned short port, unsigned char value) {
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

DIRQL_INTRINSIC unsigned long long __rdtsc(void) {
    unsigned int low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (unsigned long long)high << 32 | low;
}

DIRQL_INTRINSIC void _disable(void) {
    __asm__ volatile("cli" : : : "memory");
}

DIRQL_INTRINSIC void _enable(void) {
    __asm__ volatile("sti" : : : "memory");
}

#include <ntddk.h>
