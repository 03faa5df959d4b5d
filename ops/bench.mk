# Measurements, each as a ratio against a peer or a limit measured in the same run.
.PHONY: bench bench-parts bench-queue
bench: ## ours beside PyTorch and libraries, in turns: a table, build/bench/results.json (ROWS=train/A,…)
	@ops/deps.sh build bench
	@+$(MAKE) --no-print-directory $(INNER_J) all benches
	@BUILD=$(BUILD) ops/bench/bench.py '$(ROWS)'

bench-parts: ## one part alone in detail: products, steps of many models, ingest, assignment
	@ops/deps.sh build bench
	@+$(MAKE) --no-print-directory $(INNER_J) benches
	@for b in $(filter-out %/bench_rows %/bench_limits,$(BENCHES)); do echo; echo "== $${b##*/}"; $$b || exit 1; done

bench-queue: ## the coordinator as a queue: beanstalkd, PostgreSQL, bare files beside tacitd
	@ops/deps.sh build bench
	@+$(MAKE) --no-print-directory $(INNER_J) all $(BUILD)/bench/queue_client
	@BUILD=$(BUILD) ops/bench/queues.py

# libxsmm is a peer where it is installed (libxsmm-dev, a static library).
ifneq ($(wildcard /usr/lib/libxsmmnoblas.a),)
$(BUILD)/obj/ops/bench/bench_kernels.o $(BUILD)/obj/ops/bench/bench_limits.o: SANFLAGS += -DBENCH_XSMM=1
$(BUILD)/bench/bench_kernels $(BUILD)/bench/bench_limits: EXTRA_LD = -lxsmm -lxsmmnoblas
endif
