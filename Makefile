# SPDX-License-Identifier: Apache-2.0
# The verbs of this project; CMake and Ninja do the building (CMakePresets.json). `make` alone explains.
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help
.SUFFIXES:

ifneq ($(shell command -v ccache 2>/dev/null),)
export CMAKE_C_COMPILER_LAUNCHER ?= ccache
export CMAKE_CXX_COMPILER_LAUNCHER ?= ccache
endif
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
BENCHES := $(filter-out common,$(sort $(notdir $(basename $(wildcard bench/*.sh bench/*.py)))))

# configure and build one preset; its folder is build, build-asan, ... as CMakePresets.json says
# ENGINE=prebuilt|cuda|source|system chooses the engine, for setup and for the builds after it
export ENGINE
engine = $(if $(ENGINE),-DINHOUSE_ENGINE=$(ENGINE))

preset = cmake --preset $(1) $(engine) -Wno-dev >build-$(1).log 2>&1 || { cat build-$(1).log >&2; exit 1; }; \
	rm -f build-$(1).log; cmake --build --preset $(1) -j $(JOBS) $(2)

.PHONY: help ready setup build test check fmt lint asan tsan fuzz bench bench-peers demo run install examples clean
help:           ## this text
	@echo "inhouse: make VERB"; echo
	@sed -n 's/^\([a-z-]*\)\(-NAME\)\?:[^#]*## \(.*\)/\1\2|\3/p' Makefile | awk -F'|' '{printf "  %-12s %s\n", $$1, $$2}'
	@echo "  bench-NAME   one measurement: $(BENCHES)"
	@echo; echo "First time here: make demo. Before a commit: make check. Before a push: make test."

ready:
	@tools/setup deps engine --terse

setup:          ## fetch and install all that is needed (run again at any time; offline afterwards); ENGINE=cuda|source|system: another engine
	@tools/setup

build: ready    ## the executables, in build/bin
	@$(call preset,release)
	@ln -sfn build/compile_commands.json compile_commands.json

test:           ## everything: set-up, build, all tests, sanitizers, fuzz replay, tidy
	@tools/test

check: build    ## the quick half of test: unit tests and tidy
	@tools/test --quick

fmt:            ## bring long lines under 100 columns (tools/fmt.py, with the pinned clang-format)
	@tools/setup test --terse
	@tools/fmt.py

lint:           ## the house rules alone (tools/tidy.py)
	@python3 tools/tidy.py

asan: ready     ## unit tests under the address and undefined-behaviour sanitizers
	@tools/test --only asan

tsan: ready     ## tests of the rooms with threads under the thread sanitizer
	@tools/test --only tsan

fuzz: ready     ## replay the fuzz corpora and FUZZ_RUNS (4,000) seeded mutations of them, sanitized
	@FUZZ_RUNS=$(FUZZ_RUNS) FUZZ_SEED=$(FUZZ_SEED) tools/test --only fuzz

bench: build    ## every measurement; each ends with its row lines
	@for b in $(BENCHES); do $(MAKE) bench-$$b || exit 1; done

bench-peers: ready ## build the programs we measure against, from the pinned source
	@tools/peers

bench-%: build
	@if [ -x bench/$*.sh ]; then exec bench/$*.sh; elif [ -f bench/$*.py ]; then exec python3 bench/$*.py; \
	else echo "make: there is no bench/$*.sh or bench/$*.py; there are: $(BENCHES)" >&2; exit 1; fi

demo:           ## triage the example company's tickets on local models, from nothing
	@tools/setup deps engine models-small --terse
	@$(call preset,release,--target programs)
	@tools/demo

run: ready      ## start the server with inhouse.yaml, or with defaults
	@$(call preset,release,--target programs)
	@build/bin/inhouse serve

install: build  ## into PREFIX (default /usr/local), DESTDIR honoured
	@cmake --install build --prefix $(PREFIX)

examples: build ## run every example under examples/
	@tools/test --only examples

clean:          ## remove what was built; what was fetched stays
	rm -rf build build-*/ compile_commands.json
