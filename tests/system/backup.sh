#!/bin/bash
# A backup is made while a run goes on, the coordinator killed (-9) in the middle of it. Restored
# elsewhere, at the same address, the run goes on with the agents as they are, and ends in the
# digests of one that nothing happened to. What would break for a user: a backup that holds up the
# run, is not whole, or can't be gone on from; results of the lost coordinator mixed with the new.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh

chain_spec 12 2 1600 20 40 >"$dir/spec.ini"
echo "keep = 1" >>"$dir/spec.ini"
steps_done() { jobs_of "$1" && [ "$(done_jobs)" -ge "$2" ]; }

coordinator_first
synthetic dataset
synthetic run calm "$dir/spec.ini"
agent agent-1
agent agent-2
synthetic wait calm
synthetic digests calm >"$dir/calm"

synthetic run stormy "$dir/spec.ini"
until_true steps_done stormy 12 || fail "the run does not get going"

# The coordinator dies once while it copies, and once while the blobs are fetched.
"$BIN/tacit" backup "$dir/b.backup" >"$dir/backup.log" 2>&1 &
backup=$!
pids+=($backup)
copying() { [ -n "$(find "$dir/data" -name '*snapshot*')" ] || ended; }
fetching() { [ -e "$1.incoming" ] || ended; }
ended() { ! kill -0 $backup 2>/dev/null; }
for moment in copying "fetching $dir/b.backup"; do
    until_true $moment || fail "the backup does not begin"
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
"$BIN/tacit" backup "$dir/c.backup" >/dev/null 2>&1 &
backup=$!
until_true fetching "$dir/c.backup" || fail "the backup does not begin"
kill -9 $backup 2>/dev/null
wait $backup 2>/dev/null
if [ -e "$dir/c.backup" ]; then # it was quicker than the kill
    tacit backup --check "$dir/c.backup" || fail "a killed backup left a part under the final name"
fi
cp "$dir/b.backup" "$dir/bad.backup"
size=$(stat -c %s "$dir/bad.backup")
printf 'X' | dd of="$dir/bad.backup" bs=1 seek=$((size - 20000)) conv=notrunc 2>/dev/null
tacit backup --check "$dir/bad.backup" 2>/dev/null && fail "a changed byte was not found"
head -c $((size / 2)) "$dir/b.backup" >"$dir/half.backup"
tacit backup --check "$dir/half.backup" 2>/dev/null && fail "half a backup was called whole"

# The run goes on past the backup; then the machine is lost, and with it all since.
jobs_of stormy
done_then=$(done_jobs)
further() { steps_done stormy $((done_then + 4)) || [ "$(synthetic state stormy)" = done ]; }
until_true further || fail "the run does not go on"
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
synthetic wait stormy
same_digests calm stormy
tacit scrub --run stormy || fail "the restored store is not whole"
tacit scrub || fail "the restored store is not whole"
no_failures stormy
tacit gc --dry-run || fail "cannot tell what would go"
