#!/bin/bash
# A small run twice with the real programs: once left alone, once with coordinator and agents killed
# (-9) and stopped (TERM) again and again. The same models to the last bit, and nothing counted as a
# failure. What would break for a user: work lost or changed when machines come and go.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh

chain_spec 11 3 300 20 60 >"$dir/spec.ini"

declare -A starts
start_agent() {
    agent "agent-$1"
    starts[$1]=$((${starts[$1]:-0} + 1))
}
has_begun() { [ "$(grep -c ' tacit-agent ' "$dir/agent-$1.log")" = "${starts[$1]}" ]; }
# An agent that has begun to run ends with 0 when it is stopped; before that, a signal just kills it.
stop_agent() {
    local code
    until_true has_begun "$1" || fail "agent $1 does not start"
    kill -TERM "${agents[agent-$1]}"
    wait "${agents[agent-$1]}"
    code=$?
    [ $code = 0 ] || fail "an agent that was stopped ended with exit code $code"
}
# Kills agent 1 in the middle of a job; between two jobs a kill would show nothing. Where none comes
# any more, the run has ended.
kill_at_work() {
    PATIENCE=20 until_true stopped_at agent-1 "run=stormy [^:]*$|saved at step|was handed over"
    kill -9 "${agents[agent-1]}"
}
coordinator_first
synthetic dataset
synthetic run calm "$dir/spec.ini"
start_agent 1
start_agent 2
synthetic wait calm
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
synthetic wait stormy
same_digests calm stormy
no_failures stormy
attempts=$(awk '$3 > 1' "$dir/jobs" | wc -l)
[ "$attempts" -gt 0 ] || fail "no job was interrupted: the test has shown nothing"
