# SPDX-License-Identifier: Apache-2.0
# One broken kernel: $(MUTANT) is the switch to set, MUTANT_SOURCES the files that know it. Only those are compiled again; all
# other objects are those of the normal kernel. `make mutants` calls this for each mutant that it finds in the sources.
ifdef MUTANT
MUTANT_DIR := $(BUILD)/mutants/$(MUTANT)
MUTANT_ELF := $(MUTANT_DIR)/dirql-guest.elf
MUTANT_OBJECTS := $(MUTANT_SOURCES:%=$(MUTANT_DIR)/obj/%.o)
MUTANT_LINKED := $(foreach source,$(GUEST_SOURCES),$(if $(filter $(source),$(MUTANT_SOURCES)),$(MUTANT_DIR),$(BUILD))/obj/$(source).o)

$(MUTANT_OBJECTS): $(MUTANT_DIR)/obj/%.o: % mk/guest.mk mk/mutants.mk
	@mkdir -p $(@D)
	$(call say,CC,$< $(MUTANT))
	$(Q)gcc $(GUEST_CFLAGS) -DMUTANT_$(MUTANT)=1 -MMD -MP -c -o $@ $<

$(MUTANT_ELF): $(MUTANT_LINKED) guest/guest.ld
	$(call say,LD,$@)
	$(Q)ld $(GUEST_LDFLAGS) -o $@ $(MUTANT_LINKED)

-include $(MUTANT_OBJECTS:.o=.d)
endif
