# Fuzzing: tests/fuzz/fuzz_X.c with clang's libFuzzer, addresses and undefined behaviour watched;
# seeds in tests/fuzz/corpus/X. Needs the packages of ops/deps.sh test.
SECONDS ?= 60

FUZZ_C   := $(wildcard tests/fuzz/fuzz_*.c)
FUZZERS  := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzzers/%,$(FUZZ_C))
FUZZ_SAN := -O1 -fno-omit-frame-pointer -fno-sanitize-recover=all
# Kernels in one instruction set: what is fuzzed does not compute.
FUZZ_MAKE = +$(MAKE) --no-print-directory $(INNER_J) CC=clang CXX=clang++ BUILD=build/fuzz \
            ISAS=plain ISA_plain=-O1 \
            SANFLAGS='-fsanitize=fuzzer-no-link,address,undefined $(FUZZ_SAN)'

.PHONY: fuzz fuzz-build fuzz-corpus fuzzers
fuzz: fuzz-build ## every fuzz target for SECONDS=n each, two at a time (FUZZ="api spec": only these)
	@ops/fuzz.sh $(SECONDS) $(FUZZ)

fuzz-build:
	@ops/deps.sh build test
	$(FUZZ_MAKE) fuzzers

fuzz-corpus: ## writes the seeds of tests/fuzz/corpus again
	@ops/deps.sh build test
	$(FUZZ_MAKE) build/fuzz/fuzzers/make_corpus
	@build/fuzz/fuzzers/make_corpus tests/fuzz/corpus

fuzzers: $(FUZZERS)

FUZZ_LINK = @mkdir -p $(@D) && $(CXX) -o $@ $^ $(ALL_LD) -fsanitize=fuzzer
$(BUILD)/fuzzers/fuzz_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(BUILD)/lib/core.a
	$(FUZZ_LINK)
$(BUILD)/fuzzers/fuzz_api: $(BUILD)/obj/tests/fuzz/fuzz_api.o $(BUILD)/obj/tests/fuzz/api_world.o \
    $(BUILD)/lib/coordinator.a $(BUILD)/lib/core.a
	$(FUZZ_LINK)
$(BUILD)/fuzzers/make_corpus: $(BUILD)/obj/tests/fuzz/make_corpus.o $(BUILD)/lib/core.a
	@mkdir -p $(@D) && $(CXX) -o $@ $^ $(ALL_LD)
