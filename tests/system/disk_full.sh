#!/bin/bash
# The coordinator's disk fills up, first so that no upload fits, then to the last byte, while a run
# goes on. Once there is room it goes on by itself, to the digests of a run that nothing happened
# to. What would break for a user: work lost or a run ended by a full disk, or nobody saying why.
# Needs root, to mount a small file system.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh

mkdir "$dir/data"
mount -t tmpfs -o size=400m,mode=700 tmpfs "$dir/data" 2>/dev/null || {
    echo "skipped: only root can mount a small file system"
    exit 77
}
cleaners+=("umount -l $dir/data")

chain_spec 13 2 1200 20 40 >"$dir/spec.ini"
steps_done() { jobs_of "$1" && [ "$(done_jobs)" -ge "$2" ]; }
storage_is() { tacit status --json | grep -q "\"storage\":\"$1"; }

coordinator_first
synthetic dataset
synthetic run calm "$dir/spec.ini"
agent agent-1
agent agent-2
synthetic wait calm
synthetic digests calm >"$dir/calm"

synthetic run stormy "$dir/spec.ini"
until_true steps_done stormy 12 || fail "the run does not get going"
kill -STOP "${agents[agent-1]}" "${agents[agent-2]}" # with something left to do
free=$(df --output=avail -B1M "$dir/data" | tail -n 1)
fallocate -l "$((free - 100))M" "$dir/data/filler" || fail "cannot fill the disk"
go_on agent-1
go_on agent-2
until_true storage_is full || fail "nobody says that the disk is full"
tacit status | grep -q "^storage  *full: .*are needed" || fail "the status does not say what is needed"
head -c 3000000 /dev/urandom >"$dir/blob"
digest=$(b2sum -l 256 "$dir/blob" | cut -d' ' -f1)
code=$(curl -s -o "$dir/problem" -w '%{http_code}' -T "$dir/blob" \
    -H "Authorization: Bearer $(cat "$TACIT_TOKEN_FILE")" "$TACIT_URL/v1/blobs/$digest")
[ "$code" = 507 ] || fail "an upload that does not fit is answered with $code"
grep -q ERR_NO_SPACE "$dir/problem" || fail "the answer does not say why"

# To the last byte: nothing at all can be written.
dd if=/dev/zero of="$dir/data/filler2" bs=64k 2>/dev/null
sleep 4
kill -0 $tacitd || fail "the coordinator has died of a full disk"
tacit jobs >/dev/null || fail "not even reading works"
jobs_of stormy
before=$(done_jobs)
rm "$dir/data/filler" "$dir/data/filler2"
until_true storage_is ok || fail "the state does not follow"
until_true steps_done stormy $((before + 1)) || fail "the run does not go on"
synthetic wait stormy
same_digests calm stormy
no_failures stormy
