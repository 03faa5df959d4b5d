#!/bin/bash
# Results of a run computed again on this machine, with the real programs. What would break for a
# user: a wrong or damaged result that nobody notices, a false alarm, a checkpoint that retention
# dropped and that therefore can't be checked, a lie that can't be undone.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh
tacit=$BIN/tacit

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

coordinator_first
synthetic dataset
synthetic run calm "$dir/spec.ini"
agent agent-1
agent agent-2
synthetic wait calm
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

echo "--- agents replay, others than the doers first"
for seed in $(seq 40); do # one whose start is kept
    "$tacit" verify calm --links 1 --seed "$seed" --agents >"$dir/said" 2>&1 && break
done
grep -qF "1 of" "$dir/said" && grep -qF "by agents" "$dir/said" && grep -qF "all agree" "$dir/said" ||
    fail "no link is replayed by agents: $(cat "$dir/said")"
expect 69 "is not kept any more" "$tacit" verify calm --links 10 --agents
grep -qF "NOT VERIFIED" "$dir/said" || fail "it is not said that some were not verified"
grep -qF "all agree" "$dir/said" && fail "all agree, though some were not replayed"
agreed=$("$tacit" verify calm --all --agents --json | jq '.replayed, .skipped, (.differences | length)')
[ "$(sed -n 3p <<<"$agreed")" = 0 ] || fail "agents differ: $agreed"
[ "$(sed -n 1p <<<"$agreed")" -gt 8 ] || fail "agents replayed too little: $agreed"
expect 0 "no alarms" "$tacit" alarms

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
sql tacit.db "UPDATE output SET dropped = 1 WHERE job = $middle"
expect 0 "all whole" "$tacit" verify calm --all --work "$dir/w"
grep -qF "all agree" "$dir/said" || fail "without the checkpoint, not all agree"
links=$(sql tacit.db "SELECT count(*) FROM job WHERE kind IN (0, 4) AND state = 2")
# A folder in which nothing was replayed yet, and the link after the gap among those picked.
for seed in $(seq 40); do
    rm -rf "$dir/x"
    "$tacit" verify calm --links 2 --seed "$seed" --work "$dir/x" --json >"$dir/one" || fail "seed $seed"
    [ "$(jq .remade "$dir/one")" -gt 0 ] && break
done
[ "$(jq .remade "$dir/one")" -gt 0 ] || fail "of $links links none was replayed across the gap"

echo "--- a hand changes a checkpoint in the store: found, named, computed anew"
last=$(job_of 1 150 calm)
digest=$(sql tacit.db "SELECT hex(digest) FROM output WHERE job = $last AND role = 0")
sql blobs.db "UPDATE chunk SET data = CAST(substr(data, 1, length(data) - 9) || x'00' || substr(data, -8)
    AS BLOB) WHERE id / 1048576 = (SELECT id FROM blob WHERE digest = x'$digest')"
expect 65 "DAMAGED: blob ${digest,,}, model of train expert 1, steps 120 to 150, by agent agent-" \
    "$tacit" verify calm --all --work "$dir/v"
grep -qF "tacit rollback calm expert:1 --to-good  has it computed anew" "$dir/said" ||
    fail "it is not said what to do"
expect 65 "DAMAGED: blob ${digest,,}" "$tacit" verify calm --all --agents
expect 65 "1 damaged or lost blob of others" "$tacit" rollback calm expert:0 --to-good --work "$dir/v"
expect 0 "would be back at step 120" "$tacit" rollback calm expert:1 --to-good --dry-run --work "$dir/v"
expect 0 "is back at step 120" "$tacit" rollback calm expert:1 --to-good --work "$dir/v"
synthetic wait calm
digests calm | diff "$dir/calm" - || fail "after the damage, the digests differ"
expect 0 "all agree" "$tacit" verify calm --all --work "$dir/v"
grep -qF "all whole" "$dir/said" || fail "a damaged blob is left"
expect 0 "nothing is undone" "$tacit" rollback calm expert:1 --to-good --work "$dir/v"

echo "--- a lie: a well-formed result that is not what training gives"
kill -TERM "${agents[agent-2]}"
wait "${agents[agent-2]}"
# All checkpoints are kept, so that agents can replay each link.
sed 's/^publish_steps = 30/&\nkeep = 10/' "$dir/spec.ini" >"$dir/kept.ini"
# One agent works, and is stopped in the middle of an expert's chain; or was too quick.
on_its_way() {
    for _ in $(seq 20); do
        stopped_at agent-1 "run=$1 train expert 0, steps (31|61|91) to [0-9]*$" && return
        sleep 0.005
    done
    [ "$("$tacit" run show "$1" --json | jq -r .state)" = done ]
}
for lied in lied-1 lied-2 lied-3 lied-4 lied-5; do
    synthetic run $lied "$dir/kept.ini"
    until_true on_its_way $lied || fail "agent-1 does not come to the second link of $lied"
    kill -TERM "${agents[agent-1]}"
    go_on agent-1
    wait "${agents[agent-1]}"
    step=$(sql tacit.db "SELECT max(step_last) FROM job WHERE kind = 4 AND target = 2
        AND idx = 0 AND state = 2 AND run = (SELECT id FROM run WHERE name = '$lied')")
    [ "$step" -lt 150 ] && break
    agent agent-1
    synthetic wait $lied
done
[ "$step" -lt 150 ] || fail "the model was always through before anybody could lie"
kill -TERM $tacitd
wait $tacitd
# What the agent saved of the link it was at would hide the lie: others go on without it.
sql tacit.db "DELETE FROM job_save"
lie=$(python3 tests/system/lie.py "$dir/data" $lied 0 "$step") || fail "lie.py failed"
coordinator
until_true "$tacit" status >/dev/null 2>&1 || fail "the coordinator does not come back"
agent agent-3
agent agent-4
synthetic wait $lied
digests $lied | diff -q "$dir/calm" - >/dev/null && fail "the lie has changed nothing"
expect 65 "DIFFERS: train expert 0, steps $((step - 30)) to $step (job $lie), by agent agent-" \
    "$tacit" verify $lied --all --work "$dir/v"
grep -qF ": 1 differ" "$dir/said" || fail "more or less than the one lie differs: $(cat "$dir/said")"
grep -qF "tacit rollback $lied expert:0 --to $((step - 30))" "$dir/said" || fail "it is not said what to do"
expect 65 "replayed by agent agent-" "$tacit" verify $lied --all --agents
grep -qF "train expert 0, steps $((step - 30)) to $step (job $lie)" "$dir/said" || fail "agents miss the lie"
expect 65 "(job $lie)" "$tacit" alarms --run $lied
expect 0 "no alarms" "$tacit" alarms --run calm
expect 0 "alarms" "$tacit" status
expect 0 "is back at step $((step - 30))" "$tacit" rollback $lied expert:0 --to $((step - 30))
synthetic wait $lied
digests $lied | diff "$dir/calm" - || fail "rolled back, the digests differ"
expect 0 "all agree" "$tacit" verify $lied --all --work "$dir/v"
expect 64 "multiples of 30" "$tacit" rollback $lied expert:0 --to 31
expect 64 "no model" "$tacit" rollback $lied expert-0 --to 30
