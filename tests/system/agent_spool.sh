#!/bin/bash
# Agents that die in every way, and what remains of them. What would break for a user: hours of
# training that were finished when the coordinator was away, done again because the agent was started
# anew meanwhile; a job that brings machines down, and nobody knows how; a full disk that fails jobs.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh

run() {
    small_spec "$2" "$3" 100000 >"$dir/$1.ini"
    synthetic run "$1" "$dir/$1.ini"
}
attempts() { synthetic jobs "$1" | awk '$3 > most { most = $3 } END { print most + 0 }'; }
failures() { synthetic jobs "$1" | awk '{ sum += $4 } END { print sum + 0 }'; }
train_job() { sed -n 's/.*job=\([0-9]*\) run=.* train expert.*/\1/p' "$dir/$1.log" | tail -n 1; }
logs_say() { "$BIN/tacit" logs "$1" 2>&1 | grep -q -- "$2"; }

coordinator_first
synthetic dataset

# The coordinator goes, the agent finishes, is killed, and comes back before or with it.
run spooled 700 100000
agent one
until_true 60 says one "train expert" || fail "no training"
kill -9 $tacitd
wait $tacitd 2>/dev/null
until_true 60 sh -c "ls '$dir'/one/jobs/*/deliver.json >'$dir/found' 2>/dev/null" ||
    fail "what is finished is not on the disk"
kill -9 "${agents[one]}"
wait "${agents[one]}" 2>/dev/null
job=$(train_job one)
agent one
coordinator
until_true 30 says one "finished before, now delivered" || fail "it is not delivered"
synthetic wait spooled 120
[ "$(attempts spooled)" = 1 ] || { synthetic jobs spooled; fail "a finished job was done again"; }
[ "$(failures spooled)" = 0 ] || fail "that was no failure"
[ "$(grep -c "job=$job .* train expert .*, steps 1 to 700$" "$dir/one.log")" = 1 ] ||
    fail "job $job was begun twice"
[ -z "$(ls "$dir/one/jobs")" ] || fail "what is delivered stays on the disk"

# Killed in the middle of a job: the next start says so. By its own fault: how, and where.
run dead 1500 100000
until_true 60 says one "run=dead train expert" || fail "no training"
job=$(train_job one)
sleep 0.5
kill -9 "${agents[one]}"
wait "${agents[one]}" 2>/dev/null
agent one
until_true 20 logs_say "$job" "no last words: killed, or the machine went down" ||
    fail "a killed agent is not told of"
[ "$(failures dead)" = 0 ] || fail "to be killed is no failure"
until_true 20 sh -c "[ \$(grep -c 'job=$job run=dead train expert' '$dir/one.log') = 2 ]" ||
    fail "the job does not go on"
sleep 0.5
kill -SEGV "${agents[one]}"
wait "${agents[one]}" 2>/dev/null
agent one
until_true 20 logs_say "$job" "signal 11 (SIGSEGV) at step" || fail "a crash is not told of"
until_true 20 sh -c "[ \$('$BIN/tacit' jobs --run dead --json | grep -o '\"failures\": *[1-9]' | wc -l) = 1 ]" ||
    fail "a crash is a failure of the job"
synthetic wait dead 120
kill -TERM "${agents[one]}"
wait "${agents[one]}"

# No room: the job waits, or goes on without a save; and ends by itself when there is some.
mkdir "$dir/small"
if ! mount -t tmpfs -o size=8m none "$dir/small" 2>/dev/null; then
    echo "no small file system can be mounted here: full disks were not tried"
    exit 0
fi
cleaners+=("umount $dir/small")
run full 1500 20
agent full --work "$dir/small/work"
until_true 60 sh -c "ls '$dir'/small/work/jobs/*/save-* >/dev/null 2>&1" || fail "no save"
dd if=/dev/zero of="$dir/small/fill" bs=4k >/dev/null 2>&1
until_true 30 says full "No space left on device" || fail "no word about the full disk"
sleep 1
kill -0 "${agents[full]}" || fail "the agent gave up"
rm "$dir/small/fill"
synthetic wait full 120
[ "$(failures full)" = 0 ] || fail "a full disk is no failure of a job"
kill -TERM "${agents[full]}"
wait "${agents[full]}"
