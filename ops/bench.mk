# Measurements, each as a ratio against a peer or a limit measured in the same run.
.PHONY: bench
bench: ## products against OpenBLAS, a training step, ingest, assignment
	@ops/deps.sh build
	@+$(MAKE) --no-print-directory $(INNER_J) benches
	@for b in $(BENCHES); do echo; echo "== $${b##*/}"; $$b || exit 1; done
