# SPDX-License-Identifier: Apache-2.0
# What every other makefile here uses: where things go, how steps are announced, which tools there are.
BUILD := build
VENV := .venv
PYTHON := $(VENV)/bin/python
PYTHON3 ?= python3
export PYTHON3

MINGW_CC := x86_64-w64-mingw32-gcc
MINGW_DLLTOOL := x86_64-w64-mingw32-dlltool
MINGW_AR := x86_64-w64-mingw32-ar
MINGW_INCLUDE := /usr/share/mingw-w64/include

# V=1 shows commands; otherwise each step is one line, `$(call say,KIND,FILE)`.
V ?= 0
export V
ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-5s %s\n' '$(1)' '$(2)'
endif

# For a sub-make that may use all cores; a caller's own -j is left in charge.
PARALLEL = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(JOBS))

.PHONY: FORCE
FORCE:
