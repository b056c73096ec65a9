# SPDX-License-Identifier: Apache-2.0
# The executive: one ELF, Microsoft calling convention, built against mingw's DDK headers. General registers only: what
# the kernel does never touches XMM, so a trap frame need only keep what driver code has there. Frame pointers are for stacks in
# dossiers, unwind tables for exceptions that leave kernel routines for a driver's handler.
GUEST_ELF := $(BUILD)/guest/dirql-guest.elf
GUEST_CFLAGS := -std=gnu11 -O2 -g -mabi=ms -fshort-wchar -ffreestanding -mno-red-zone -mgeneral-regs-only -mcmodel=kernel \
	-fno-pic -fno-stack-protector -fno-strict-aliasing -fno-omit-frame-pointer -fasynchronous-unwind-tables \
	-fno-tree-loop-distribute-patterns -fno-aggressive-loop-optimizations -fcf-protection=none -fms-extensions \
	-D_WIN32 -D_WIN64 -D_AMD64_ -D__MINGW32__ -D__MINGW64__ -D_NTSYSTEM_ -D_WIN32_WINNT=0x0A00 -DNTDDI_VERSION=0x0A000000 \
	-D__cdecl= -D__stdcall= -D__fastcall= -D_cdecl= '-D__declspec(x)=' '-D__int64=long long' \
	-Wall -Wextra -Werror -Wshadow -Wundef -Wvla -Wstrict-prototypes -Wno-multichar \
	-ffile-prefix-map=$(CURDIR)=. -Iguest/include -isystem $(MINGW_INCLUDE)/ddk -isystem $(MINGW_INCLUDE)
GUEST_SOURCES := $(sort $(wildcard $(foreach room,boot hal ke ex mm ob ps cm rtl io ldr seh trace verifier monitor,guest/$(room)/*.[cS])))
GUEST_LDFLAGS := -nostdlib -static --build-id=sha1 --eh-frame-hdr -z noexecstack -z max-page-size=4096 \
	--no-warn-rwx-segments -T guest/guest.ld
GUEST_OBJECTS := $(GUEST_SOURCES:%=$(BUILD)/obj/%.o)

$(GUEST_OBJECTS): $(BUILD)/obj/%.o: % mk/guest.mk
	@mkdir -p $(@D)
	$(call say,$(if $(filter %.S,$<),AS,CC),$<)
	$(Q)gcc $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<

$(GUEST_ELF): $(GUEST_OBJECTS) guest/guest.ld
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)ld $(GUEST_LDFLAGS) -o $@ $(GUEST_OBJECTS)

-include $(GUEST_OBJECTS:.o=.d)
