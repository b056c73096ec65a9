# SPDX-License-Identifier: Apache-2.0
# The boot ROM: 64 KiB, position-independent C, no writable data.
FIRMWARE_DIR := $(BUILD)/firmware
FIRMWARE_ROM := $(FIRMWARE_DIR)/dirql-rom.bin
FIRMWARE_ELF := $(FIRMWARE_DIR)/dirql-rom.elf
FIRMWARE_CFLAGS := -std=gnu11 -m64 -ffreestanding -fpie -mabi=ms -mno-red-zone -mgeneral-regs-only -fno-stack-protector \
	-fno-asynchronous-unwind-tables -fcf-protection=none -fno-tree-loop-distribute-patterns -Os -g \
	-Wall -Wextra -Werror -Wshadow -Wundef -Wvla -Wstrict-prototypes -Wno-array-bounds -Ifirmware -Iguest/include
FIRMWARE_SOURCES := firmware/reset.S firmware/main.c
FIRMWARE_OBJECTS := $(FIRMWARE_SOURCES:%=$(BUILD)/%.o)

$(BUILD)/firmware/%.S.o: firmware/%.S
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(Q)gcc $(FIRMWARE_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/firmware/%.c.o: firmware/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)gcc $(FIRMWARE_CFLAGS) -MMD -MP -c -o $@ $<

$(FIRMWARE_ELF): $(FIRMWARE_OBJECTS) firmware/rom.ld
	$(call say,LD,$@)
	$(Q)ld -nostdlib -static --build-id=none -z noexecstack --no-warn-rwx-segments -T firmware/rom.ld -o $@ $(FIRMWARE_OBJECTS)

$(FIRMWARE_ROM): $(FIRMWARE_ELF)
	$(call say,ROM,$@)
	$(Q)objcopy -O binary --gap-fill 0 $< $@

-include $(FIRMWARE_OBJECTS:.o=.d)
