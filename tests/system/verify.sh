#!/bin/bash
# Results of a run computed again on this machine, with the real programs. What would break for a
# user: a wrong or damaged result that nobody notices, a false alarm, a checkpoint that retention
# dropped and that therefore can't be checked, a lie that can't be undone.
set -u
cd "$(dirname "$0")/../.." || exit 1
BIN=${BIN:-build/bin}
tacit=$BIN/tacit
dir=$(mktemp -d)
pids=()
cleanup() {
    for p in "${pids[@]}"; do kill -9 "$p" 2>/dev/null; done
    wait 2>/dev/null
    rm -rf "$dir"
}
trap cleanup EXIT
fail() {
    echo "FAILED: $1"
    tail -n 15 "$dir"/*.log
    exit 1
}
# expect CODE WORDS COMMAND…: exit code, and words somewhere in what it says.
expect() {
    local code=$1 words=$2 got
    shift 2
    "$@" >"$dir/said" 2>&1 </dev/null
    got=$?
    if [ $got != "$code" ] || ! grep -qF -- "$words" "$dir/said"; then
        echo "$* (exit $got, wanted $code, with \"$words\"):"
        cat "$dir/said"
        fail "$*"
    fi
}

cat >"$dir/spec.ini" <<'INI'
[run]
name = NAME
dataset = synthetic
experts = 2
seed = 11
[router]
hidden = 8
layers = 1
heads = 2
prefix = 16
rounds = 2
sequences = 600
batch = 8
learning_rate = 3e-3
warmup = 5
[expert]
hidden = 16
layers = 1
heads = 2
batch = 8
steps = 150
learning_rate = 5e-3
warmup = 20
[dense]
enabled = no
[checkpoint]
every_steps = 30
publish_steps = 30
INI

port=0
coordinator() {
    "$BIN/tacitd" --data "$dir/data" --listen "127.0.0.1:$port" >>"$dir/tacitd.log" 2>&1 &
    tacitd=$!
    pids+=($tacitd)
    for _ in $(seq 100); do
        port=$(sed -n 's/.*listening on .*:\([0-9]*\),.*/\1/p' "$dir/tacitd.log" | tail -1)
        [ -n "$port" ] && curl -sf "http://127.0.0.1:$port/healthz" >/dev/null && return
        sleep 0.1
    done
    fail "tacitd does not start"
}
agent() {
    "$BIN/tacit-agent" --coordinator "$TACIT_URL" --token-file "$dir/data/join.token" \
        --work "$dir/agent-$1" --threads 1 --name "agent-$1" >>"$dir/agent-$1.log" 2>&1 &
    pids+=($!)
    agents[$1]=$!
}
declare -A agents
# sql FILE STATEMENT…: a hand with sqlite3 in the coordinator's data; prints what it selects.
sql() {
    python3 - "$dir/data/$1" "${@:2}" <<'END'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=10)
for statement in sys.argv[2:]:
    for row in db.execute(statement):
        print(*row)
db.commit()
END
}
# job_of MODEL… LAST: the number of the done job that trained it to this step.
job_of() {
    sql tacit.db "SELECT id FROM job WHERE kind = 4 AND target = 2 AND state = 2 AND idx = $1
        AND step_last = $2 AND run = (SELECT id FROM run WHERE name = '$3')"
}
synthetic() {
    python3 tests/system/synthetic.py "$@" || fail "synthetic.py $* failed"
}

coordinator
export TACIT_URL=http://127.0.0.1:$port TACIT_TOKEN_FILE=$dir/data/admin.token
synthetic dataset
synthetic run calm "$dir/spec.ini"
agent 1
agent 2
synthetic wait calm 60
digests() {
    $tacit report "$1" --json | jq -r '(.experts, .routers)[] | .digest'
}
digests calm >"$dir/calm"

echo "--- all is well: every job agrees, and what was replayed is remembered"
expect 0 "all agree" "$tacit" verify calm --links 3 --seed 5 --threads 1 --work "$dir/v"
grep -qF "3 of" "$dir/said" || fail "not three links were replayed"
expect 0 "3 of them earlier" "$tacit" verify calm --links 3 --seed 5 --work "$dir/v"
expect 0 "all whole" "$tacit" verify calm --all --work "$dir/v"
grep -qF "all agree" "$dir/said" || fail "not all agree"
# Every kind of job but the report was replayed.
done_jobs=$(sql tacit.db "SELECT count(*) FROM job WHERE state = 2 AND kind <> 6")
[ "$($tacit verify calm --all --work "$dir/v" --json | jq '.recalled')" = "$done_jobs" ] ||
    fail "not all of $done_jobs jobs were replayed"

echo "--- lineage: from a model down to the shards, each job once"
model=$($tacit run show calm --json | jq -r '.models[] | select(.target == "expert" and .index == 1) | .content')
expect 0 "train expert 1, steps 120 to 150" "$tacit" lineage "${model:0:12}"
for words in "from the initial weights" "segment chunk 1" "assign chunk 1" "the coordinator" \
    "train router 1, round 2" "agent agent-" "train shard" "spec " "tokenizer "; do
    grep -qF "$words" "$dir/said" || fail "the tree does not say \"$words\""
done
twice=$(grep -oE "\(job [0-9]+\)" "$dir/said" | sort | uniq -d)
[ -z "$twice" ] || fail "told twice: $twice"
expect 66 "nothing here" "$tacit" lineage 0123456789abcdef
expect 64 "no digest" "$tacit" lineage xyz

echo "--- a checkpoint that is not kept: its chain is replayed from where it can be"
middle=$(job_of 0 60 calm)
for digest in $(sql tacit.db "SELECT hex(digest) FROM output WHERE job = $middle"); do
    sql blobs.db "DELETE FROM chunk WHERE id / 1048576 = (SELECT id FROM blob WHERE digest = x'$digest')" \
        "DELETE FROM blob WHERE digest = x'$digest'"
done
expect 0 "2 more were dropped" "$tacit" verify calm --all --work "$dir/w"
grep -qF "all agree" "$dir/said" || fail "without the checkpoint, not all agree"
links=$(sql tacit.db "SELECT count(*) FROM job WHERE kind IN (0, 4) AND state = 2")
# A folder in which nothing was replayed yet, and the link after the gap among those picked.
for seed in $(seq 40); do
    rm -rf "$dir/x"
    "$tacit" verify calm --links 2 --seed "$seed" --work "$dir/x" --json >"$dir/one" || fail "seed $seed"
    [ "$(jq .remade "$dir/one")" -gt 0 ] && break
done
[ "$(jq .remade "$dir/one")" -gt 0 ] || fail "of $links links none was replayed across the gap"
