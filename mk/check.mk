# SPDX-License-Identifier: Apache-2.0
# The formatters, linters and type checkers over everything, and the compilation database that clang-tidy and editors read.
PYTHON_FOLDERS := $(wildcard harness tests bench tools)
C_FOLDERS := $(wildcard firmware guest tests bench harness)
C_SOURCES := $(filter %.c,$(FIRMWARE_SOURCES) $(GUEST_SOURCES) $(DRIVER_SOURCES))
C_FILES = $(shell find $(C_FOLDERS) -name '*.[ch]')

# The database is made anew when a makefile changes or a folder gains or loses a file. Flags go by environment: no quoting.
compile_commands.json: export DIRQL_FIRMWARE_CFLAGS = $(FIRMWARE_CFLAGS)
compile_commands.json: export DIRQL_FIRMWARE_SOURCES = $(FIRMWARE_SOURCES)
compile_commands.json: export DIRQL_GUEST_CFLAGS = $(GUEST_CFLAGS)
compile_commands.json: export DIRQL_GUEST_SOURCES = $(GUEST_SOURCES)
compile_commands.json: export DIRQL_DRIVER_CFLAGS = $(DRIVER_CFLAGS)
compile_commands.json: export DIRQL_DRIVER_SOURCES = $(DRIVER_SOURCES)
compile_commands.json: tools/compile_commands.py Makefile $(wildcard mk/*.mk) $(sort $(dir $(C_SOURCES)))
	$(call say,GEN,$@)
	$(Q)$(PYTHON3) tools/compile_commands.py $@

.PHONY: check-all check-ruff check-ruff-format check-mypy check-clang-format check-clang-tidy format-all
check-all: check-ruff check-ruff-format check-mypy check-clang-format check-clang-tidy

check-ruff:
	$(call say,RUFF,$(PYTHON_FOLDERS))
	$(Q)$(VENV)/bin/ruff check --quiet $(PYTHON_FOLDERS)

check-ruff-format:
	$(call say,RUFF,format: $(PYTHON_FOLDERS))
	$(Q)$(VENV)/bin/ruff format --check --quiet $(PYTHON_FOLDERS)

check-mypy:
	$(call say,MYPY,$(PYTHON_FOLDERS))
	$(Q)$(VENV)/bin/mypy --no-error-summary $(PYTHON_FOLDERS)

check-clang-format:
	$(call say,FMT,$(C_FOLDERS))
	$(Q)$(VENV)/bin/clang-format --dry-run -Werror --ferror-limit=5 $(C_FILES)

# A file is looked at again when it, a header, or what clang-tidy is told changed.
TIDY_STAMPS := $(C_SOURCES:%=$(BUILD)/tidy/%.ok)
check-clang-tidy: $(TIDY_STAMPS)

$(TIDY_STAMPS): $(BUILD)/tidy/%.ok: % .clang-tidy mk/check.mk constraints.txt $(shell find $(C_FOLDERS) -name '*.h') | compile_commands.json
	@mkdir -p $(@D)
	$(call say,TIDY,$<)
	$(Q)$(VENV)/bin/clang-tidy --quiet -p . $< && touch $@

format-all:
	$(Q)$(VENV)/bin/ruff check --quiet --fix $(PYTHON_FOLDERS)
	$(Q)$(VENV)/bin/ruff format --quiet $(PYTHON_FOLDERS)
	$(Q)$(VENV)/bin/clang-format -i $(C_FILES)
