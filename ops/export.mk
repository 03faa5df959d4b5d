# Exports against the programs that load them: llama.cpp (node-llama-cpp), PyTorch, transformers.js.
# Beside `make test`, whose tests/system/export_llama.sh does llama.cpp's part: what is installed
# here takes about a gigabyte.
EXPORT_FIXTURE := $(BUILD)/bin/export-fixture

$(EXPORT_FIXTURE): $(BUILD)/obj/tests/oracle/export_fixture.o $(BUILD)/lib/core.a
	$(LINK)
tests: $(EXPORT_FIXTURE)

.PHONY: export-check
export-check: ## what other programs make of exported models (installs PyTorch, transformers.js)
	@ops/deps.sh build test oracle export
	@+$(MAKE) --no-print-directory $(INNER_J) all $(EXPORT_FIXTURE)
	@tests/oracle/export_check.sh $(EXPORT_FIXTURE)
