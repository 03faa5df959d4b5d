# Measurements, each as a ratio against a peer or a limit measured in the same run.
.PHONY: bench bench-queue
bench: ## products against OpenBLAS, a training step, ingest, assignment, the coordinator as a queue
	@ops/deps.sh build bench
	@+$(MAKE) --no-print-directory $(INNER_J) all benches $(BUILD)/bench/queue_client
	@for b in $(BENCHES); do echo; echo "== $${b##*/}"; $$b || exit 1; done
	@echo; echo "== queue"; BUILD=$(BUILD) ops/bench/queue.py

bench-queue: ## the last of them alone: beanstalkd, PostgreSQL, bare files beside tacitd
	@ops/deps.sh build bench
	@+$(MAKE) --no-print-directory $(INNER_J) all $(BUILD)/bench/queue_client
	@BUILD=$(BUILD) ops/bench/queue.py

# libxsmm is a peer where it is installed (libxsmm-dev, a static library).
ifneq ($(wildcard /usr/lib/libxsmmnoblas.a),)
$(BUILD)/obj/ops/bench/bench_kernels.o: SANFLAGS += -DBENCH_XSMM=1
$(BUILD)/bench/bench_kernels: EXTRA_LD = -lxsmm -lxsmmnoblas
endif
