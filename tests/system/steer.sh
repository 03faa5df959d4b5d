#!/bin/bash
# An operator steers runs and agents with the real programs: a pause in the middle of training, a
# drain, a revoked agent, labels, an extension, a fork, an invitation, a rotated join token. What
# would break for a user: work lost by a pause, other bits after one, agents that go on although they
# were told not to, or a machine that can't be locked out.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh
tacit() { "$BIN/tacit" "$@"; }
expect() { # CODE TEXT COMMAND…: how the command ends, and what it says
    local code=$1 text=$2 got
    shift 2
    "$@" >"$dir/said.log" 2>&1
    got=$?
    [ $got = "$code" ] || fail "$*: exit code $got, not $code: $(cat "$dir/said.log")"
    grep -q -- "$text" "$dir/said.log" || fail "$*: does not say '$text': $(cat "$dir/said.log")"
}
state_is() { tacit agents --json | jq -e --arg n "$1" --arg s "$2" \
    'any(.[]; .name == $n and .state == $s)' >/dev/null; }
leased() { [ "$(tacit run show "$1" --json | jq .jobs_leased)" = "$2" ]; }

small_spec 3000 100000 100000 >"$dir/spec.ini"
coordinator_first
synthetic dataset

# Undisturbed, and then extended once it was done.
synthetic run calm "$dir/spec.ini"
agent calm-1
agent calm-2
synthetic wait calm 400
expect 0 "go on to 3,200 steps" tacit run extend calm --steps 200
synthetic wait calm 200
synthetic digests calm >"$dir/calm"
tacit run show calm --json | jq -e '.extended_from == 3000 and .expert_steps == 3200' >/dev/null ||
    fail "the extension is not shown"

# Another one is extended before it has begun, and disturbed.
tacit run pause nothing 2>"$dir/said.log" && fail "a run that is not there was paused"
synthetic run stormy "$dir/spec.ini"
expect 64 "how many steps more" tacit run extend stormy
expect 0 "3,200" tacit run extend stormy --steps 200
expect 66 'did you mean "stormy"' tacit run pause stromy
until_true leased stormy 2 || fail "nobody works"
until_true says calm-1 "run=stormy train expert" || fail "no training"
sleep 2
expect 0 "is paused for" tacit run pause stormy --until 1h
until_true leased stormy 0 || fail "jobs of a paused run go on"
says calm-1 "handed over at step" || says calm-2 "handed over at step" ||
    fail "nothing was handed over"
kill -KILL "$tacitd"
wait "$tacitd"
coordinator # the pause outlives it
until_true tacit status >"$dir/said.log" 2>&1 || fail "no coordinator"
sleep 1
leased stormy 0 || fail "the pause was forgotten"

# One agent is drained, the other one goes on; labels pick them.
expect 0 "calm-2 is labelled" tacit agents label calm-2 site=lab
expect 0 "^calm-2 finishes" tacit agents drain --label site=lab
expect 0 "goes on" tacit run resume stormy
until_true says calm-1 "was handed over at step" || fail "nobody went on from what was saved"
until_true says calm-2 "drained: this agent, calm-2, gets no more jobs" || fail "not drained"
until_true state_is calm-2 drained || fail "not shown as drained"
expect 0 "calm-1 is revoked" tacit agents revoke 'calm-1'
until_true says calm-1 "was revoked by an operator" || fail "the revoked agent is not told"
wait "${agents[calm-1]}"
code=$?
[ $code = 77 ] || fail "a revoked agent ended with $code"

# An invitation for one; the join token of before lets nobody in.
tacit invite --uses 1 --owner alice >"$dir/alice.token" 2>"$dir/said.log" || fail "no invitation"
cp "$dir/data/join.token" "$dir/old.token"
tacit token rotate join >"$dir/new.token" || fail "no new join token"
cmp -s "$dir/new.token" "$dir/data/join.token" || fail "join.token is another one"
invited() {
    "$BIN/tacit-agent" --coordinator "$TACIT_URL" --token-file "$2" --work "$dir/$1" --threads 1 \
        --name "$1" --log-format json --log-level debug >>"$dir/$1.log" 2>&1 &
    agents[$1]=$!
    pids+=($!)
}
invited alice-1 "$dir/alice.token"
until_true says alice-1 joined || fail "the invitation lets nobody in"
invited alice-2 "$dir/alice.token"
wait "${agents[alice-2]}" && fail "two joined by an invitation for one"
says alice-2 "this invitation was for 1 agents" || fail "the second one is not told why"
invited old "$dir/old.token"
wait "${agents[old]}" && fail "the old join token lets somebody in"
expect 0 "alice" tacit quota alice 5
expect 0 "gets jobs again" tacit agents undrain 'calm-*'
synthetic wait stormy 400
synthetic digests stormy >"$dir/stormy"
diff "$dir/calm" "$dir/stormy" || fail "the models differ"
tacit jobs --run stormy --limit 999 --json | jq -e 'all(.[]; .failures == 0)' >/dev/null ||
    fail "steering counted as a failure"

# A fork, cancelled twice; what happened is told.
expect 0 "forked\|created from" tacit run fork stormy quick expert.steps=100000 dense.enabled=no
until_true leased quick 2 || fail "nobody works for the fork"
expect 64 "needed by runs calm, quick, stormy" tacit datasets delete synthetic
expect 0 "is cancelled" tacit run cancel quick
expect 0 "is cancelled" tacit run cancel quick
leased quick 0 || fail "a cancelled run has jobs"
until_true grep -q "dropped" "$dir/alice-1.log" || fail "its agents were not told"
jq -se 'all(.[]; .time and .level and .msg) and any(.[]; .level == "debug" and .msg == "heartbeat") and
    any(.[]; .level == "info" and .run == "quick" and .job > 0)' "$dir/alice-1.log" >"$dir/said.log" ||
    fail "an agent's log as JSON can't be read by a program"
tacit events --since 1h >"$dir/events.log" || fail "no events"
for kind in run.created run.phase run.paused run.resumed run.extended run.done run.cancelled \
    agent.joined agent.drained agent.revoked token.rotated invitation.made; do
    grep -q " $kind " "$dir/events.log" || fail "no event $kind"
done
grep -q "run.paused .*stormy.*by admin" "$dir/events.log" || fail "who paused is not told"
echo "steer: ok"
