# The demonstration: from text to a mixture that beats dense, in minutes.
SEED ?= 1

.PHONY: demo acceptance
demo: ## packages, build, corpus, service on a free port, a run, its report (SEED=n: another run)
	@ops/deps.sh build demo
	@mkdir -p $(BUILD)
	@echo "Building build/bin (about a minute the first time)"
	@+$(MAKE) --no-print-directory $(INNER_J) all > $(BUILD)/demo-build.log 2>&1 || \
	    { tail -n 40 $(BUILD)/demo-build.log; exit 1; }
	@SEED=$(SEED) ops/demo/demo.sh

acceptance: ## what the demo promises, with three seeds, an unseen corpus and the random control
	@ops/deps.sh build demo
	@+$(MAKE) --no-print-directory $(INNER_J) all
	@ops/demo/acceptance.sh
