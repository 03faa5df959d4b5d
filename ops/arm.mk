# tests/core/model/arm_digest.c for 64-bit ARM, static, to run under qemu-user:
# tests/system/arm_digest.sh compares its bytes with this machine's.

ARM_CC   ?= aarch64-linux-gnu-gcc
ARM_C    := $(addprefix core/,base/err.c base/pool.c base/arena.c base/rng.c base/buf.c \
                                env/process.c env/cgroup.c env/clock.c env/pages.c) \
            $(filter core/kernels/% core/model/%,$(CORE_C)) tests/core/model/arm_digest.c
ARM_CF   := -std=gnu11 $(WARN) $(WARN_C) $(COMMON) -DKERN_NO_BLAS=1
ARM_O    := $(patsubst %.c,$(BUILD)/arm/obj/%.o,$(ARM_C)) \
            $(foreach i,plain neon,$(patsubst core/kernels/lanes/%.c,$(BUILD)/arm/lanes-$(i)/%.o,$(LANES)))

$(BUILD)/arm/arm_digest: $(ARM_O)
	@$(ARM_CC) -static -pthread -o $@ $^ -lm
$(BUILD)/arm/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC   $< (arm)"
	@$(ARM_CC) $(ARM_CF) -c -o $@ $<
define ARM_LANES_RULE
$(BUILD)/arm/lanes-$(1)/%.o: core/kernels/lanes/%.c
	@mkdir -p $$(@D)
	@echo "  CC   $$< (arm $(1))"
	@$(ARM_CC) $(ARM_CF) $(ISA_$(1)) -DLANES_ISA=$(1) -DLANES_ISA_$(1)=1 -c -o $$@ $$<
endef
$(foreach i,plain neon,$(eval $(call ARM_LANES_RULE,$(i))))
-include $(shell find $(BUILD)/arm -name '*.d' 2>/dev/null)
