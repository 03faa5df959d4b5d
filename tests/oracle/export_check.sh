#!/bin/bash
# Exports against all programs that are to load them: `make export-check` runs it.
# usage: export_check.sh EXPORT-FIXTURE
set -u
cd "$(dirname "$0")/../.." || exit 1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$1" "$dir" || exit 1
failed=0
node tests/oracle/export_llama.mjs "$dir" build/npm/test/node_modules || failed=1
node tests/oracle/export_tokenizers.mjs "$dir" build/npm/test/node_modules || failed=1
node tests/oracle/export_tokenizers.mjs "$dir" build/npm/export/node_modules || failed=1
/usr/bin/python3 tests/oracle/export_torch.py "$dir" || failed=1
exit $failed
