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
train_job() { sed -n 's/.*job=\([0-9]*\) run=.* train expert.*/\1/p' "$dir/$1.log" | tail -n 1; }
logs_say() { tacit logs "$1" 2>&1 | grep -q -- "$2"; }

coordinator_first
synthetic dataset

# The coordinator goes, the agent finishes, is killed, and comes back before or with it.
run spooled 700 100000
agent one
until_true stopped_at one "train expert [^:]*$" || fail "no training"
kill -9 $tacitd
wait $tacitd 2>/dev/null
go_on one
until_true sh -c "ls '$dir'/one/jobs/*/deliver.json >'$dir/found' 2>/dev/null" ||
    fail "what is finished is not on the disk"
kill -9 "${agents[one]}"
wait "${agents[one]}" 2>/dev/null
job=$(train_job one)
agent one
coordinator
until_true says one "finished before, now delivered" || fail "it is not delivered"
synthetic wait spooled
no_failures spooled "that was no failure"
[ "$(awk '$3 > most { most = $3 } END { print most + 0 }' "$dir/jobs")" = 1 ] || {
    cat "$dir/jobs"
    fail "a finished job was done again"
}
[ "$(grep -c "job=$job .* train expert .*, steps 1 to 700$" "$dir/one.log")" = 1 ] ||
    fail "job $job was begun twice"
[ -z "$(ls "$dir/one/jobs")" ] || fail "what is delivered stays on the disk"

# Killed in the middle of a job: the next start says so. By its own fault: how, and where.
run dead 1500 20
until_true stopped_at one "saved at step" || fail "no training"
job=$(train_job one)
kill -9 "${agents[one]}"
wait "${agents[one]}" 2>/dev/null
agent one
until_true logs_say "$job" "no last words: killed, or the machine went down" ||
    fail "a killed agent is not told of"
no_failures dead "to be killed is none"
until_true stopped_at one "job=$job saved at step" || fail "the job does not go on"
kill -SEGV "${agents[one]}"
go_on one
wait "${agents[one]}" 2>/dev/null
agent one
until_true logs_say "$job" "signal 11 (SIGSEGV) at step" || fail "a crash is not told of"
until_true sh -c "[ \$('$BIN/tacit' jobs --run dead --json | grep -o '\"failures\": *[1-9]' | wc -l) = 1 ]" ||
    fail "a crash is a failure of the job"
synthetic wait dead
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
until_true stopped_at full "saved at step" || fail "no save"
dd if=/dev/zero of="$dir/small/fill" bs=4k >/dev/null 2>&1
go_on full
until_true says full "No space left on device" || fail "no word about the full disk"
sleep 1
kill -0 "${agents[full]}" || fail "the agent gave up"
rm "$dir/small/fill"
synthetic wait full
no_failures full "a full disk is none of a job"
kill -TERM "${agents[full]}"
wait "${agents[full]}"
