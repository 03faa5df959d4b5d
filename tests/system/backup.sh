#!/bin/bash
# A backup is made while a run goes on, the coordinator killed (-9) in the middle of it. Restored
# elsewhere, at the same address, the run goes on with the agents as they are, and ends in the
# digests of one that nothing happened to. What would break for a user: a backup that holds up the
# run, is not whole, or can't be gone on from; results of the lost coordinator mixed with the new.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh

cat >"$dir/spec.ini" <<'INI'
[run]
name = NAME
dataset = synthetic
experts = 3
seed = 12
[router]
hidden = 8
layers = 1
heads = 2
prefix = 16
rounds = 2
sequences = 1500
batch = 8
learning_rate = 3e-3
warmup = 5
[expert]
hidden = 16
layers = 1
heads = 2
batch = 8
steps = 1600
learning_rate = 5e-3
warmup = 20
chunk = 5000
[dense]
match = both
[checkpoint]
every_steps = 20
publish_steps = 40
keep = 1
INI
tacit() { "$BIN/tacit" "$@"; }
steps_done() { [ "$(synthetic jobs "$1" | awk '$2 == "done"' | wc -l)" -ge "$2" ]; }

coordinator_first
synthetic dataset
synthetic run calm "$dir/spec.ini"
agent agent-1
agent agent-2
synthetic wait calm 120
synthetic digests calm >"$dir/calm"

synthetic run stormy "$dir/spec.ini"
until_true 60 steps_done stormy 12 || fail "the run does not get going"

# The coordinator dies once while it copies, and once while the blobs are fetched.
tacit backup "$dir/b.backup" >"$dir/backup.log" 2>&1 &
backup=$!
pids+=($backup)
for pause in 0.02 0.3; do
    sleep $pause
    kill -9 $tacitd
    wait $tacitd 2>/dev/null
    coordinator
done
wait $backup || fail "the backup failed"
[ -e "$dir/b.backup.incoming" ] && fail "the backup left a file behind"
ls "$dir/data" | grep -q snapshot && fail "the coordinator left a snapshot behind"
tacit backup --check "$dir/b.backup" || fail "the backup is not whole"
[ "$(stat -c %a "$dir/b.backup")" = 600 ] || fail "the backup holds tokens, and others can read it"

# A CLI that is killed leaves nothing under the final name; one byte changed is found.
tacit backup "$dir/c.backup" >/dev/null 2>&1 &
killed=$!
sleep 0.1
kill -9 $killed
wait $killed 2>/dev/null
[ -e "$dir/c.backup" ] && tacit backup --check "$dir/c.backup" >/dev/null &&
    echo "(the backup was quicker than the kill)"
cp "$dir/b.backup" "$dir/bad.backup"
size=$(stat -c %s "$dir/bad.backup")
printf 'X' | dd of="$dir/bad.backup" bs=1 seek=$((size - 20000)) conv=notrunc 2>/dev/null
tacit backup --check "$dir/bad.backup" 2>/dev/null && fail "a changed byte was not found"
head -c $((size / 2)) "$dir/b.backup" >"$dir/half.backup"
tacit backup --check "$dir/half.backup" 2>/dev/null && fail "half a backup was called whole"

# The run goes on past the backup; then the machine is lost, and with it all since.
done_then=$(synthetic jobs stormy | awk '$2 == "done"' | wc -l)
until_true 60 steps_done stormy $((done_then + 4)) || fail "the run does not go on"
kill -9 $tacitd
wait $tacitd 2>/dev/null
mv "$dir/data" "$dir/lost"
mkdir "$dir/data"
touch "$dir/data/something"
tacit restore "$dir/b.backup" "$dir/data" 2>/dev/null && fail "restored over something"
rm "$dir/data/something"
tacit restore "$dir/half.backup" "$dir/data" 2>/dev/null && fail "restored half a backup"
"$BIN/tacitd" --data "$dir/data" --listen 127.0.0.1:0 2>/dev/null && fail "started on half a backup"
tacit restore "$dir/b.backup" "$dir/data" || fail "cannot restore"
cmp -s "$dir/lost/join.token" "$dir/data/join.token" || fail "the tokens are others"
coordinator
synthetic wait stormy 180
synthetic digests stormy >"$dir/stormy"
diff "$dir/calm" "$dir/stormy" || fail "the models differ"
tacit scrub --run stormy || fail "the restored store is not whole"
tacit scrub || fail "the restored store is not whole"
failures=$(synthetic jobs stormy | awk '{ sum += $4 } END { print sum + 0 }')
[ "$failures" = 0 ] || fail "$failures failures were counted"
tacit gc --dry-run || fail "cannot tell what would go"
