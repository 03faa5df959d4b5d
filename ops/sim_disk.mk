# The simulated disk and its own tests: programs of tests/sim/disk, with core/env's files and
# SQLite's on that disk; and power loss at every moment, tests/sim/power_loss.

SIM_DISK_C := $(addprefix tests/sim/,disk.c disk_content.c disk_journal.c disk_loss.c sim_file.c vfs.c)
SIM_DISK_O := $(call obj,$(SIM_DISK_C))
# In front of core.a: its file.o and clock.o are then never asked for.
ONE_MACHINE := $(SIM_DISK_O) $(call obj,tests/sim/disk/one_machine.c) $(BUILD)/lib/coordinator.a \
               $(BUILD)/lib/agent.a $(BUILD)/lib/core.a
REPLAY_O    := $(call obj,$(shell find tests/sim/power_loss -name '*.c' ! -name 'test_*' | sort))

$(BUILD)/tests/sim/disk/%: $(BUILD)/obj/tests/sim/disk/%.o $(ONE_MACHINE)
	@mkdir -p $(@D) && $(CXX) -o $@ $^ -lcmocka $(ALL_LD)
$(BUILD)/tests/sim/power_loss/%: $(BUILD)/obj/tests/sim/power_loss/%.o $(REPLAY_O) $(ONE_MACHINE)
	@mkdir -p $(@D) && $(CXX) -o $@ $^ -lcmocka $(ALL_LD)

.PHONY: power-loss
power-loss: $(filter $(BUILD)/tests/sim/power_loss/%,$(TESTS)) ## power loss at every moment, many ways each (minutes)
	@set -e; for t in $^; do TACIT_SLOW=1 $$t; done
