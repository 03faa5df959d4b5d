#!/bin/bash
# An agent that is frozen in the middle of an upload until its lease is over and another has done the
# job, then wakes: it publishes nothing, drops the job, and asks for what it could go on with. What
# would break for a user: two results of one job, or a laptop that was closed and is of no use after.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh

small_spec 60 20 20 >"$dir/spec.ini"

# Without duplicates, which would take the job over before its lease is over.
coordinator_first --no-duplicates --log-level debug
synthetic dataset
synthetic run calm "$dir/spec.ini"
agent first
synthetic wait calm
synthetic digests calm >"$dir/calm"
kill -TERM "${agents[first]}"
wait "${agents[first]}"

python3 tests/system/hold_proxy.py "$port" "$dir/upload" "$dir/proxy.port" >"$dir/proxy.log" 2>&1 &
pids+=($!)
until_true test -s "$dir/proxy.port" || fail "no proxy"
synthetic run stormy "$dir/spec.ini"
TACIT_URL=http://127.0.0.1:$(cat "$dir/proxy.port") agent frozen
until_true test -e "$dir/upload.held" || fail "no upload to hold"
kill -STOP "${agents[frozen]}"
job=$(sed -n 's/.*job=\([0-9]*\) run=.*/\1/p' "$dir/frozen.log" | tail -n 1)
agent other # takes over when the lease is over
synthetic wait stormy
says other "job=$job run=stormy" || fail "nobody took job $job over"
touch "$dir/upload.go"
kill -CONT "${agents[frozen]}"
until_true says frozen "job=$job dropped" || fail "the woken agent did not drop job $job"
says tacitd "done path=/v1/jobs/$job/complete by=\"agent=2\"" && fail "the woken agent published job $job"
same_digests calm stormy

# It is good for work again.
kill -TERM "${agents[other]}"
wait "${agents[other]}"
synthetic run again "$dir/spec.ini"
synthetic wait again
says frozen "run=again train expert" || fail "the woken agent does not work"
