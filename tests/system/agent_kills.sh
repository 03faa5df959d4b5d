#!/bin/bash
# A small run twice with the real programs: once left alone, once with coordinator and agents killed
# (-9) and stopped (TERM) again and again. The same models to the last bit, and nothing counted as a
# failure. What would break for a user: work lost or changed when machines come and go.
set -u
cd "$(dirname "$0")/../.." || exit 1
BIN=${BIN:-build/bin}
dir=$(mktemp -d)
pids=()
cleanup() {
    for p in "${pids[@]}"; do kill -9 "$p" 2>/dev/null; done
    wait 2>/dev/null
    rm -rf "$dir"
}
trap cleanup EXIT
fail() {
    echo "$1"
    tail -n 15 "$dir"/*.log
    exit 1
}

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

coordinator() {
    "$BIN/tacitd" --data "$dir/data" --listen "127.0.0.1:$port" >>"$dir/tacitd.log" 2>&1 &
    tacitd=$!
    pids+=($tacitd)
}
agent() {
    "$BIN/tacit-agent" --coordinator "$TACIT_URL" --token-file "$dir/data/join.token" \
        --work "$dir/agent-$1" --threads 1 --name "agent-$1" >>"$dir/agent-$1.log" 2>&1 &
    agents[$1]=$!
    pids+=($!)
    starts[$1]=$((${starts[$1]:-0} + 1))
}
# An agent that has begun to run ends with 0 when it is stopped; before that, a signal just kills it.
stop_agent() {
    local code
    for _ in $(seq 200); do
        [ "$(grep -c ' tacit-agent ' "$dir/agent-$1.log")" = "${starts[$1]}" ] && break
        sleep 0.05
    done
    kill -TERM "${agents[$1]}"
    wait "${agents[$1]}"
    code=$?
    [ $code = 0 ] || fail "an agent that was stopped ended with exit code $code"
}
declare -A agents starts

port=0
coordinator
for _ in $(seq 100); do
    port=$(sed -n 's/.*listening on .*:\([0-9]*\),.*/\1/p' "$dir/tacitd.log" | head -1)
    [ -n "$port" ] && break
    sleep 0.1
done
[ -n "$port" ] || fail "tacitd does not start"
export TACIT_URL=http://127.0.0.1:$port TACIT_TOKEN_FILE=$dir/data/admin.token
synthetic() {
    python3 tests/system/synthetic.py "$@" || fail "synthetic.py $* failed"
}

synthetic dataset
synthetic run calm "$dir/spec.ini"
agent 1
agent 2
synthetic wait calm 120
synthetic digests calm >"$dir/calm"

synthetic run stormy "$dir/spec.ini"
for round in 1 2 3 4 5 6; do
    sleep 0.7
    kill -9 "${agents[1]}"
    [ $((round % 2)) = 0 ] && { kill -9 $tacitd; wait $tacitd 2>/dev/null; }
    stop_agent 2
    [ $((round % 2)) = 0 ] && coordinator
    agent 1
    agent 2
done
synthetic wait stormy 120
synthetic digests stormy >"$dir/stormy"
diff "$dir/calm" "$dir/stormy" || fail "the models differ"

synthetic jobs stormy >"$dir/jobs"
failures=$(awk '{ sum += $4 } END { print sum + 0 }' "$dir/jobs")
[ "$failures" = 0 ] || { cat "$dir/jobs"; fail "$failures failures were counted"; }
attempts=$(awk '$3 > 1' "$dir/jobs" | wc -l)
[ "$attempts" -gt 0 ] || fail "no job was interrupted: the test has shown nothing"
