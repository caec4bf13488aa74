# The commands for people. CMakeLists.txt describes the build; this file only calls it.
# Each goal first installs missing packages (scripts/setup.sh); `make SETUP=:` does not.

BUILD  ?= build
PREFIX ?= /usr/local
PORT   ?= 9001
SETUP  ?= scripts/setup.sh
JOBS   ?= $(shell nproc)

export FUZZ_SECONDS SOAK_MINUTES SETUP
export CMAKE_GENERATOR ?= Ninja
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(JOBS)
# Most of the time tests of sockets only wait, so more tests than cores run at once.
export CTEST_PARALLEL_LEVEL ?= $(shell expr $(JOBS) + 1)

# Tests and benchmarks become a part of the one Release build at their first use.
configure = cmake -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=Release $(1)
build = cmake --build $(BUILD) --target $(1)

.PHONY: all run run-hub run-cluster test tests test-repeat check check-sanitized check-long conformance faults interop bench bench-peers fuzz \
        fuzz-coverage coverage mutants soak tidy format install clean help setup-build setup-test \
        setup-bench setup-peers guard build-guard setup-guard setup-cluster

all: $(BUILD)/CMakeCache.txt  ## build the library and the programs (the default)
	@$(call build,tern programs)

run: $(BUILD)/CMakeCache.txt  ## start the echo server and its page on http://localhost:9001/
	@$(call build,echo_server)
	@exec $(BUILD)/bin/echo_server --port $(PORT)

run-hub: PORT = 9002
run-hub: $(BUILD)/CMakeCache.txt  ## start the hub (topics) and its page on http://localhost:9002/
	@$(call build,hub)
	@exec $(BUILD)/bin/hub --port $(PORT)

run-cluster: PORT = 9003
run-cluster: $(BUILD)/.with-cluster  ## start three hubs on a broker, with one page on http://localhost:9003/
	@$(call build,hub)
	@exec env BUILD=$(BUILD) PORT=$(PORT) examples/cluster/run.sh $(or $(BROKER),redis)

test: $(BUILD)/.with-tests  ## run the tests that need only the compiler (under 5 minutes)
	@$(call build,all)
	@ctest --test-dir $(BUILD) --no-tests=error --output-on-failure --progress \
	  --output-log $(BUILD)/test.log --no-label-summary -LE 'faults|interop|long|bulk'

tests: $(BUILD)/.with-tests
	@$(call build,tern_tests)

mutants: $(BUILD)/.with-tests  ## put small faults into the library; the tests must find each one
	@$(call build,tern tern_tests)
	@scripts/mutants.sh $(BUILD) $(MUTANTS)

test-repeat: $(BUILD)/.with-tests  ## run the suite of make test N (50) times in a row
	@$(call build,all)
	@scripts/repeat.sh $(BUILD) $(or $(N),50)

check:  ## run sanitizers, faults, fuzzers, real peers, clang-tidy (under 35 minutes on 2 cores)
	@scripts/check.sh

check-sanitized:  ## run the faults and the real peers against sanitized builds (under 20 minutes on 2 cores)
	@scripts/check_sanitized.sh

check-long: check check-sanitized $(BUILD)/.with-tests  ## run both, then full-size faults and long fuzzing
	@$(call build,all)
	@ctest --test-dir $(BUILD) --no-tests=error --output-on-failure -L 'long|bulk'
	@scripts/fuzz.sh $(or $(FUZZ_SECONDS),600)

conformance: $(BUILD)/.with-tests  ## run every case of the conformance suite in both roles (under 3 minutes)
	@$(call build,conformance_tests)
	@scripts/conformance.sh $(BUILD)

faults: $(BUILD)/.with-tests  ## inject each fault of the matrix (tests/faults)
	@$(call build,tern_tests programs)
	@ctest --test-dir $(BUILD) --no-tests=error --output-on-failure --no-label-summary -L faults

soak:  ## load the server for SOAK_MINUTES (30); its memory must not grow
	@scripts/soak.sh $(BUILD)

coverage:  ## count the lines of the library that the tests run; fail if they are too few
	@scripts/coverage.sh

interop: $(BUILD)/.with-tests  ## connect with Chromium, python3-websockets, node ws, curl, openssl and proxies
	@$(call build,programs)
	@scripts/interop.sh $(BUILD)

bench: $(BUILD)/.with-bench  ## run the benchmarks
	@$(call build,tern programs benchmarks)
	@scripts/bench.sh $(BUILD)

bench-peers: $(BUILD)/.with-peers  ## build the rivals, too, for `tern-bench compare`
	@$(if $(UWEBSOCKETS),$(call configure,-DTERN_UWEBSOCKETS=$(UWEBSOCKETS)))
	@$(call build,tern-bench echo_server peers)

build-guard: $(BUILD)/.with-guard
	@$(call build,echo_server guard_client guard_server guard_echo_client guard_topics)

guard: build-guard  ## compare instructions and system calls of an echo with the committed figures
	@scripts/guard.sh $(BUILD) $(if $(RENEW),--renew)

fuzz:  ## run each fuzz target for FUZZ_SECONDS (30)
	@scripts/fuzz.sh $(or $(FUZZ_SECONDS),30)

fuzz-coverage:  ## show that the seeds of each fuzz target reach 80 % of the files it names
	@scripts/fuzz_coverage.sh

tidy:  ## run clang-tidy on the library
	@scripts/tidy.sh

format:  ## run clang-format on all sources
	@find include src tests fuzz bench examples tools -name '*.h' -o -name '*.cc' | xargs clang-format -i

install: all  ## install the library, its headers and the command tern: make install PREFIX=/usr/local
	@cmake --install $(BUILD) --prefix $(PREFIX)

clean:  ## remove everything that was built
	@rm -rf $(BUILD)

help:  ## list the goals
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

setup-build setup-test setup-bench setup-peers setup-guard setup-cluster: setup-%:
	@$(SETUP) $*

$(BUILD)/CMakeCache.txt: | setup-build
	@$(call configure,-DTERN_BUILD_TESTS=OFF)

$(BUILD)/.with-tests: | setup-test
	@$(call configure,-DTERN_BUILD_TESTS=ON)
	@touch $@

$(BUILD)/.with-bench: | setup-bench
	@$(call configure,-DTERN_BUILD_BENCH=ON)
	@touch $@

$(BUILD)/.with-peers: | setup-peers
	@$(call configure,-DTERN_BUILD_BENCH=ON -DTERN_BUILD_PEERS=ON)
	@touch $@

# Configures again, because the bridges belong to the build only if their client libraries are installed.
$(BUILD)/.with-cluster: | setup-cluster $(BUILD)/CMakeCache.txt
	@$(call configure,)
	@touch $@

$(BUILD)/.with-guard: | setup-guard $(BUILD)/CMakeCache.txt
	@$(call configure,-DTERN_BUILD_GUARD=ON)
	@touch $@
