# The simulated disk and its own tests: programs of tests/sim/disk, with core/env's files and
# SQLite's on that disk.

SIM_DISK_C := $(addprefix tests/sim/,disk.c disk_content.c disk_journal.c disk_loss.c sim_file.c vfs.c)
SIM_DISK_O := $(call obj,$(SIM_DISK_C))

# In front of core.a: its file.o and clock.o are then never asked for.
$(BUILD)/tests/sim/disk/%: $(BUILD)/obj/tests/sim/disk/%.o $(BUILD)/obj/tests/sim/disk/one_machine.o \
    $(SIM_DISK_O) $(BUILD)/lib/coordinator.a $(BUILD)/lib/agent.a $(BUILD)/lib/core.a
	@mkdir -p $(@D) && $(CXX) -o $@ $^ -lcmocka $(ALL_LD)
