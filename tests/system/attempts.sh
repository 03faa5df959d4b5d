#!/bin/bash
# What an operator finds out when machines die, and what can be done: the log of a process that
# crashed is read when its machine is gone; a job that fails everywhere is put aside while its run
# goes on, and tried again; a machine that fails everything gets nothing until it is unbenched.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh
tacit=$BIN/tacit

cat >"$dir/spec.ini" <<'INI'
[run]
name = NAME
dataset = synthetic
experts = 2
seed = 5
[router]
hidden = 8
layers = 1
heads = 2
prefix = 16
rounds = 1
sequences = 500
batch = 8
warmup = 5
[expert]
hidden = 16
layers = 1
heads = 2
batch = 8
steps = STEPS
warmup = 5
chunk = 20000
[dense]
match = both
[checkpoint]
every_steps = 20
publish_steps = STEPS
INI

# expect WORDS COMMAND…: it succeeds, and says so.
expect() {
    local words=$1 said
    shift
    said=$("$@" 2>&1) || fail "$*: $said"
    grep -qF -- "$words" <<<"$said" || fail "$* does not say \"$words\": $said"
}
# ask PATH TOKEN BODY: what the coordinator answers, and its status in $dir/status.
ask() {
    curl -s -o "$dir/answer" -w '%{http_code}' -X POST -H "Authorization: Bearer $2" \
        -H 'Content-Type: application/json' -d "$3" "$TACIT_URL$1" >"$dir/status"
    cat "$dir/answer"
}
join() {
    ask /v1/agents "$(cat "$dir/data/join.token")" \
        "{\"identity\":\"$(printf '%s' "$1" | b2sum -l 256 | cut -d' ' -f1)\",\"name\":\"$1\",\"threads\":1}" |
        jq -r .token
}
# fail_one TOKEN WORDS: takes a job and fails it; prints its number.
fail_one() {
    local grant job
    grant=$(ask /v1/claims "$1" '{"wait_ms":9000}')
    [ "$(cat "$dir/status")" = 200 ] || return 1
    job=$(jq .job <<<"$grant")
    ask "/v1/jobs/$job/fail" "$1" \
        "{\"fence\":$(jq -c .fence <<<"$grant"),\"error\":\"$2\",\"log\":\"the log of $2\\n\"}" >/dev/null
    echo "$job"
}

# fail_this TOKEN JOB WORDS: the same for this very job, whatever else is offered first.
fail_this() {
    local grant path end=$((SECONDS + PATIENCE))
    while [ $SECONDS -lt $end ]; do
        grant=$(ask /v1/claims "$1" '{"wait_ms":1000}')
        [ "$(cat "$dir/status")" = 200 ] || continue
        path=/v1/jobs/$(jq .job <<<"$grant")
        if [ "$path" = "/v1/jobs/$2" ]; then
            ask "$path/fail" "$1" "{\"fence\":$(jq -c .fence <<<"$grant"),\"error\":\"$3\",\"log\":\"the log of $3\\n\"}" >/dev/null
            return 0
        fi
        ask "$path/release" "$1" "{\"fence\":$(jq -c .fence <<<"$grant")}" >/dev/null
        sleep 0.3
    done
    return 1
}

coordinator_first
synthetic dataset

# --- a process crashes, and its machine goes for good ---------------------------------------------
sed s/STEPS/2000000/ "$dir/spec.ini" >"$dir/long.ini"
synthetic run first "$dir/long.ini"
agent gone
running() { [ "$("$tacit" jobs --state running --json | jq length)" = 1 ]; }
until_true running || fail "no job is shown as running"
job=$("$tacit" jobs --state running --json | jq '.[0].job')
expect "dense first" timeout "$PATIENCE" "$tacit" run show first
kill -SEGV "${agents[gone]}"
wait "${agents[gone]}" 2>/dev/null
agent gone # it says what became of the one before, and is then killed with its disk
told() { "$tacit" logs "$job" --json | jq -e '.[0].outcome == "failed"' >/dev/null; }
until_true told || fail "the crash is not told: $("$tacit" logs "$job")"
kill -9 "${agents[gone]}" $tacitd
wait "${agents[gone]}" $tacitd 2>/dev/null
rm -rf "$dir/gone"
coordinator
until_true "$tacit" status >/dev/null 2>&1 || fail "the coordinator does not come back"
expect "attempt 1  gone on $(hostname)" "$tacit" logs "$job"
expect "SIGSEGV" "$tacit" logs "$job" --attempt 1
expect "  | " "$tacit" logs "$job" --attempt 1
"$tacit" logs "$job" --json | jq -e '.[0] | .agent == "gone" and (.log | length > 0)' >/dev/null ||
    fail "no log of the dead: $("$tacit" logs "$job" --json)"
"$tacit" logs 99999 2>"$dir/err" && fail "logs of no job"
grep -q "no job 99999" "$dir/err" || fail "logs of no job: $(cat "$dir/err")"
expect "is cancelled" "$tacit" run cancel first

# --- a job that fails everywhere -------------------------------------------------------------------
sed s/STEPS/300/ "$dir/spec.ini" >"$dir/short.ini"
synthetic run second "$dir/short.ini"
bad=$(fail_one "$(join b)" "b cannot do it") || fail "b gets no job: $(cat "$dir/answer")"
for name in c d; do
    fail_this "$(join $name)" "$bad" "$name cannot do it" || fail "$name does not get job $bad"
done
expect "quarantined" "$tacit" logs "$bad"
expect "the log of d cannot do it" "$tacit" logs "$bad"
expect "failed 3 times: d cannot do it" "$tacit" jobs --run second --state quarantined
[ "$("$tacit" run show second --json | jq -r .state)" = active ] || fail "its run has ended"

# --- a machine that fails everything ---------------------------------------------------------------
# Only while others are there: a machine that is alone is not benched.
token=$(join broken)
for _ in 1 2 3; do
    join c >/dev/null
    fail_one "$token" "no such device" >/dev/null || fail "refused too early: $(cat "$dir/answer")"
done
fail_one "$token" "no such device" >/dev/null && fail "a machine that fails everything gets more"
[ "$(cat "$dir/status")" = 403 ] || fail "status $(cat "$dir/status")"
jq -e '.code == "ERR_BENCHED" and (.detail | test("3 different jobs in a row.*no such device"))' \
    "$dir/answer" >/dev/null || fail "it is not told why: $(cat "$dir/answer")"
expect "broken is benched for another" "$tacit" agents
expect "1 benched" "$tacit" status
expect "get jobs again" "$tacit" agents unbench broken
join c >/dev/null
ask /v1/claims "$token" '{"wait_ms":0}' >/dev/null
[ "$(cat "$dir/status")" = 204 ] || # others are there for what it has just failed
    fail "unbenched, it is still refused: $(cat "$dir/answer")"

# --- the run goes as far as it can, says why it stopped, and goes on ---------------------------------
agent good
"$tacit" run wait second >"$dir/wait" 2>&1 && fail "the run ended without its dense model"
grep -q "1 job is in quarantine. train dense.*d cannot do it" "$dir/wait" || fail "$(cat "$dir/wait")"
done_before=$("$tacit" jobs --run second --state done --json | jq length)
expect "run second goes on" "$tacit" retry second
timeout "$PATIENCE" "$tacit" run wait second >"$dir/wait" 2>&1 || fail "$(cat "$dir/wait")"
[ "$("$tacit" jobs --run second --state done --json | jq length)" -gt "$done_before" ] ||
    fail "nothing was done after the retry"
"$tacit" retry "$bad" 2>"$dir/err" && fail "what is done is tried again"
grep -q "second\" is done" "$dir/err" || fail "$(cat "$dir/err")"
expect ": done" "$tacit" logs "$bad"
exit 0
