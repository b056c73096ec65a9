# SPDX-License-Identifier: Apache-2.0
# dirql. `make` alone lists the targets. Each of them sets up what it needs first, and does nothing where that is done.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-builtin-variables --no-print-directory

CPUS ?= 4
MODE ?=
JOBS ?= $(shell nproc)

include mk/common.mk
include mk/firmware.mk
include mk/guest.mk
include mk/drivers.mk
include mk/check.mk
include mk/mutants.mk

IMAGES := $(FIRMWARE_ROM) $(GUEST_ELF) $(DRIVER_IMAGES) $(DRIVER_IMPORTS) $(DRIVER_KIT)
MACHINE := --cpus $(CPUS) $(if $(MODE),--mode $(MODE))

.PHONY: help
help:
	@printf 'make TARGET [CPUS=4] [MODE=mt|icount|kvm] [V=1]\n\n'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16
	@printf '\n  CPUS=n        how many CPUs the machine of run, qemu and qemu-gdb has\n'
	@printf '  MODE=m        how QEMU runs it: mt (threads), icount (virtual time, deterministic), kvm\n'
	@printf '  V=1           show each command and all that set-up prints\n'
	@printf '  PYTHON3=p     the Python that the virtual environment is made with\n'

.PHONY: run test check
run: build venv ## the main job: an interrupt storm on CPUS CPUs, recorded and judged
	$(Q)$(VENV)/bin/dirql run interrupt-storm $(MACHINE)

test: build venv test-packages ## all tests
	$(Q)$(PYTHON) -m pytest

check: build venv ## formatting, lint and types of all sources
	$(Q)$(MAKE) $(PARALLEL) --keep-going --output-sync check-all

.PHONY: mutants soak-target soak-model soak-oracle
mutants: build venv ## each rule of the executive broken on purpose: does a case notice?
	$(Q)$(PYTHON) -m tests.mutants $(if $(ONLY),$(ONLY:%=--only %))

soak-target: build venv ## 100 runs of the target suite, each in another order (RUNS=n)
	$(Q)$(PYTHON) -m bench.soak_target $(if $(RUNS),--runs $(RUNS))

soak-model: export DIRQL_SOAK_MODEL = $(or $(EXAMPLES),2000)
soak-model: SEED ?= $(shell date +%s)
soak-model: build venv ## random operations on the guest and in a plain model (EXAMPLES=n SEED=s)
	@echo "soak-model: $(DIRQL_SOAK_MODEL) sequences on each machine, SEED=$(SEED)"
	$(Q)$(PYTHON) -m pytest -q tests/system/model --hypothesis-seed=$(SEED)

soak-oracle: export DIRQL_SOAK_ORACLE = $(or $(EXAMPLES),10000)
soak-oracle: SEED ?= $(shell date +%s)
soak-oracle: venv ## correct runs generated and judged: no false alarm (EXAMPLES=n SEED=s)
	@echo "soak-oracle: $(DIRQL_SOAK_ORACLE) interleavings, and a tenth as many of each kind of partial trace, SEED=$(SEED)"
	$(Q)$(PYTHON) -m pytest -q tests/unit/trace/test_oracle_good.py tests/unit/trace/test_oracle_partial.py --hypothesis-seed=$(SEED)

.PHONY: bench soak soak-irps soak-loads soak-trace qemu qemu-gdb doctor
bench: build venv ## measure the numbers of the README, each beside its comparator
	$(Q)$(PYTHON) -m bench

soak: build venv ## 200 runs of the main job
	$(Q)$(PYTHON) -m bench.soak

soak-loads: export DIRQL_LOADS = $(or $(LOADS),1000)
soak-loads: build venv ## a driver loaded, used and unloaded 1,000 times leaves nothing (LOADS=n)
	$(Q)$(PYTHON) -m pytest -q tests/system/guest/test_leaks.py

soak-irps: build venv ## 1,000,000 IRPs, cancelled at random, each completed once (IRPS=n MODE=mt|icount)
	$(Q)$(PYTHON) -m bench.soak_irps $(if $(IRPS),--irps $(IRPS)) $(if $(MODE),--mode $(MODE))

soak-trace: build venv ## a trace of 100 million events, opened, looked into, summarised; 10 GB of disk (EVENTS=n)
	$(Q)$(PYTHON) -m bench.soak_trace $(if $(EVENTS),--events $(EVENTS))

qemu: build venv ## boot to the serial console
	$(Q)$(VENV)/bin/dirql console $(MACHINE)

qemu-gdb: build venv ## boot under gdb, every CPU in it
	$(Q)$(VENV)/bin/dirql gdb $(MACHINE)

doctor: venv ## what dirql needs, what is here, how to get the rest
	$(Q)$(VENV)/bin/dirql doctor

.PHONY: wheel docs build images format clean
wheel: build venv ## a wheel with all that was built inside, in build/: it needs no checkout
	$(Q)tools/wheel $(BUILD)

docs: build venv ## write docs/exports.md anew: which documented routine is in, partial or out
	$(Q)$(VENV)/bin/dirql exports --markdown > $(BUILD)/exports.md
	$(Q)cmp -s $(BUILD)/exports.md docs/exports.md || cp $(BUILD)/exports.md docs/exports.md

build: packages ## firmware, guest and drivers, into build/
	$(Q)$(MAKE) $(PARALLEL) images

images: $(IMAGES) compile_commands.json
	@:

format: venv ## rewrite all sources in the house style
	$(Q)$(MAKE) format-all

clean: ## remove what was built (.venv and runs/ stay)
	$(Q)rm -rf $(BUILD) compile_commands.json

.PHONY: packages test-packages venv
packages:
	$(Q)tools/setup packages

test-packages:
	$(Q)tools/setup packages tests/packages.txt

venv: packages
	$(Q)tools/setup venv
