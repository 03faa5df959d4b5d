#!/bin/bash
# make demo: twelve domains of real text become routers, routers part the corpus, experts train on
# agents that never talk to each other, and the mixture is held against dense models.
#   SEED=n       another seed is another run (default 1)
#   DEMO=DIR     where everything stays (default build/demo)
#   BIN=DIR      the programs (default build/bin)
set -u
cd "$(dirname "$0")/../.." || exit 1
SEED=${SEED:-1} DEMO=${DEMO:-build/demo} BIN=${BIN:-build/bin} STEPS=${STEPS:-4000}
SERVICE=$DEMO/service
mkdir -p "$DEMO"
. ops/demo/service.sh
started=$SECONDS

say() {
    printf '\n== %s  (%d s)\n' "$*" $((SECONDS - started))
}
fail() {
    echo "demo: $*" >&2
    exit 1
}
case $SEED in
'' | *[!0-9]*) fail "SEED=$SEED: a seed is a whole number" ;;
esac

say "Corpus: twelve domains from Debian packages, 3 MB each"
ops/demo/corpus.py "$DEMO/corpus" || fail "the corpus could not be made (see above)"

say "Coordinator and two agents of one thread each"
trap service_stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
service_start 2 || exit 1
echo "coordinator: $TACIT_URL, logs in $SERVICE/log"

if ! "$BIN/tacit" datasets --json | grep -q '"name": *"demo"'; then
    say "Tokenizer and shards: tacit ingest demo"
    "$BIN/tacit" ingest demo "$DEMO/corpus" --vocab 1024 --seq 128 || fail "the ingest failed"
fi

# What is known of a run, as one word; nothing where there is none.
run_state() {
    "$BIN/tacit" run show "$1" --json 2>/dev/null | jq -r .state
}

# A run of this seed that was interrupted goes on; one that has ended is repeated under a new name.
name=demo-$SEED again=1
while state=$(run_state "$name") && [ -n "$state" ] && [ "$state" != active ]; do
    again=$((again + 1))
    name=demo-$SEED-$again
done
spec=$DEMO/$name.ini
sed -e "s/^name = .*/name = $name/" -e "s/^seed = .*/seed = $SEED/" \
    -e "s/^steps = .*/steps = $STEPS/" ops/demo/demo.ini >"$spec"
if [ -z "$state" ]; then
    say "The run: tacit run create $spec"
    "$BIN/tacit" plan "$spec" || fail "the spec does not fit"
    "$BIN/tacit" run create "$spec" || fail "the run could not be created"
fi
say "Training: tacit run wait $name"
if ! "$BIN/tacit" run wait "$name"; then
    "$BIN/tacit" jobs --run "$name" --state quarantined >&2
    tail -n 8 "$SERVICE"/log/*.log >&2
    fail "the run failed (above: its jobs, and the last words of coordinator and agents)"
fi

say "Report: tacit report $name"
"$BIN/tacit" report "$name" --json >"$DEMO/report.json.new" || fail "there is no report"
mv "$DEMO/report.json.new" "$DEMO/report.json"
"$BIN/tacit" report "$name"

say "One prompt each for two experts"
first=
while IFS= read -r prompt; do
    answer=$("$BIN/tacit" sample "$name" "$prompt" --tokens 40 --json) || fail "sampling failed"
    expert=$(jq -r .expert <<<"$answer")
    [ "$expert" = "$first" ] && continue
    printf '\n$ tacit sample %s "%s"\n' "$name" "$prompt"
    jq -r '"expert \(.expert) answers:\n\(.text)"' <<<"$answer"
    [ -n "$first" ] && break
    first=$expert
done <ops/demo/prompts.txt

cat <<END

== Done in $((SECONDS - started)) s. To go on:
   make demo SEED=$((SEED + 1))          another run beside this one
   $DEMO/report.json       the figures above, for scripts
   $spec       the spec of this run; \`$BIN/tacit run spec\` explains every key
   The coordinator and its agents are stopped. To start them again:
     $BIN/tacitd --data $SERVICE/data --listen 127.0.0.1:8420
     export TACIT_URL=http://127.0.0.1:8420 TACIT_TOKEN_FILE=$SERVICE/data/admin.token
     $BIN/tacit run list
END
