# The real programs in a storm of kills, cuts and full disks: minutes, so not part of the tests.
.PHONY: soak
soak: ## agents and coordinator killed 50 times on a bad network: equal digests, goodput (SEED=n)
	@ops/deps.sh build demo test
	@+$(MAKE) --no-print-directory $(INNER_J) all
	@tests/soak/soak.sh
