#!/bin/bash
# tacitd as its operator meets it: started, refused, restarted, killed, stopped; its tokens; TLS; and
# how much memory a large blob takes on its way up and down.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh

# start NAME DATA ADDRESS [OPTION…]: waits for the line that says where it listens; sets url and pid.
start() {
    local name=$1 data=$2 address=$3
    shift 3
    : >"$dir/$name.out"
    "$BIN/tacitd" --data "$data" --listen "$address" "$@" >"$dir/$name.out" 2>>"$dir/$name.log" &
    pid=$!
    pids+=("$pid")
    for _ in $(seq 300); do
        url=$(sed -n 's/^tacitd: listening on \([^,]*\), data in .*/\1/p' "$dir/$name.out")
        [ -n "$url" ] && return 0
        kill -0 "$pid" 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}
# ask PATH [OPTION…]: the body, a line, the status.
ask() {
    local path=$1
    shift
    curl -s -m 60 -w '\n%{http_code}' -H "Authorization: Bearer $token" "$@" "$url$path"
}
# refuse CODE TEXT OPTION…: tacitd must end with CODE and say TEXT.
refuse() {
    local code=$1 text=$2
    shift 2
    "$BIN/tacitd" "$@" >"$dir/refused.log" 2>&1
    local got=$?
    [ $got = "$code" ] || fail "tacitd $* ended with $got, not $code"
    grep -qF -- "$text" "$dir/refused.log" || fail "tacitd $* did not say: $text"
}

echo "help and slips"
"$BIN/tacitd" --help | grep -q 'tacitd --data ./data --listen 127.0.0.1:0' || fail "no example"
"$BIN/tacitd" --version | grep -q '^tacitd [0-9]' || fail "no version"
refuse 64 "--data DIR is needed"
refuse 64 "is not HOST:PORT" --data "$dir/none" --listen nonsense
refuse 64 "give --tls-cert and --tls-key, or --insecure" --data "$dir/none" --listen 0.0.0.0:0
refuse 64 "go together" --data "$dir/none" --tls-cert x.pem
refuse 66 "--tls-cert" --data "$dir/none" --tls-cert "$dir/no.pem" --tls-key "$dir/no.pem"
[ ! -e "$dir/none" ] || fail "a refused start left a data folder"

echo "start, tokens, health"
start a "$dir/a" 127.0.0.1:0 || fail "no start"
first=$pid
[ "$(curl -s "$url/healthz")" = ok ] || fail "not healthy"
[ "$(stat -c %a "$dir/a/admin.token" "$dir/a/join.token" | sort -u)" = 600 ] || fail "token modes"
token=$(cat "$dir/a/admin.token")
[ "$(ask /v1/runs)" = "[]"$'\n'200 ] || fail "no list of runs"
[ "$(curl -s -o /dev/null -w '%{http_code}' "$url/v1/runs")" = 401 ] || fail "open to all"
address=${url#http://}

echo "a data folder and a port in use are waited for, then named"
(
    "$BIN/tacitd" --data "$dir/a" --listen 127.0.0.1:0 >"$dir/folder.log" 2>&1
    echo $? >"$dir/folder.code"
) &
folder=$!
(
    "$BIN/tacitd" --data "$dir/b" --listen "$address" >"$dir/port.log" 2>&1
    echo $? >"$dir/port.code"
) &
port=$!

echo "a blob of 128 MiB goes up and down in little memory"
head -c $((128 << 20)) /dev/urandom >"$dir/blob"
digest=$(b2sum -l 256 "$dir/blob" | cut -d' ' -f1)
[ "$(ask "/v1/blobs/$digest" -T "$dir/blob")" = $'\n'201 ] || fail "upload"
curl -s -m 60 -H "Authorization: Bearer $token" "$url/v1/blobs/$digest" | cmp - "$dir/blob" ||
    fail "download"
peak=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$first/status")
echo "    peak of memory: $((peak / 1024)) MiB"
[ "$peak" -lt $((64 << 10)) ] || fail "memory"

wait $folder $port
[ "$(cat "$dir/folder.code")" = 75 ] || fail "folder in use: $(cat "$dir/folder.code")"
grep -q "is in use; stop the other tacitd" "$dir/folder.log" || fail "folder in use is not named"
[ "$(cat "$dir/port.code")" = 75 ] || fail "port in use: $(cat "$dir/port.code")"
grep -q "is in use by another program" "$dir/port.log" || fail "port in use is not named"

echo "killed in the middle of an upload, it goes on where it was"
head -c $((24 << 20)) /dev/urandom >"$dir/blob"
digest=$(b2sum -l 256 "$dir/blob" | cut -d' ' -f1)
curl -s -m 60 --limit-rate 12M -H "Authorization: Bearer $token" -T "$dir/blob" \
    "$url/v1/blobs/$digest" >/dev/null 2>&1 &
upload=$!
offset=0
for _ in $(seq 200); do
    offset=$(curl -s -m 60 -I -H "Authorization: Bearer $token" "$url/v1/blobs/$digest" |
        sed -n 's/^Upload-Offset: \([0-9]*\).*/\1/p')
    [ "${offset:-0}" -gt 0 ] && break
    sleep 0.05
done
kill -9 "$first"
wait "$first" "$upload" 2>/dev/null
[ "${offset:-0}" -gt 0 ] || fail "nothing was durable before the kill"
start a "$dir/a" "$address" || fail "no start after a kill"
[ "$(cat "$dir/a/admin.token")" = "$token" ] || fail "another token"
offset=$(curl -s -m 60 -I -H "Authorization: Bearer $token" "$url/v1/blobs/$digest" |
    sed -n 's/^Upload-Offset: \([0-9]*\).*/\1/p')
[ "${offset:-0}" -gt 0 ] && [ "$offset" -lt $((24 << 20)) ] || fail "offset ${offset:-none}"
tail -c +$((offset + 1)) "$dir/blob" >"$dir/rest"
[ "$(ask "/v1/blobs/$digest" -T "$dir/rest" -H "Upload-Length: $((24 << 20))" \
    -H "Upload-Offset: $offset")" = $'\n'201 ] || fail "the rest"
curl -s -m 60 -H "Authorization: Bearer $token" "$url/v1/blobs/$digest" | cmp - "$dir/blob" ||
    fail "the continued blob"

echo "stopped with a claim waiting, and followed at once by a successor on folder and port"
identity=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
agent=$(curl -s -m 60 -H "Authorization: Bearer $(cat "$dir/a/join.token")" "$url/v1/agents" \
    -d "{\"identity\":\"$identity\",\"name\":\"x\",\"threads\":1}" |
    sed -n 's/.*"token":"\([^"]*\)".*/\1/p')
curl -s -m 60 -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $agent" "$url/v1/claims" \
    -d '{"wait_ms":60000}' >"$dir/claim" &
claim=$!
sleep 0.5
before=$pid
kill -TERM "$before"
start a "$dir/a" "$address" || fail "no successor"
wait "$before"
[ $? = 0 ] || fail "a stopped tacitd ended with an error"
wait $claim
[ "$(cat "$dir/claim")" = 503 ] || fail "the waiting claim got $(cat "$dir/claim")"
[ "$(curl -s -m 60 -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $agent" \
    "$url/v1/claims" -d '{}')" = 204 ] || fail "the agent's token did not live on"
kill -TERM "$pid"
wait "$pid" || fail "an idle tacitd ended with an error"

echo "TLS"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=IP:127.0.0.1 -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>/dev/null ||
    fail "openssl"
start tls "$dir/a" 0.0.0.0:0 --tls-cert "$dir/cert.pem" --tls-key "$dir/key.pem" || fail "no TLS"
url=https://127.0.0.1:${url##*:}
[ "$(ask /v1/runs --cacert "$dir/cert.pem")" = "[]"$'\n'200 ] || fail "no answer over TLS"
curl -s -m 60 "$url/healthz" && fail "an unknown certificate was believed"
curl -s -m 60 --cacert "$dir/cert.pem" -H "Authorization: Bearer $token" "$url/v1/blobs/$digest" |
    cmp - "$dir/blob" || fail "a blob over TLS"
kill -TERM "$pid"
wait "$pid" || fail "TLS: ended with an error"
start open "$dir/a" 0.0.0.0:0 --insecure || fail "--insecure"
kill -TERM "$pid"
wait "$pid" || fail "--insecure: ended with an error"
refuse 69 "cannot listen" --data "$dir/a" --listen 203.0.113.7:8080 --insecure
refuse 65 "has no certificate (PEM)" --data "$dir/a" --listen 127.0.0.1:0 --tls-cert "$dir/key.pem" \
    --tls-key "$dir/key.pem"
echo "all well"
