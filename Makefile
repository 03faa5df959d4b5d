# tacit: build, test, demonstrate, measure. `make help` lists what there is.
#
#   make -jN            binaries in build/bin (once ops/deps.sh has installed what they need)
#   STRICT=1            warnings are errors
#   SANITIZE=1          address and undefined-behaviour sanitizers, in build/sanitize
#   CC=clang CXX=clang++  another compiler, in build/clang

CC       ?= gcc
ifeq ($(origin CC),default)
CC       := gcc
endif
ifeq ($(origin CXX),default)
CXX      := g++
endif

BUILD    := build
ifneq ($(findstring clang,$(CC)),)
BUILD    := build/clang
endif
ifeq ($(SANITIZE),1)
BUILD    := $(BUILD)/sanitize
# -O1: at -O2 both sanitizers on the inlined lanes take the compiler a quarter of an hour.
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1
endif

PKGS     := libmicrohttpd jansson libsodium sqlite3 libarchive libcurl sentencepiece
PKG_CF   := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LD   := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lsentencepiece_train -linih -lgnutls
# Of the command line alone.
CLI_LD   := $(shell pkg-config --libs ncursesw 2>/dev/null)

WARN     := -Wall -Wextra -Wshadow -Wundef -Wpointer-arith -Wvla
WARN_C   := -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings
ifeq ($(STRICT),1)
WARN     += -Werror
endif
# -ffp-contract=off: fused operations are written out, never the compiler's choice.
COMMON   := -O2 -g -ffp-contract=off -fno-math-errno -D_GNU_SOURCE -I. -I$(BUILD)/gen -pthread -MMD -MP
ALL_CF    = $(COMMON) $(WARN) $(SANFLAGS) $(PKG_CF)
ALL_LD    = $(SANFLAGS) -pthread $(PKG_LD) -lm -ldl

ARCH     := $(shell $(CC) -dumpmachine | cut -d- -f1)
ifeq ($(ARCH),x86_64)
ISAS     := plain avx2 avx512 avx512bf16
else ifeq ($(ARCH),aarch64)
ISAS     := plain neon
else
ISAS     := plain
endif
ISA_plain  := -O2
ISA_avx2   := -O3 -mavx2 -mfma
ISA_avx512 := -O3 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512
ISA_avx512bf16 := $(ISA_avx512) -mavx512bf16
ISA_neon   := -O3

# Undefined-behaviour checks on every lane of unrolled vectors make compilers take minutes a file;
# addresses are what can go wrong there.
LANES_SAN := $(if $(SANFLAGS),-fno-sanitize=undefined)

# core/kernels/lanes/*.c are compiled once per instruction set; everything else once.
LANES    := $(wildcard core/kernels/lanes/*.c)
CORE_C   := $(filter-out $(LANES),$(shell find core -name '*.c' | sort))
CORE_CC  := $(shell find core -name '*.cc' | sort)
COORD_C  := $(filter-out coordinator/main.c,$(shell find coordinator -name '*.c' | sort))
AGENT_C  := $(filter-out agent/main.c,$(shell find agent -name '*.c' | sort))
CLI_C    := $(filter-out ops/cli/main.c,$(shell find ops/cli -name '*.c' | sort))
SERVE_C  := $(shell find ops/serve -name '*.c' | sort)
SCHEMA   := $(sort $(wildcard schema/*.sql schema/*/*.sql))
UPLOT    := build/npm/build/node_modules/uplot/dist
UPLOT_F  := $(UPLOT)/uPlot.iife.min.js $(UPLOT)/uPlot.min.css
WEB      := $(sort $(wildcard $(foreach e,html css js svg png woff2,coordinator/web/page/*.$e)))
TESTS_C  := $(shell find tests -name 'test_*.c' | sort)
BENCH_C  := $(shell find ops/bench -name 'bench_*.c' | sort)

obj       = $(addprefix $(BUILD)/obj/,$(addsuffix .o,$(basename $(1))))
CORE_O   := $(call obj,$(CORE_C) $(CORE_CC)) \
            $(foreach i,$(ISAS),$(patsubst core/kernels/lanes/%.c,$(BUILD)/obj/lanes-$(i)/%.o,$(LANES)))
COORD_O  := $(call obj,$(COORD_C)) $(if $(SCHEMA),$(BUILD)/gen/schema_sql.o) $(BUILD)/gen/web_files.o
AGENT_O  := $(call obj,$(AGENT_C))
CLI_O    := $(call obj,$(CLI_C))
SERVE_O  := $(call obj,$(SERVE_C))
TESTS    := $(patsubst tests/%.c,$(BUILD)/tests/%,$(TESTS_C))
BENCHES  := $(patsubst ops/bench/%.c,$(BUILD)/bench/%,$(BENCH_C))

PROGRAMS := $(if $(wildcard coordinator/main.c),$(BUILD)/bin/tacitd) \
            $(if $(wildcard agent/main.c),$(BUILD)/bin/tacit-agent) \
            $(if $(wildcard ops/cli/main.c),$(BUILD)/bin/tacit)

.DELETE_ON_ERROR:
.SECONDARY: # keep the objects of tests: they are wanted again
.PHONY: all tests benches
all: $(PROGRAMS)
tests: $(TESTS)
benches: $(BENCHES)

$(BUILD)/lib/core.a: $(CORE_O)
$(BUILD)/lib/coordinator.a: $(COORD_O)
$(BUILD)/lib/agent.a: $(AGENT_O)
$(BUILD)/lib/cli.a: $(CLI_O)
$(BUILD)/lib/serve.a: $(SERVE_O)
$(BUILD)/lib/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	@ar rcs $@ $^

LINK = @mkdir -p $(@D) && $(CXX) -o $@ $^ $(EXTRA_LD) $(ALL_LD)
$(BUILD)/bin/tacitd: EXTRA_LD := -lsystemd
$(BUILD)/bin/tacitd: $(BUILD)/obj/coordinator/main.o $(BUILD)/lib/coordinator.a $(BUILD)/lib/core.a
	$(LINK)
$(BUILD)/bin/tacit-agent: $(BUILD)/obj/agent/main.o $(BUILD)/lib/agent.a $(BUILD)/lib/core.a
	$(LINK)
$(BUILD)/bin/tacit: EXTRA_LD += $(CLI_LD)
$(BUILD)/bin/tacit: $(BUILD)/obj/ops/cli/main.o $(BUILD)/lib/cli.a $(BUILD)/lib/serve.a \
                    $(BUILD)/lib/core.a
	$(LINK)

$(BUILD)/tests/core/%: $(BUILD)/obj/tests/core/%.o $(BUILD)/lib/core.a
	@mkdir -p $(@D) && $(CXX) -o $@ $^ -lcmocka $(ALL_LD)
$(BUILD)/tests/coordinator/%: $(BUILD)/obj/tests/coordinator/%.o $(BUILD)/lib/coordinator.a $(BUILD)/lib/core.a
	@mkdir -p $(@D) && $(CXX) -o $@ $^ -lcmocka $(ALL_LD)
$(BUILD)/tests/agent/%: $(BUILD)/obj/tests/agent/%.o $(BUILD)/lib/agent.a $(BUILD)/lib/core.a
	@mkdir -p $(@D) && $(CXX) -o $@ $^ -lcmocka $(ALL_LD)
$(BUILD)/tests/ops/%: $(BUILD)/obj/tests/ops/%.o $(BUILD)/lib/cli.a $(BUILD)/lib/serve.a \
                      $(BUILD)/lib/core.a
	@mkdir -p $(@D) && $(CXX) -o $@ $^ -lcmocka $(CLI_LD) $(ALL_LD)
$(BUILD)/bench/%: $(BUILD)/obj/ops/bench/%.o $(BUILD)/lib/core.a
	$(LINK)

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC   $<"
	@$(CC) -std=gnu11 $(WARN_C) $(ALL_CF) -c -o $@ $<
$(BUILD)/obj/%.o: %.cc
	@mkdir -p $(@D)
	@echo "  CXX  $<"
	@$(CXX) -std=c++17 $(ALL_CF) -c -o $@ $<
define LANES_RULE
$(BUILD)/obj/lanes-$(1)/%.o: core/kernels/lanes/%.c
	@mkdir -p $$(@D)
	@echo "  CC   $$< ($(1))"
	@$(CC) -std=gnu11 $(WARN_C) $(ALL_CF) $(ISA_$(1)) $(LANES_SAN) -DLANES_ISA=$(1) -DLANES_ISA_$(1)=1 -c -o $$@ $$<
endef
$(foreach i,$(ISAS),$(eval $(call LANES_RULE,$(i))))

# The migrations, embedded: an array of {database, number, name, sql}, ended by a zero.
$(BUILD)/gen/schema_sql.c: $(SCHEMA) ops/embed_schema.sh
	@mkdir -p $(@D)
	@sh ops/embed_schema.sh $(SCHEMA) > $@
$(BUILD)/gen/schema_sql.o: $(BUILD)/gen/schema_sql.c
	@$(CC) -std=gnu11 $(ALL_CF) -c -o $@ $<

# What goes with an export, embedded by the assembler.
$(BUILD)/obj/ops/cli/export_route.o: ops/cli/route.py

# The dashboard, embedded: its files as they are, and uPlot as npm brought it.
$(BUILD)/gen/web_files.c: $(WEB) $(UPLOT_F) ops/embed_web.sh
	@mkdir -p $(@D)
	@sh ops/embed_web.sh $(WEB) $(UPLOT_F) > $@
$(BUILD)/gen/web_files.o: $(BUILD)/gen/web_files.c
	@$(CC) -std=gnu11 $(ALL_CF) -c -o $@ $<
$(UPLOT_F) &:
	@ops/deps.sh build

# The page to try a mixture, which ops/serve/page.c includes as it is.
$(BUILD)/obj/ops/serve/page.o: $(wildcard ops/serve/page/*)

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
-include $(wildcard ops/*.mk)
