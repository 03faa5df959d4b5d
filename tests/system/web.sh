#!/bin/bash
# What the dashboard talks to, asked by curl as a browser would: the page and its policy, log-in,
# roles, requests of other sites, events, and the views of a real run. What would break for a user: a
# page that strangers read or steer, one that stays as it was, figures that do not add up.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh

coordinator_first
# code PATH [OPTION…]: the status; the body is in $dir/body.
code() {
    local path=$1
    shift
    curl -s -m 60 -o "$dir/body" -w '%{http_code}' "$@" "$TACIT_URL$path"
}
expect() { # expect STATUS PATH [OPTION…]
    local wanted=$1 got
    shift
    got=$(code "$@")
    [ "$got" = "$wanted" ] || fail "$* gave $got, not $wanted: $(cat "$dir/body")"
}
json() { jq -e "$1" "$dir/body" >/dev/null || fail "not so: $1: $(head -c 2000 "$dir/body")"; }
ours=(-H 'X-Tacit-Request: 1')

echo "the page, and what its policy lets it do"
curl -s -D "$dir/head" -o "$dir/page" "$TACIT_URL/"
grep -qi "^content-security-policy: default-src 'none'; script-src 'self'; style-src 'self';" "$dir/head" ||
    fail "no policy: $(cat "$dir/head")"
for a in $(grep -oE '(src|href)="/?assets/[^"]+"' "$dir/page" | cut -d'"' -f2 | sort -u); do
    expect 200 "/${a#/}"
done
grep -qE "(src|href)=\"(https?:)?//" "$dir/page" && fail "the page names another host"
grep -qE '<script>|<style|style="| on[a-z]+="' "$dir/page" && fail "the page has what its policy refuses"
expect 200 /metrics
expect 200 /v1/overview
json '.runs.active == 0 and .agents.working == 0 and (has("names") | not)'
expect 401 /v1/runs
expect 401 /v1/events
expect 403 / -H 'Host: rebound.example'
expect 403 /v1/overview -H 'Host: rebound.example'

echo "log-in, roles, requests of other sites"
login() { # login ROLE JAR
    expect 200 /v1/session -c "$dir/$2" -d "{\"token\":\"$(cat "$dir/data/$1.token")\"}"
}
expect 401 /v1/session -d '{"token":"nobody-has-this-token"}'
login admin operator
json '.role == "operator" and .loopback'
login viewer viewer
json '.role == "viewer"'
expect 200 /v1/session
json '.role == "none"'
expect 403 /v1/gc -b "$dir/operator" -X POST
expect 403 /v1/gc -b "$dir/operator" -X POST "${ours[@]}" -H 'Origin: https://evil.example'
expect 200 /v1/gc -b "$dir/operator" -X POST "${ours[@]}" -H "Origin: $TACIT_URL"
expect 403 /v1/gc -b "$dir/viewer" -X POST "${ours[@]}"
json '.detail | contains("viewers see what happens")'
expect 403 "/v1/blobs/$(printf '0%.0s' {1..64})" -b "$dir/viewer"

echo "a run, heard of as it goes"
curl -sN -b "$dir/viewer" "$TACIT_URL/v1/events" >"$dir/events" &
listener=$!
pids+=($listener)
until_true grep -q '^retry:' "$dir/events"
synthetic dataset
small_spec 60 20 20 | sed 's/rounds = 1/rounds = 2/' >"$dir/spec.ini"
synthetic run shown "$dir/spec.ini"
agent worker
until_true grep -q '^data: {"runs":\["shown"\],"jobs":true,"agents":true}$' "$dir/events" ||
    fail "nothing moves: $(cat "$dir/events")"
synthetic wait shown 120
until_true grep -q '"kind":"run.phase".*the report is made' "$dir/events" || fail "its end is not told"
kill $listener
grep '^id: ' "$dir/events" | sort | uniq -d | grep -q . && fail "an event was told twice"
# From the middle on, each event after it, once, as the history has them.
middle=$(($(grep -c '^id: ' "$dir/events") / 2))
expect 200 "/v1/history?after=$middle" -b "$dir/viewer"
wanted=$(jq length "$dir/body")
curl -sN -m 60 -b "$dir/viewer" -H "Last-Event-ID: $middle" "$TACIT_URL/v1/events" >"$dir/rest" &
pids+=($!)
rest_is() { [ "$(grep -c '^event: log' "$dir/rest")" = "$wanted" ]; }
until_true rest_is || fail "not told after $middle: $(cat "$dir/rest")"
jq -c '.[]' "$dir/body" | cmp -s - <(sed -n 's/^data: {"event"/{"event"/p' "$dir/rest") ||
    fail "the stream and the history differ"

echo "views add up"
expect 200 /v1/runs/shown/timeline -b "$dir/viewer"
json '(.attempts | length) > 10 and (.more | not) and ([.attempts[] | select(.outcome != "done")] | length) == 0'
json '[.attempts[] | select(.agent == "worker" and .target == "expert" and .kind == "train")] | length == 6'
expect 200 /v1/runs/shown/parting -b "$dir/viewer"
json '(.sources | length) == 4 and (.rounds | length) == 2 and .rounds[1].final'
json '[.rounds[0].sources[].counts | add] | add == 200'
json '.rounds[] | . as $r | [range(2) as $e | [$r.sources[].counts[$e]] | max] | add as $most |
    ([$r.sources[].counts | add] | add) as $all | ($most / $all - $r.purity) | fabs < 1e-9'
expect 200 /v1/runs/shown/costs -b "$dir/viewer"
json '[.parts[] | select(.spent != .planned)] | length == 0'
cp "$dir/body" "$dir/costs"
expect 200 /v1/runs/shown/report -b "$dir/viewer"
json ".costs.experts_training == $(jq '.parts[] | select(.part == "experts").spent' "$dir/costs")"
json ".bytes.up <= $(jq '[.parts[].bytes_up] | add' "$dir/costs")"
expect 200 /v1/transfers -b "$dir/viewer"
json '. == []'

echo "an audit, log-out, the end of streams with the coordinator"
expect 200 /v1/quotas -b "$dir/operator" "${ours[@]}" -d '{"owner":"alice","limited":true,"jobs":5}'
expect 200 "/v1/history" -b "$dir/viewer"
json '.[-1] | .who == "admin, web session 1"'
json '.[] | select(.kind == "session.began" and .who == "viewer, web session 2") | .text == "from 127.0.0.1"'
expect 200 /v1/tokens/viewer/rotate -b "$dir/operator" -X POST "${ours[@]}"
expect 401 /v1/runs -b "$dir/viewer"
expect 204 /v1/session -b "$dir/operator" -X DELETE "${ours[@]}"
expect 401 /v1/runs -b "$dir/operator"
login admin operator
for i in $(seq 20); do
    curl -sN -m 60 -b "$dir/operator" "$TACIT_URL/v1/events" >"$dir/stream$i" &
    streams[i]=$!
done
for i in $(seq 20); do until_true grep -q '^retry:' "$dir/stream$i"; done
kill -TERM $tacitd
wait $tacitd || fail "tacitd did not stop well"
for i in $(seq 20); do wait "${streams[i]}" || fail "a stream was cut off, not ended"; done
echo "web: ok"
