#!/bin/sh
# Prints ops/docs/spec.md: the spec's one description (core/protocol/spec.c), as the program has it.
cat <<'END'
# The spec of a run

`tacit run create SPEC.ini` starts a run from a file of `[section]` and `key = value` lines. This page is
what `tacit run spec` prints: every key with what it does, what is accepted, and its default; those that
are marked as required have none, and the values here are examples. A mistake is named with its line, and
nothing is created. `tacit plan SPEC.ini` says what a run will cost.

```ini
END
"${BIN:-build/bin}/tacit" run spec | sed 's/[[:space:]]*$//'
echo '```'
