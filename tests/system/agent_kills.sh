#!/bin/bash
# A small run twice with the real programs: once left alone, once with coordinator and agents killed
# (-9) and stopped (TERM) again and again. The same models to the last bit, and nothing counted as a
# failure. What would break for a user: work lost or changed when machines come and go.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh

cat >"$dir/spec.ini" <<'INI'
[run]
name = NAME
dataset = synthetic
experts = 3
seed = 11
[router]
hidden = 8
layers = 1
heads = 2
prefix = 16
rounds = 3
sequences = 1500
batch = 8
learning_rate = 3e-3
warmup = 5
[expert]
hidden = 16
layers = 1
heads = 2
batch = 8
steps = 300
learning_rate = 5e-3
warmup = 20
chunk = 5000
[dense]
match = both
[checkpoint]
every_steps = 20
publish_steps = 60
INI

declare -A starts
start_agent() {
    agent "agent-$1"
    starts[$1]=$((${starts[$1]:-0} + 1))
}
# An agent that has begun to run ends with 0 when it is stopped; before that, a signal just kills it.
stop_agent() {
    local code
    for _ in $(seq 200); do
        [ "$(grep -c ' tacit-agent ' "$dir/agent-$1.log")" = "${starts[$1]}" ] && break
        sleep 0.05
    done
    kill -TERM "${agents[agent-$1]}"
    wait "${agents[agent-$1]}"
    code=$?
    [ $code = 0 ] || fail "an agent that was stopped ended with exit code $code"
}
# Kills agent 1 in the middle of a job, as its log tells while it stands still; between two jobs a
# kill would show nothing. Where none comes any more, the run has ended.
kill_at_work() {
    local begun=${agents[agent-1]} end=$((SECONDS + 20))
    while [ $SECONDS -lt $end ]; do
        kill -STOP "$begun"
        grep ' run=stormy ' "$dir/agent-1.log" | tail -n 1 | grep -vq ': done in ' && break
        kill -CONT "$begun"
        sleep 0.02
    done
    kill -9 "$begun"
}
coordinator_first
synthetic dataset
synthetic run calm "$dir/spec.ini"
start_agent 1
start_agent 2
synthetic wait calm 120
synthetic digests calm >"$dir/calm"

synthetic run stormy "$dir/spec.ini"
for round in 1 2 3 4 5 6; do
    kill_at_work
    [ $((round % 2)) = 0 ] && { kill -9 $tacitd; wait $tacitd 2>/dev/null; }
    stop_agent 2
    [ $((round % 2)) = 0 ] && coordinator
    start_agent 1
    start_agent 2
done
synthetic wait stormy 120
synthetic digests stormy >"$dir/stormy"
diff "$dir/calm" "$dir/stormy" || fail "the models differ"

synthetic jobs stormy >"$dir/jobs"
failures=$(awk '{ sum += $4 } END { print sum + 0 }' "$dir/jobs")
[ "$failures" = 0 ] || { cat "$dir/jobs"; fail "$failures failures were counted"; }
attempts=$(awk '$3 > 1' "$dir/jobs" | wc -l)
[ "$attempts" -gt 0 ] || fail "no job was interrupted: the test has shown nothing"
