#!/bin/bash
# What an agent says and does when things are not as they should be: a wrong token, a wrong address, a
# work folder in use, a coordinator that goes away and comes back while the agent trains.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh

# attempt LOG CODE ARGS…: an agent that should end by itself with this exit code.
attempt() {
    local log=$1 code=$2
    shift 2
    timeout "$PATIENCE" "$BIN/tacit-agent" "$@" >"$dir/$log.log" 2>&1
    local got=$?
    [ $got = "$code" ] || fail "$log: exit code $got instead of $code"
}

coordinator_first
join=$dir/data/join.token

attempt no_work 64 --coordinator "$TACIT_URL"
says no_work "give --work DIR" || fail "no word about --work"
echo 0123456789abcdef0123456789abcdef >"$dir/wrong.token"
attempt wrong_token 77 --work "$dir/a" --token-file "$dir/wrong.token"
says wrong_token "giving up" || fail "no word about the token"
attempt no_token_file 66 --work "$dir/a" --token-file "$dir/none.token"
says no_token_file "none.token" || fail "no word about the token's file"
[ "$(stat -c %a "$dir/a/identity")" = 600 ] || fail "the identity is not on disk, for its owner alone"

synthetic dataset
small_spec 400 50 200 >"$dir/spec.ini"
"$BIN/tacit-agent" --work "$dir/w" --token-file "$join" --threads 1 --name one \
    >"$dir/one.log" 2>&1 &
agent=$!
agents[one]=$agent
pids+=($agent)
until_true says one "joined" || fail "it does not join"
[ "$(stat -c %a "$dir/w/agent.token")" = 600 ] || fail "the agent's token can be read by others"
attempt in_use 75 --work "$dir/w" --token-file "$join"
says in_use "give each a --work of its own" || fail "no word about the folder in use"

# Goes away while the agent trains.
synthetic run one "$dir/spec.ini"
until_true stopped_at one "train expert [^:]*$" || fail "no training"
kill -9 $tacitd
wait $tacitd 2>/dev/null
go_on one
until_true says one "trying again until it answers" || fail "no word about the coordinator"
before=$(grep -c "Connection refused" "$dir/one.log")
sleep 2
[ "$(grep -c "Connection refused" "$dir/one.log")" = "$before" ] || fail "it says so again and again"
kill -0 $agent || fail "the agent gave up"
coordinator
until_true says one "answers again" || fail "no word about the coordinator's return"
synthetic wait one
grep -q "dropped\|failed" "$dir/one.log" && fail "work was lost"
kill -TERM $agent
wait $agent
code=$?
[ $code = 0 ] || fail "stopped with exit code $code"

# Without the join token it still is who it was.
"$BIN/tacit-agent" --work "$dir/w" --token-file "$dir/none.token" --threads 1 \
    >"$dir/again.log" 2>&1 &
agent=$!
pids+=($agent)
synthetic run two "$dir/spec.ini"
until_true says again "run=two" || fail "an agent that has joined before needs the join token again"
kill -TERM $agent
wait $agent || fail "stopped with exit code $?"
