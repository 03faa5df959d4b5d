#!/bin/bash
# Exported models in the programs that people have: llama.cpp must read the same tokens, and say of
# each what our engine says; transformers' tokenizer must give the same ids. What would break for a
# user: a model that answers otherwise, or nonsense, elsewhere. (`make export-check` does more.)
set -u
cd "$(dirname "$0")/../.." || exit 1
fixture=${BIN:-build/bin}/export-fixture modules=build/npm/test/node_modules
[ -x "$fixture" ] || {
    echo "$fixture is not built"
    exit 77
}
for package in node-llama-cpp @node-llama-cpp/linux-x64 @huggingface/tokenizers; do
    [ -d "$modules/$package" ] || {
        echo "npm's $package is not installed: ops/deps.sh test"
        exit 77
    }
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$fixture" "$dir" || exit 1
failed=0
node tests/oracle/export_llama.mjs "$dir" "$modules" || failed=1
node tests/oracle/export_tokenizers.mjs "$dir" "$modules" || failed=1
exit $failed
