# The checks and tests: `make check`, `make test`, `make sanitize`; and `make help`.

# Programs of tests/ first, two at a time; then the whole system, one script after another.
SYSTEM_TESTS := $(sort $(wildcard tests/system/*.sh)) tests/sim/sim_short.sh
# Jobs of an inner make: those of the outer one where it was given any.
INNER_J = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: test test-run check sanitize help
test: ## packages, build, every quick test
	@ops/deps.sh build test
	@+$(MAKE) --no-print-directory $(INNER_J) all tests
	@+$(MAKE) --no-print-directory test-run

test-run:
	@ops/test.sh -j 2 $(TESTS) $(SYSTEM_TESTS)

check: ## directions of includes, edges, format, headers
	@ops/deps.sh build test
	@ops/check/layering.py
	@ops/check/format.sh
	@CC='$(CC)' HEADER_CFLAGS='$(PKG_CF)' ops/check/headers.sh

sanitize: ## the unit tests with address and undefined-behaviour sanitizers
	@ops/deps.sh build test
	@+$(MAKE) --no-print-directory $(INNER_J) SANITIZE=1 tests
	@+$(MAKE) --no-print-directory SANITIZE=1 SYSTEM_TESTS= test-run

help: ## this list
	@sed -n 's/^#   //p' Makefile
	@echo
	@grep -hE '^[a-z][a-z-]*:.*## ' Makefile ops/*.mk | sort | \
	    sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F '\t' '{printf "make %-14s %s\n", $$1, $$2}'

.PHONY: api-walk
api-walk: all ## REQUESTS=n (10000) requests made from the API's description, SEED=k
	@ops/deps.sh build test
	@REQUESTS=$(or $(REQUESTS),10000) SEED=$(or $(SEED),1) tests/system/api_walk.sh
