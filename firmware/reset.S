/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the reset vector to long mode, with nothing but ROM under our feet: the descriptor table and the page tables are
 * constants in the ROM, with their accessed and dirty bits set beforehand so that the CPU never wants to write them.
 * The boot processor goes on to firmware_main; any other CPU that comes here is parked.
 * (Intel SDM volume 3: 9.1.4 first instruction, 9.8.5 entering IA-32e mode.)
 */
#include "../guest/include/bootblock.h"
#include "exitcode.h"

#define MSR_APIC_BASE 0x1b
#define APIC_BASE_BSP 0x100
#define MSR_EFER 0xc0000080
#define EFER_LME_NXE 0x900
#define CR0_PE 0x1
#define CR0_PAGING 0x80010021 /* PG, WP, NE, PE */
#define CR4_PAE 0x20
#define ROM_STACK 0x7000

    .section .reset, "ax"
    .globl reset_vector
    .code16
reset_vector:
    jmp real_mode
    .balign 16

    .section .text.real, "ax"
    .code16
real_mode:
    cli
    cld
    movl $MSR_APIC_BASE, %ecx
    rdmsr
    testl $APIC_BASE_BSP, %eax
    jz park16
    lgdtl %cs:(gdt_pointer - 0xffff0000)
    movl %cr0, %eax
    orl $CR0_PE, %eax
    movl %eax, %cr0
    ljmpl $0x08, $protected_mode
park16:
    hlt
    jmp park16

    .code32
protected_mode:
    movw $0x18, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $ROM_STACK, %esp
    movl $0x80000001, %eax
    cpuid
    btl $29, %edx
    jnc no_long_mode
    movl $CR4_PAE, %eax
    movl %eax, %cr4
    movl $pml4, %eax
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    rdmsr
    orl $EFER_LME_NXE, %eax
    wrmsr
    movl $CR0_PAGING, %eax
    movl %eax, %cr0
    ljmpl $0x10, $long_mode
no_long_mode:
    movw $EXIT_PORT, %dx
    movb $EXIT_NO_LONG_MODE, %al
    outb %al, %dx
1:  hlt
    jmp 1b

    .code64
long_mode:
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl $ROM_STACK, %esp
    call firmware_main
    /* RAX = the guest's entry; RCX = the boot block, as the Microsoft convention passes a first argument. */
    movl $BOOT_BLOCK_ADDRESS, %ecx
    jmp *%rax

    .section .rodata, "a"
    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff /* 0x08: 32-bit code, accessed */
    .quad 0x00af9b000000ffff /* 0x10: 64-bit code, accessed */
    .quad 0x00cf93000000ffff /* 0x18: data, accessed */
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt

    .balign 4096
pml4:
    .quad pdpt + 0x63 /* present, writable, accessed, dirty */
    .fill 511, 8, 0
pdpt:
    .quad page_directory + 0x63
    .quad page_directory + 0x1063
    .quad page_directory + 0x2063
    .quad page_directory + 0x3063
    .fill 508, 8, 0
page_directory: /* the first 4 GiB in 2 MiB pages: present, writable, accessed, dirty, large */
    .set page, 0
    .rept 2048
    .quad (page << 21) + 0xe3
    .set page, page + 1
    .endr
