#!/bin/bash
# A newcomer's walk with the packages, in a clean root: the coordinator on one machine, an agent on
# another (network namespaces), TLS by join files, a run, status, the page, a report, an upgrade.
#   walk.sh [FOLDER OF PACKAGES]
cd "$(dirname "$0")/../.." || exit 1
. ops/deploy/clean_root.sh
command -v ip >/dev/null || skip "there is no ip(8) here: apt-get install iproute2"
here=tacit-here-$$ there=tacit-there-$$
spaces_gone() {
    local p
    for p in "${pids[@]}"; do kill "$p" 2>/dev/null; done
    wait
    ip netns del $here 2>/dev/null
    ip netns del $there 2>/dev/null
}
cleaners+=(spaces_gone)
ip netns add $here 2>/dev/null && ip netns add $there || skip "no network namespaces here"
ip -n $here link add v0 type veth peer name v1 netns $there || skip "no veth here"
for side in "$here v0 10.77.7.1" "$there v1 10.77.7.2"; do
    read -r space link address <<<"$side"
    ip -n "$space" addr add "$address/24" dev "$link" && ip -n "$space" link set "$link" up &&
        ip -n "$space" link set lo up || fail "no link between the machines"
done
# on SPACE USER COMMAND…: on that machine, in place of this shell.
on() {
    local space=$1 user=$2
    shift 2
    exec ip netns exec "$space" chroot "$root" runuser -u "$user" -- \
        env -i PATH=/usr/bin:/bin HOME=/tmp/$user "$@"
}
serve() {
    (on $here tacitd tacitd --data /var/lib/tacitd --listen 10.77.7.1:8420) >>"$work/tacitd.log" 2>&1 &
    tacitd=$!
    pids+=($!)
    for _ in $(seq 600); do
        [ "$(grep -c "listening on" "$work/tacitd.log")" = "$1" ] && return
        kill -0 $tacitd 2>/dev/null || break
        sleep 0.1
    done
    cat "$work/tacitd.log"
    fail "tacitd does not start"
}
tacit() { (on $here tacitd tacit --join /var/lib/tacitd/operator.join "$@"); }

echo "packages"
install_packages tacit tacitd tacit-agent
for user in tacitd tacit-agent; do inside install -d -o $user -m 700 /var/lib/$user /tmp/$user; done
echo "a certificate, and the coordinator"
as tacitd tacitd tls init --data /var/lib/tacitd --host 10.77.7.1 || fail "tls init"
serve 1
echo "an agent on the other machine"
inside install -o tacit-agent -m 600 /var/lib/tacitd/agent.join /etc/tacit/agent.join
sed -i '/^work/a join = /etc/tacit/agent.join' "$root/etc/tacit/agent.ini"
(on $there tacit-agent tacit-agent --config /etc/tacit/agent.ini --threads 1) >"$work/agent.log" 2>&1 &
pids+=($!)
echo "a run"
tacit ingest licenses /usr/share/common-licenses --vocab 400 --seq 32 --holdout 0.2 || fail "ingest"
awk '/^cat > first.ini/ { inside = 1; next } /^END/ { inside = 0 } inside' ops/docs/first-run.md \
    >"$root/tmp/tacitd/first.ini"
tacit run create /tmp/tacitd/first.ini && tacit run wait first || { tail "$work/agent.log"; fail "the run"; }
tacit status || fail "status"
tacit report first >"$work/report" || fail "report"
grep -q "^Mixture and dense" "$work/report" || fail "no comparison in the report"
(on $there tacit-agent tacit --join /etc/tacit/agent.join status) >/dev/null 2>&1 &&
    fail "an agent's join file lets operate"
echo "the page"
page() {
    ip netns exec $there curl -s -o "$work/page" -w '%{http_code}' "$@" https://10.77.7.1:8420/
}
[ "$(page --cacert "$root/var/lib/tacitd/tls/authority.pem")" = 200 ] || fail "no page"
grep -qi "<title>" "$work/page" || fail "the page is none"
page >/dev/null && fail "a stranger trusts the certificate"
echo "upgrade"
for p in tacit tacitd tacit-agent; do
    quietly inside apt-get -q -y install "$(newer $p)"
done
kill $tacitd
wait $tacitd
serve 2
tacit run list | grep -q "^first .*done" || fail "the run is gone after the upgrade"
echo "passed: package, TLS, an agent elsewhere, a run, report, page, upgrade"
