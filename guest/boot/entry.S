/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first instructions of the guest, at their physical addresses: from our own ROM in long mode, from the stock BIOS by
 * the PVH note in 32-bit protected mode, and the other CPUs in real mode by their STARTUP message. All three end in the
 * kernel's half of the address space, on the early page tables, and call C.
 */
#include "../../firmware/exitcode.h"
#include "../include/bootblock.h"
#include "trampoline.h"

#define KI_BASE 0xffffffff80000000
#define MSR_EFER 0xc0000080
#define EFER_LME_NXE 0x900
#define CR0_PAGING 0x80010021
#define CR4_PAE 0x20
#define PAGE_FLAGS 0x63       /* present, writable, accessed, dirty */
#define LARGE_FLAGS 0xe3      /* and large */
#define XEN_ELFNOTE_PHYS32_ENTRY 18

    .macro LONG_MODE /* from 32-bit protected mode to compatibility mode, on the early page tables; a far jump follows */
    movl $CR4_PAE, %eax
    movl %eax, %cr4
    movl $KiEarlyTop, %eax
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    rdmsr
    orl $EFER_LME_NXE, %eax
    wrmsr
    movl $CR0_PAGING, %eax
    movl %eax, %cr0
    .endm

    .section .boot.header, "ax"
    .quad GUEST_HEADER_MAGIC
    .quad KiEntry64

    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 4, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long KiEntryPvh

    .section .boot.text, "ax"
    .code64
    .globl KiEntry64
KiEntry64: /* RCX: boot block */
    xorl %ebx, %ebx
    movl %ecx, %r12d
enter_kernel: /* R12: boot block or 0; RBX: PVH start info or 0 */
    movl $KiEarlyTop, %eax
    movq %rax, %cr3
    movabsq $1f, %rax
    jmp *%rax

    .code32
    .globl KiEntryPvh
KiEntryPvh: /* EBX: start info (hvm_start_info); flat 32-bit segments, paging off */
    cli
    cld
    movl $boot_stack_end, %esp
    call enable_long_mode
    ljmpl $0x10, $2f
    .code64
2:  xorl %r12d, %r12d
    movl %ebx, %ebx
    jmp enter_kernel

    .code32
enable_long_mode: /* EBX kept */
    pushl %ebx
    movl $0x80000001, %eax
    cpuid
    popl %ebx
    btl $29, %edx
    jnc no_long_mode
    lgdtl early_gdt_pointer
    LONG_MODE
    ret
no_long_mode:
    movw $EXIT_PORT, %dx
    movb $EXIT_NO_LONG_MODE, %al
    outb %al, %dx
3:  hlt
    jmp 3b

    /* Copied to TRAMPOLINE_ADDRESS; runs there in real mode with CS:IP = TRAMPOLINE_ADDRESS >> 4 : 0. */
    .code16
    .globl KiTrampoline, KiTrampolineEnd
KiTrampoline:
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    lgdtl trampoline_gdt_pointer - KiTrampoline
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $0x08, $ap_protected
    .balign 4
trampoline_gdt_pointer:
    .word early_gdt_end - early_gdt - 1
    .long early_gdt
KiTrampolineEnd:

    .code32
ap_protected:
    movw $0x18, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    /* No stack yet: the other CPUs are here too. What the boot CPU has checked, these CPUs have. */
    LONG_MODE
    ljmpl $0x10, $4f
    .code64
4:  movabsq $KiApEntry, %rax
    jmp *%rax

    .section .boot.data, "aw"
    .balign 8
early_gdt:
    .quad 0
    .quad 0x00cf9b000000ffff /* 0x08: 32-bit code */
    .quad 0x00af9b000000ffff /* 0x10: 64-bit code */
    .quad 0x00cf93000000ffff /* 0x18: data */
early_gdt_end:
early_gdt_pointer:
    .word early_gdt_end - early_gdt - 1
    .long early_gdt
    .balign 16
    .skip 64
boot_stack_end:

    /*
     * The early page tables: the first 4 GiB in 2 MiB pages, as they are and as the direct map; the kernel's own GiB is
     * the first of them. Accessed and dirty bits are set, as the CPU would.
     */
    .balign 4096
    .globl KiEarlyTop
KiEarlyTop:
    .quad early_low + PAGE_FLAGS
    .fill 255, 8, 0
    .quad early_low + PAGE_FLAGS
    .fill 254, 8, 0
    .quad early_kernel + PAGE_FLAGS
early_low:
    .quad early_pages + PAGE_FLAGS
    .quad early_pages + 0x1000 + PAGE_FLAGS
    .quad early_pages + 0x2000 + PAGE_FLAGS
    .quad early_pages + 0x3000 + PAGE_FLAGS
    .fill 508, 8, 0
early_kernel:
    .fill 510, 8, 0
    .quad early_pages + PAGE_FLAGS
    .quad 0
early_pages:
    .set page, 0
    .rept 2048
    .quad (page << 21) + LARGE_FLAGS
    .set page, page + 1
    .endr

    .text
    .code64
1:  xorl %eax, %eax /* the boot CPU, in the kernel's half */
    movq $KiBssStart, %rdi
    movq $KiBssEnd, %rcx
    subq %rdi, %rcx
    shrq $3, %rcx
    rep stosq
    movq $KiBootStackEnd, %rsp
    xorl %ebp, %ebp
    movq %r12, %rcx
    movq %rbx, %rdx
    subq $32, %rsp
    call KiSystemStartup
    ud2

    .globl KiApEntry
    .type KiApEntry, @function
KiApEntry: /* another CPU, in the kernel's half, still without a stack: its APIC id says which is its own */
    movq MiTopPhysical, %rax /* the final page tables: the stacks are not in the early ones */
    movq %rax, %cr3
    movl $1, %eax
    cpuid
    shrl $24, %ebx
    movq KiApStacks(, %rbx, 8), %rsp
    xorl %ebp, %ebp
    movl %ebx, %ecx
    subq $32, %rsp
    call KiProcessorStartup
    ud2
    .size KiApEntry, . - KiApEntry

    .globl KiSwitchStack
    .type KiSwitchStack, @function
KiSwitchStack: /* RCX: top of the new stack; RDX: routine, which does not return */
    movq %rcx, %rsp
    xorl %ebp, %ebp
    subq $32, %rsp
    call *%rdx
    ud2
    .size KiSwitchStack, . - KiSwitchStack

    .bss
    .balign 16
    .skip 16384
    .globl KiBootStackEnd
KiBootStackEnd:

    .section .note.GNU-stack, "", @progbits
