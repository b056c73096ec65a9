# SPDX-License-Identifier: Apache-2.0
# Drivers, each a PE image made as its user would make one: NAME.c or NAME/*.c in one of these folders becomes NAME.sys.
DRIVER_ROOTS := guest/drivers:$(BUILD)/drivers guest/experiments:$(BUILD)/drivers bench/drivers:$(BUILD)/drivers \
	tests/drivers:$(BUILD)/tests tests/target:$(BUILD)/target

# The image is the same bytes whenever and wherever it is built: no time stamp, no path of the checkout. Relocations stay
# (the loader chooses the base), debug information stays, and so do frame pointers, for the stacks in a dossier; they form
# a chain only without unwind tables, whose rules want the frame pointer elsewhere. No tail calls: the kernel takes a return
# address for the caller, in traces and in the stacks of bugchecks.
# min-pagesize: the headers' KeGetCurrentProcessorNumber reads GS:[184h], which gcc would take for a read near address 0.
DRIVER_CFLAGS := -std=gnu11 -O2 -g -fno-omit-frame-pointer -fno-asynchronous-unwind-tables \
	-fno-optimize-sibling-calls -ffile-prefix-map=$(CURDIR)=. \
	-Wall -Wextra -Werror -Wshadow -Wundef -Wvla -Wstrict-prototypes -Wno-multichar --param=min-pagesize=0 \
	-Iguest/include/driver -isystem $(MINGW_INCLUDE)/ddk
DRIVER_LDFLAGS := -shared -nostdlib -Wl,--subsystem,native -Wl,-e,DriverEntry -Wl,--dynamicbase \
	-Wl,--image-base,0x140000000 -Wl,--no-insert-timestamp -Wl,--exclude-all-symbols
DRIVER_LIBS := -L$(BUILD)/lib -ldirql -lntoskrnl -lhal
DRIVER_IMPORTS := $(BUILD)/lib/libdirql.a

# $(call driver,root,folder,name): the rule for one image.
define driver
DRIVER_IMAGES += $(2)/$(3).sys
DRIVER_SOURCES += $(wildcard $(1)/$(3).c $(1)/$(3)/*.c)
$(2)/$(3).sys: $(patsubst %,$(BUILD)/obj/%.o,$(wildcard $(1)/$(3).c $(1)/$(3)/*.c))
endef

# $(call driver_names,root): NAME of each NAME.c and NAME/*.c.
driver_names = $(sort $(patsubst $(1)/%.c,%,$(wildcard $(1)/*.c)) $(patsubst $(1)/%/,%,$(dir $(wildcard $(1)/*/*.c))))
drivers_of = $(foreach name,$(call driver_names,$(1)),$(eval $(call driver,$(1),$(2),$(name))))

DRIVER_IMAGES :=
DRIVER_SOURCES :=
$(foreach root,$(DRIVER_ROOTS),$(call drivers_of,$(firstword $(subst :, ,$(root))),$(lastword $(subst :, ,$(root)))))
DRIVER_OBJECTS := $(DRIVER_SOURCES:%=$(BUILD)/obj/%.o)

$(DRIVER_OBJECTS): $(BUILD)/obj/%.o: % mk/drivers.mk
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(MINGW_CC) $(DRIVER_CFLAGS) -MMD -MP -c -o $@ $<

$(DRIVER_IMPORTS): guest/include/driver/dirql.def
	@mkdir -p $(@D)
	$(call say,LIB,$@)
	$(Q)$(MINGW_DLLTOOL) --input-def $< --output-lib $@

$(DRIVER_IMAGES): | $(DRIVER_IMPORTS)
	@mkdir -p $(@D)
	$(call say,SYS,$@)
	$(Q)$(MINGW_CC) $(DRIVER_LDFLAGS) -o $@ $^ $(DRIVER_LIBS)

-include $(DRIVER_OBJECTS:.o=.d)
