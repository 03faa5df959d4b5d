# Simulated histories of the whole service (tests/sim).
SEEDS ?= 1000
FIRST ?= 1

SIM_O := $(call obj,$(sort $(wildcard tests/sim/*.c)))
$(BUILD)/sim/sim: EXTRA_LD := -Wl,--wrap=gc_drop -l:libzstd.so.1
$(BUILD)/sim/sim: $(SIM_O) $(BUILD)/lib/coordinator.a $(BUILD)/lib/agent.a $(BUILD)/lib/core.a
	$(LINK)

.PHONY: sim
sim: ## histories with every fault (SEEDS=n FIRST=k; TRACE=1 tells all of one)
	@ops/deps.sh build
	@+$(MAKE) --no-print-directory $(INNER_J) $(BUILD)/sim/sim
	@$(BUILD)/sim/sim $(if $(TRACE),-v) $(SEEDS) $(FIRST)
ifneq ($(SANITIZE),1)
tests: $(BUILD)/sim/sim # tests/sim/sim_short.sh plays it
endif
.PHONY: sim-bugs
sim-bugs: ## plants bugs in a copy of the source, and finds them
	@ops/deps.sh build
	@+$(MAKE) --no-print-directory $(INNER_J) $(BUILD)/sim/sim
	@tests/sim/sim_bugs.sh

AGENTS ?= 1000
.PHONY: sim-goodput
sim-goodput: ## what AGENTS=n simulated agents that live for ten minutes on average get done
	@ops/deps.sh build
	@+$(MAKE) --no-print-directory $(INNER_J) $(BUILD)/sim/sim
	@$(BUILD)/sim/sim -G $(AGENTS) 30
