#!/bin/bash
# The doctors of the three programs, each fault planted for real: a wrong port, host and token,
# certificates that are expired or strange, a clock that is off, a full disk, a service that is none
# of tacit's. What would break for a user: a machine that can't work, and nothing that says why.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh
coordinator_first
export XDG_CACHE_HOME=$dir/cache
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE OPENBLAS_NUM_THREADS TACIT_ISA
unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY

# sees CODE CHECK LEVEL TEXT COMMAND…: the command ends with CODE, and of CHECK says LEVEL, and TEXT
# in what was found or mends it; every fault and warning has a fix.
sees() {
    local code=$1 check=$2 level=$3 text=$4 got
    shift 4
    "$@" --json >"$dir/found" 2>"$dir/said.log"
    got=$?
    [ $got = "$code" ] || fail "$*: exit code $got, not $code: $(cat "$dir/found" "$dir/said.log")"
    jq -e --arg c "$check" --arg l "$level" --arg t "$text" \
        'any(.findings[]; .check == $c and .level == $l and ((.found + " " + (.fix // "")) | contains($t)))' \
        "$dir/found" >/dev/null || fail "$*: $check is not $level with \"$text\": $(cat "$dir/found")"
    jq -e --argjson code "$code" '.ok == ($code == 0) and .exit_code == $code and
        all(.findings[]; .level == "ok" or (.fix | type == "string"))' "$dir/found" >/dev/null ||
        fail "$*: a fault without a fix, or an untrue end: $(cat "$dir/found")"
}
tacit=$BIN/tacit
join=(--coordinator "$TACIT_URL" --token-file "$dir/data/join.token" --work "$dir/w")

# --- all is well -----------------------------------------------------------------------------------
sees 0 token ok "the operator's" "$tacit" doctor
sees 0 kernels ok "bit for bit" "$tacit" doctor
sees 0 token ok "lets agents join" "$BIN/tacit-agent" --doctor "${join[@]}"
[ ! -e "$dir/w" ] || fail "the doctor left a work folder"
sees 0 port ok "is reached" "$BIN/tacitd" --doctor --data "$dir/data" --listen "127.0.0.1:$port"
sees 0 port ok "free" "$BIN/tacitd" --doctor --data "$dir/new" --listen "127.0.0.1:$(service_port)"
[ ! -e "$dir/new" ] || fail "the doctor left a data folder"
[ -z "$(find "$dir" -name '.doctor-*')" ] || fail "the doctor left its trials"
"$tacit" doctor >"$dir/text" || fail "as text it fails"
grep -q "nothing prevents work" "$dir/text" || fail "it does not say that all is well"

# --- the way ---------------------------------------------------------------------------------------
sees 78 settings fault "no coordinator is named" env -u TACIT_URL "$tacit" doctor
sees 69 port fault "start tacitd" "$tacit" doctor --url "http://127.0.0.1:$(service_port)"
sees 64 settings fault "no scheme" "$tacit" doctor --url "127.0.0.1:$port"
sees 66 settings fault "admin.token" "$tacit" doctor --token-file "$dir/nothing"
"$tacit" doctor --url http://nobody.invalid:80 --json >"$dir/found"
case $? in
68 | 69) grep -q '"check":"name"' "$dir/found" || fail "an unknown host is not told" ;;
*) fail "an unknown host: $(cat "$dir/found")" ;;
esac
http_proxy=http://127.0.0.1:1 sees 69 port fault "the proxy 127.0.0.1" "$tacit" doctor --url \
    "http://train.example.org:$port"
http_proxy=http://127.0.0.1:1 sees 0 proxy ok "not used" "$tacit" doctor
python3 -m http.server --bind 127.0.0.1 0 >"$dir/other.log" 2>&1 &
pids+=($!)
serves() { sed -n 's/.*port \([0-9]*\).*/\1/p' "$dir/other.log" | grep -q .; }
until_true serves || fail "no other service"
other=$(sed -n 's/.*port \([0-9]*\).*/\1/p' "$dir/other.log")
sees 76 answer fault "no coordinator" "$tacit" doctor --url "http://127.0.0.1:$other"

# --- tokens ----------------------------------------------------------------------------------------
sees 77 token fault "a join token" "$tacit" doctor --token-file "$dir/data/join.token"
sees 77 token fault "the operator's" "$BIN/tacit-agent" --doctor --coordinator "$TACIT_URL" \
    --token-file "$dir/data/admin.token" --work "$dir/w"
sees 0 token warn "changes nothing" "$tacit" doctor --token-file "$dir/data/viewer.token"
echo 0123456789abcdef0123456789abcdef >"$dir/wrong.token"
sees 77 token fault "ask the operator" "$tacit" doctor --token-file "$dir/wrong.token"
agent one
until_true test -s "$dir/one/agent.token" || fail "no agent joins"
sees 0 token ok "this agent's own" "$BIN/tacit-agent" --doctor --coordinator "$TACIT_URL" \
    --work "$dir/one"

# --- certificates and clocks -----------------------------------------------------------------------
certificate() { # NAME COMMAND…: a key and a certificate for localhost, made by that openssl
    local name=$1
    shift
    "$@" openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=$name \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$dir/$name.key" \
        -out "$dir/$name.pem" 2>"$dir/openssl.log" || fail "no certificate"
    python3 - "$dir/$name.pem" "$dir/$name.key" "$dir/$name.port" <<'END' >"$dir/$name.out" 2>&1 &
import http.server, os, ssl, sys
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
c.load_cert_chain(sys.argv[1], sys.argv[2])
s.socket = c.wrap_socket(s.socket, server_side=True)
with open(sys.argv[3] + ".new", "w") as f: print(s.server_port, file=f)
os.rename(sys.argv[3] + ".new", sys.argv[3])
s.serve_forever()
END
    pids+=($!)
    until_true test -s "$dir/$name.port" || fail "no TLS service"
    tls=https://127.0.0.1:$(cat "$dir/$name.port")
}
certificate strange env
sees 78 certificate fault "give the authority" "$tacit" doctor --url "$tls"
sees 76 certificate ok "(29 days)" "$tacit" doctor --url "$tls" --ca "$dir/strange.pem"
if command -v faketime >/dev/null; then
    certificate expired faketime -f -90d
    sees 78 certificate fault "expired on" "$tacit" doctor --url "$tls" --ca "$dir/expired.pem"
    certificate ending faketime -f -20d
    sees 76 certificate warn "renew it before" "$tacit" doctor --url "$tls" --ca "$dir/ending.pem"
    # The coordinator's clock is right; this program's is not.
    sees 0 clock warn "ahead of" faketime -f +601s "$tacit" doctor
fi

# --- the machine -----------------------------------------------------------------------------------
sees 0 libraries warn "OPENBLAS_CORETYPE=Haswell" env OPENBLAS_CORETYPE=Haswell "$tacit" doctor
sees 78 kernels fault "set TACIT_ISA" env TACIT_ISA=nothing "$tacit" doctor
small_spec 100 50 50 | sed 's/NAME/small/; s/hidden = 32/hidden = 32768/; s/layers = 2/layers = 500/' >"$dir/huge.ini"
small_spec 100 50 50 | sed 's/NAME/small/' >"$dir/small.ini"
sees 71 memory fault "more memory" "$BIN/tacit-agent" --doctor "${join[@]}" --spec "$dir/huge.ini"
sees 0 memory ok "for a sequence" "$BIN/tacit-agent" --doctor "${join[@]}" --spec "$dir/small.ini" \
    --vocab 64 --seq 64
sees 66 memory fault "tacit ingest" "$tacit" doctor --spec "$dir/small.ini"
synthetic dataset
sed 's/= synthetic/= sinthetic/' "$dir/small.ini" >"$dir/slip.ini"
sees 66 memory fault 'did you mean "synthetic"' "$tacit" doctor --spec "$dir/slip.ini"
sees 0 memory ok "for a sequence" "$tacit" doctor --spec "$dir/small.ini"
if [ "$(id -u)" = 0 ] && mkdir "$dir/tiny" && mount -t tmpfs -o size=8m none "$dir/tiny" 2>/dev/null; then
    cleaners+=("umount $dir/tiny")
    sees 73 disk fault "make room" "$BIN/tacit-agent" --doctor --coordinator "$TACIT_URL" \
        --token-file "$dir/data/join.token" --work "$dir/tiny/w"
    jq -e 'any(.findings[]; .check == "disk speed" and .level == "fault")' "$dir/found" >/dev/null ||
        fail "a disk that is full while it is tried: $(cat "$dir/found")"
    [ -z "$(ls -A "$dir/tiny")" ] || fail "the doctor left something on a full disk"
fi
echo "doctor: ok"
