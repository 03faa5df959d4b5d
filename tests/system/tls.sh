#!/bin/bash
# tacitd tls init and renew, and join files, between real programs. What would break for a user: an
# agent that trusts whoever answers; a renewal that needs a visit to every machine, or a restart; a
# certificate that ends unannounced, and then looks as if the coordinator were down.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh

port=$(service_port)
# told TEXT COMMAND…: the command must fail, and say TEXT.
told() {
    local text=$1
    shift
    "$@" >"$dir/told.log" 2>&1 && fail "$* succeeded"
    grep -qF -- "$text" "$dir/told.log" || fail "$* did not say: $text"
}
# serial: of the certificate that is shown.
serial() {
    openssl s_client -connect "127.0.0.1:$port" </dev/null 2>/dev/null | openssl x509 -noout -serial
}
join_agent() {
    local name=$1
    shift
    "$BIN/tacit-agent" --work "$dir/$name" --threads 1 --name "$name" "$@" >>"$dir/$name.log" 2>&1 &
    agents[$name]=$!
    pids+=($!)
}

echo "an authority, a certificate, join files"
told "there is no authority" "$BIN/tacitd" tls renew --data "$dir/data"
told "--host is needed" "$BIN/tacitd" tls init --data "$dir/data"
told "is no host's name or address" "$BIN/tacitd" tls init --data "$dir/data" --host https://a
"$BIN/tacitd" tls init --data "$dir/data" --host 127.0.0.1,train.example.org --port "$port" ||
    fail "tls init"
told "has an authority already" "$BIN/tacitd" tls init --data "$dir/data" --host 127.0.0.1
modes=$(cd "$dir/data" && stat -c '%n=%a' tls tls/* ./*.join | tr '\n' ' ')
[ "$modes" = "tls=700 tls/authority.key=600 tls/authority.pem=644 tls/server.pem=600 \
./agent.join=600 ./operator.join=600 " ] || fail "modes: $modes"
openssl verify -CAfile "$dir/data/tls/authority.pem" -purpose sslserver \
    -verify_hostname train.example.org "$dir/data/tls/server.pem" >/dev/null || fail "the chain"

echo "one file is all that an agent and an operator need"
coordinator
until_true started
says tacitd "listening on https://127.0.0.1:$port" || fail "it does not speak TLS by itself"
export TACIT_JOIN=$dir/data/operator.join
tacit status | grep -q "https://127.0.0.1:$port" || fail "tacit --join"
tacit invite --uses 1 --file "$dir/one.join" 2>"$dir/invite.log" || fail "tacit invite --file"
(unset TACIT_JOIN && tacit --join "$dir/one.join" status >"$dir/told.log" 2>&1) &&
    fail "an invited agent's file is good for operators"
join_agent invited --join "$dir/one.join"
until_true says invited "joined https://127.0.0.1:$port"
kill -TERM "${agents[invited]}"
wait "${agents[invited]}"
rm "$dir/one.join"
(unset TACIT_JOIN && exec "$BIN/tacit-agent" --work "$dir/invited" --threads 1) >>"$dir/invited.log" 2>&1 &
agents[invited]=$!
pids+=($!)
until_true tacit agents --json >"$dir/agents.json"
until_true sh -c "'$BIN/tacit' agents | grep -q idle" # it works on, by what it keeps in its folder

echo "whom it does not know it does not believe, and says so"
told "made for other names" "$BIN/tacit" --url "https://localhost:$port" \
    --join "$dir/data/operator.join" status
"$BIN/tacitd" tls init --data "$dir/other" --host 127.0.0.1 --port "$port" >/dev/null || fail "other"
told "is not trusted: another authority" "$BIN/tacit" --join "$dir/other/operator.join" status
join_agent fooled --join "$dir/other/agent.join"
until_true says fooled "is not trusted: another authority"
wait "${agents[fooled]}"
[ $? = 78 ] || fail "an agent that meets a stranger goes on"
told "is not trusted" env -u TACIT_JOIN "$BIN/tacit" --url "https://127.0.0.1:$port" \
    --token-file "$dir/data/admin.token" status

echo "renewed while it runs: shown within seconds, and no client notices"
before=$(serial)
"$BIN/tacitd" tls renew --data "$dir/data" --days 12 || fail "tls renew"
renewed() { [ "$(serial)" != "$before" ]; }
until_true renewed
tacit status >"$dir/status" || fail "after the renewal"
kill -0 "${agents[invited]}" || fail "the agent ended"
openssl s_client -connect "127.0.0.1:$port" </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName |
    grep -q "train.example.org" || fail "the renewed certificate is for other hosts"

echo "its end is said weeks ahead: in the log, to operators, to Prometheus"
until_true says tacitd "the certificate expires days=12"
token=$(cat "$dir/data/admin.token")
asked() { curl -sf --cacert "$dir/data/agent.join" -H "Authorization: Bearer $token" "https://127.0.0.1:$port$1"; }
asked /v1/status | jq -e '.tls == "its certificate ends in 12 days: tacitd tls renew"' >/dev/null ||
    fail "status does not say it"
tacit status | grep -q "certificate ends in 1[12]" || fail "tacit status does not say it"
left=$(($(asked /metrics | awk '$1 == "tacit_certificate_expiry_timestamp_seconds" { printf "%d", $2 }') - $(date +%s)))
[ "$left" -gt $((11 * 86400)) ] && [ "$left" -lt $((13 * 86400)) ] || fail "the metric: $left"

echo "expired: told from a coordinator that is down, by agent and operator, and mended by a renewal"
mkdir "$dir/ca" && : >"$dir/ca/index" && cat >"$dir/ca/conf" <<CONF
[ca]
default_ca = here
[here]
database = $dir/ca/index
new_certs_dir = $dir/ca
default_md = sha256
policy = any
rand_serial = yes
[any]
commonName = supplied
[names]
subjectAltName = IP:127.0.0.1
CONF
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=127.0.0.1 \
    -keyout "$dir/ca/key" -out "$dir/ca/csr" 2>/dev/null
openssl ca -batch -config "$dir/ca/conf" -cert "$dir/data/tls/authority.pem" \
    -keyfile "$dir/data/tls/authority.key" -startdate 20200101000000Z -enddate 20200201000000Z \
    -extensions names -notext -in "$dir/ca/csr" -out "$dir/ca/crt" 2>"$dir/ca.log" || fail "openssl ca"
before=$(serial)
cat "$dir/ca/key" "$dir/ca/crt" >"$dir/data/tls/new" && mv "$dir/data/tls/new" "$dir/data/tls/server.pem"
until_true renewed
told "has expired: the coordinator is there" "$BIN/tacit" status
kill -TERM $tacitd # a connection that is kept open goes on
wait $tacitd || fail "tacitd ended with an error"
coordinator
until_true says tacitd "the certificate has expired"
until_true says invited "has expired: the coordinator is there"
kill -0 "${agents[invited]}" || fail "an agent that had been believing ended"
"$BIN/tacitd" tls renew --data "$dir/data" --host 127.0.0.1 >/dev/null || fail "tls renew of an expired one"
until_true says invited "answers again"
tacit status >/dev/null || fail "after the second renewal"

echo "a bad file does not take a running coordinator's certificate away, nor start one"
cp "$dir/data/tls/server.pem" "$dir/good.pem"
echo nonsense >"$dir/data/tls/server.pem"
until_true says tacitd "the new certificate is not taken"
tacit status >/dev/null || fail "the certificate before is not shown any more"
told "no certificate (PEM) that can be read" "$BIN/tacitd" --data "$dir/data" --listen 127.0.0.1:0
cat "$dir/ca/crt" "$dir/data/tls/authority.key" >"$dir/data/tls/server.pem"
told "is not that of the certificate" "$BIN/tacitd" --data "$dir/data" --listen 127.0.0.1:0
mv "$dir/good.pem" "$dir/data/tls/server.pem"

echo "a rotated join token is in the join file, too"
tacit token rotate join >"$dir/rotated" || fail "rotate"
grep -qF "$(cat "$dir/rotated")" "$dir/data/agent.join" || fail "agent.join has the token of before"
kill -TERM $tacitd
wait $tacitd || fail "tacitd ended with an error"
told "is tacitd running there?" "$BIN/tacit" status
echo "all well"
