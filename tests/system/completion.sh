#!/bin/bash
# Completion in the real shells, at a terminal: what somebody types, a tabulator, and what comes of
# it; names from a real coordinator; and the manual pages, which mandoc must find nothing wrong with.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh
[ -x "$BIN/tacit" ] || {
    echo "$BIN/tacit is not built"
    exit 77
}
export PATH=$PWD/$BIN:$PATH HOME=$dir
unset TACIT_URL TACIT_TOKEN_FILE TACIT_CA

# --- manual pages -----------------------------------------------------------------------------
mkdir "$dir/man"
for page in $(tacit man); do
    tacit man "$page" >"$dir/man/$page" || fail "no page $page"
done
if command -v mandoc >/dev/null; then
    mandoc -T lint "$dir"/man/* >"$dir/lint" || fail "mandoc: $(head -n 5 "$dir/lint")"
    mandoc "$dir/man/tacit-run.1" | grep -q "pause" || fail "tacit-run.1 does not have tacit run pause"
fi

# --- names ------------------------------------------------------------------------------------
# Nothing is said and nothing waits where no coordinator answers.
[ -z "$(TACIT_URL=http://127.0.0.1:1 TACIT_TOKEN_FILE=/dev/null tacit complete -- run show '' 2>/dev/null)" ] ||
    fail "names of runs out of nowhere"
coordinator_first
tacit ingest bash-texts core/base --vocab 300 --seq 32 --holdout 0.3 >/dev/null || fail "no data set"
tacit complete -- datasets delete '' | grep -q '^bash-texts' || fail "the data set's name is not offered"
tacit complete -- plan --seq 64 '' | grep -q '^:files$' || fail "a spec is not a file"
mkdir -p "$dir/config/tacit"
printf '[lab]\nurl = %s\ntoken-file = %s\n' "$TACIT_URL" "$TACIT_TOKEN_FILE" >"$dir/config/tacit/config.ini"
unset TACIT_URL TACIT_TOKEN_FILE
tacit complete -- --at '' | grep -q '^lab' || fail "the coordinator's name is not offered"
tacit --at lab datasets | grep -q '^bash-texts' || fail "--at lab does not ask it"
tacit config | grep -q "config.ini:2" || fail "tacit config does not name the line"

# --- shells -----------------------------------------------------------------------------------
# The last line that is typed deletes the data set, by the beginning of its name.
for shell in bash zsh fish; do
    command -v $shell >/dev/null || {
        echo "no $shell here: its completion is not tried"
        continue
    }
    [ $shell = bash ] || tacit ingest $shell-texts core/base --vocab 300 --seq 32 --holdout 0.3 >/dev/null
    python3 tests/system/completion.py $shell "$dir" || fail "completion in $shell"
done
