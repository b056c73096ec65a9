# SPDX-License-Identifier: Apache-2.0
# Drivers, each a PE image made as its user would make one: NAME.c or NAME/*.c in one of these folders becomes NAME.sys.
DRIVER_ROOTS := guest/drivers:$(BUILD)/drivers guest/experiments:$(BUILD)/drivers bench/drivers:$(BUILD)/drivers \
	tests/drivers:$(BUILD)/tests tests/target:$(BUILD)/target

# $(call driver_flags,word): what driver.flags says. `dirql build` reads the same file.
driver_flags = $(shell sed -n 's/^$(1) //p' mk/driver.flags)

# The image is the same bytes wherever it is built: no path of the checkout.
DRIVER_CFLAGS := $(call driver_flags,compile) $(call driver_flags,house) -ffile-prefix-map=$(CURDIR)=. \
	-Iguest/include/driver -isystem $(MINGW_INCLUDE)/ddk
DRIVER_LDFLAGS := $(call driver_flags,link)
DRIVER_LIBS := -L$(BUILD)/lib $(call driver_flags,libraries)
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

# A source that handles exceptions has unwind tables.
$(patsubst %,$(BUILD)/obj/%.o,$(shell grep -lE '^.include <(seh|excpt)\.h>' $(DRIVER_SOURCES))): \
	DRIVER_CFLAGS += $(call driver_flags,tables)
$(DRIVER_OBJECTS): $(BUILD)/obj/%.o: % mk/drivers.mk mk/driver.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(MINGW_CC) $(DRIVER_CFLAGS) -MMD -MP -c -o $@ $<

# Import stubs, and what drivers have linked in from libraries that mingw-w64 has headers of only.
DRIVER_LIBRARY := $(patsubst %,$(BUILD)/obj/%.o,$(wildcard guest/lib/*.c))
$(DRIVER_LIBRARY): $(BUILD)/obj/%.o: % mk/drivers.mk mk/driver.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(MINGW_CC) $(DRIVER_CFLAGS) -MMD -MP -c -o $@ $<

$(DRIVER_IMPORTS): guest/include/driver/dirql.def $(DRIVER_LIBRARY)
	@mkdir -p $(@D)
	$(call say,LIB,$@)
	$(Q)$(MINGW_DLLTOOL) --input-def $< --output-lib $@
	$(Q)$(MINGW_AR) q $@ $(DRIVER_LIBRARY) 2>/dev/null

$(DRIVER_IMAGES): | $(DRIVER_IMPORTS)
	@mkdir -p $(@D)
	$(call say,SYS,$@)
	$(Q)$(MINGW_CC) $(DRIVER_LDFLAGS) -o $@ $^ $(DRIVER_LIBS)

-include $(DRIVER_OBJECTS:.o=.d)

# What building a driver elsewhere takes, beside the import library: `dirql build` finds it with the other built things.
DRIVER_KIT := $(patsubst guest/include/driver/%,$(BUILD)/driverkit/include/%,$(wildcard guest/include/driver/*.h)) \
	$(BUILD)/driverkit/driver.flags

$(BUILD)/driverkit/include/%.h: guest/include/driver/%.h
	@mkdir -p $(@D)
	$(Q)cp $< $@

$(BUILD)/driverkit/driver.flags: mk/driver.flags
	@mkdir -p $(@D)
	$(Q)cp $< $@
