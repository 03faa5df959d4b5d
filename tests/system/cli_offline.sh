#!/bin/bash
# What the tacit program does without a coordinator, as a user meets it: help, mistakes, plans, the
# spec to start from.
set -u
cd "$(dirname "$0")/../.." || exit 1
tacit=${BIN:-build/bin}/tacit
[ -x "$tacit" ] || {
    echo "$tacit is not built"
    exit 77
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
unset TACIT_URL TACIT_TOKEN_FILE TACIT_CA
export XDG_CONFIG_HOME=$dir
failed=0

# expect CODE WORDS COMMAND…: exit code, and words somewhere in what it says (out or err).
expect() {
    local code=$1 words=$2 said got
    shift 2
    said=$("$@" 2>&1 </dev/null)
    got=$?
    if [ $got != "$code" ] || ! grep -qF -- "$words" <<<"$said"; then
        echo "FAILED: $* (exit $got, wanted $code, with \"$words\"):"
        printf '%s\n' "$said" | head -n 20
        failed=1
    fi
}

expect 0 "0.1" "$tacit" --version
expect 0 "ingest" "$tacit" --help
for command in ingest plan report sample status jobs agents datasets "run create" "run list" \
    "run show" "run wait" "run cancel" "run spec"; do
    # shellcheck disable=SC2086 # two words are two arguments
    expect 0 "Example" "$tacit" $command --help
done
expect 0 "Example" "$tacit" run --help

# Mistakes name the nearest known word and end with EX_USAGE.
expect 64 'did you mean `tacit status`' "$tacit" stauts
expect 64 'did you mean `tacit run list`' "$tacit" run lits
expect 64 'did you mean `tacit run cancel`' "$tacit" cancel my-run
expect 64 "did you mean --json" "$tacit" run list --jsn
expect 64 "did you mean quarantined" "$tacit" jobs --state quarantine
expect 64 "--vocab" "$tacit" ingest name file --vocab many
expect 64 "missing" "$tacit" run wait
expect 64 "TACIT_URL" "$tacit" run list
expect 64 "TACIT_TOKEN_FILE" "$tacit" --url http://127.0.0.1:1 status
echo 00112233445566778899aabbccddeeff >"$dir/token"
expect 69 "127.0.0.1:1" "$tacit" --url http://127.0.0.1:1 --token-file "$dir/token" status
expect 66 "no-such-file" "$tacit" status --url http://127.0.0.1:1 --token-file no-such-file

# The spec to start from is a spec.
"$tacit" run spec >"$dir/my.ini" || failed=1
expect 0 "Routers add" "$tacit" plan "$dir/my.ini"
expect 0 "No agents asked" "$tacit" plan "$dir/my.ini"
expect 0 "No agents asked" "$tacit" --url http://127.0.0.1:1 --token-file "$dir/token" plan "$dir/my.ini"
expect 64 "did you mean" "$tacit" plan <(sed 's/^steps/stepps/' "$dir/my.ini")
expect 66 "tacit run spec" "$tacit" plan "$dir/none.ini"
expect 65 "empty" "$tacit" plan /dev/null

# --- plan --json: figures that hang together -----------------------------------------------------
"$tacit" plan ops/demo/demo.ini --vocab 1024 --seq 128 --sequences 110000 --json >"$dir/plan.json" ||
    failed=1
jq -e '.dense_training == .experts_training and
       .overhead_training > 0.1 and .overhead_training < 0.17 and
       .overhead_training_paper > .overhead_training and
       .mixture_inference > .dense_inference and
       .data_parallel_bytes == 8 * .expert_parameters * .expert_steps * .experts and
       .moved_bytes < .data_parallel_bytes and
       .expert_model_bytes == 4 * .expert_parameters and
       .agents_asked == false and .seconds == null' "$dir/plan.json" >/dev/null || {
    echo "FAILED: plan --json:"
    jq . "$dir/plan.json"
    failed=1
}

# --- plan --paper: Table 3 as METHOD prints it, to the digit -------------------------------------
"$tacit" plan --paper --json | jq -r '.rows[] | [.model, .experts,
    (.training / 1e17 | round / 100), (.training_overhead / 1e17 | round / 100),
    (.inference / 1e10 | round / 100), (.inference_overhead / 1e10 | round / 100)] |
    map(tostring) | join(" ")' >"$dir/paper"
cat >"$dir/table3" <<END
335M 4 31.02 0.22 0.79 0.01
335M 8 62.03 0.75 0.79 0.02
335M 16 124.06 2.71 0.79 0.04
335M 32 248.12 10.28 0.79 0.08
1.3B 4 221.33 0.36 2.81 0.01
1.3B 16 885.33 4.87 2.81 0.04
1.3B 32 1770.65 18.94 2.81 0.08
END
diff "$dir/table3" "$dir/paper" || {
    echo "FAILED: plan --paper differs from Table 3"
    failed=1
}
expect 0 "1770.65 (1770.65)" "$tacit" plan --paper

# A full disk is told.
if [ -w /dev/full ]; then
    "$tacit" plan --paper >/dev/full 2>"$dir/full"
    [ $? = 74 ] && grep -q "No space" "$dir/full" || {
        echo "FAILED: a full disk goes unnoticed"
        failed=1
    }
fi
# No escape sequences where nobody asked for colour.
"$tacit" plan --paper | grep -q $'\033' && {
    echo "FAILED: colour in a pipe"
    failed=1
}
exit $failed
