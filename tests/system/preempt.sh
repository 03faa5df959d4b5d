#!/bin/bash
# Machines that are taken away in the middle of training, by every notice there is: the agent hands
# its job over within the grace and ends with the code that was asked for; the next one goes on from
# there, to the bits of the undisturbed run. What would break for a user: the work of spot machines
# and cluster jobs lost at each preemption, or a scheduler that does not requeue them.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh

small_spec 4000 20 100000 >"$dir/spec.ini"
# preempted NAME NOTICE…: an agent in the middle of a long job, when NOTICE is done. Until it has
# noticed it gets little time, so that the job is not done before.
preempted() {
    local name=$1 code slice=1
    shift
    until_true stopped_at "$name" "saved at step" || fail "$name: no training"
    "$@"
    until says "$name" "stopping: "; do
        go_on "$name" || fail "$name is gone without a notice"
        sleep "$(printf '0.%03d' $slice)"
        kill -STOP "${agents[$name]}"
        sleep 0.1
        slice=$((slice < 900 ? slice + slice / 8 + 1 : slice)) # more, where that is not enough
    done
    go_on "$name"
    wait "${agents[$name]}"
    code=$?
    [ $code = 75 ] || fail "$name ended with exit code $code"
    says "$name" "handed over at step" || fail "$name did not hand its job over"
}
notice() { says "$1" "stopping: $2" || fail "$1 does not say what it noticed"; }
metadata() {
    python3 tests/system/metadata.py "$1" "$dir/$1.notice" "$dir/$1.port" >"$dir/$1.metadata.log" 2>&1 &
    pids+=($!)
    until_true test -s "$dir/$1.port" || fail "no metadata service"
    url=http://127.0.0.1:$(cat "$dir/$1.port")
}

coordinator_first
synthetic dataset
synthetic run calm "$dir/spec.ini"
agent calm-1
agent calm-2
synthetic wait calm
synthetic digests calm >"$dir/calm"
kill -TERM "${agents[calm-1]}" "${agents[calm-2]}"
wait "${agents[calm-1]}" || fail "an agent that was stopped did not end with 0"
wait "${agents[calm-2]}"

synthetic run stormy "$dir/spec.ini"
agent usr1 --preempt-exit 75
preempted usr1 kill -USR1 "${agents[usr1]}"
notice usr1 SIGUSR1
agent term --preempt-exit 75 --grace 20
preempted term kill -TERM "${agents[term]}"
notice term "SIGTERM; .*s to save"
says term "was handed over at step" || fail "nobody went on from what was handed over"
agent file --preempt-exit 75 --preempt-file "$dir/leave"
preempted file touch "$dir/leave"
notice file "the file '.*/leave' is there"
agent command --preempt-exit 75 --preempt-command "while ! test -e '$dir/go'; do sleep 0.1; done"
preempted command touch "$dir/go"
notice command "the command '.*' ended with exit code 0"
for cloud in aws gcp azure; do
    metadata $cloud
    agent $cloud --preempt-exit 75 --preempt-cloud $cloud --preempt-url "$url"
    preempted $cloud touch "$dir/$cloud.notice"
done
notice aws "AWS: terminate at "
notice gcp "Google Cloud: preempted, ends at "
notice azure "Azure: Preempt at "
says azure "was handed over at step" || fail "the last one started anew"

# What can't be noticed is said at once, not when it is too late.
timeout "$PATIENCE" "$BIN/tacit-agent" --coordinator "$TACIT_URL" --token-file "$dir/data/join.token" \
    --work "$dir/none" --preempt-command /no/such/command >"$dir/none.log" 2>&1
code=$?
[ $code = 78 ] || fail "a command that can't be run: exit code $code"

agent end
synthetic wait stormy
same_digests calm stormy
no_failures stormy
