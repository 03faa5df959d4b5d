#!/bin/bash
# The packages in a clean root, as an administrator uses them: install, upgrade over a changed
# configuration and a database of the first schema, remove, purge.
#   deb_test.sh [FOLDER OF PACKAGES]
cd "$(dirname "$0")/../.." || exit 1
. ops/deploy/clean_root.sh

echo "install"
install_packages tacit tacitd tacit-agent
for p in tacit tacitd tacit-agent; do
    inside $p --version | grep -q "^$p [0-9]" || fail "$p does not start"
done
for user in tacitd tacit-agent; do
    inside id $user >/dev/null || fail "there is no user $user"
done
inside systemd-analyze verify --man=no tacitd.service tacit-agent.service >"$work/log" 2>&1 || fail "$(cat "$work/log")"
[ -L "$root/etc/systemd/system/multi-user.target.wants/tacitd.service" ] || fail "tacitd is not enabled"
[ ! -e "$root/etc/systemd/system/multi-user.target.wants/tacit-agent.service" ] ||
    fail "tacit-agent starts before it is told of a coordinator"
inside tacit-agent --config /etc/tacit/agent.ini --settings | grep -q "^work .*agent.ini:" ||
    fail "the agent does not take its settings from /etc/tacit/agent.ini"

# coordinator COMMAND…: runs it while tacitd serves /var/lib/tacitd, as its unit would.
coordinator() {
    local got=0
    exec_as tacitd tacitd --data /var/lib/tacitd --listen 127.0.0.1:18420 >"$work/tacitd.log" 2>&1 &
    pids+=($!)
    for _ in $(seq 600); do
        grep -q "listening on" "$work/tacitd.log" && break
        kill -0 $! 2>/dev/null || { cat "$work/tacitd.log"; fail "tacitd does not start"; }
        sleep 0.1
    done
    as tacitd env TACIT_URL=http://127.0.0.1:18420 TACIT_TOKEN_FILE=/var/lib/tacitd/admin.token "$@" || got=1
    kill "${pids[-1]}"
    wait "${pids[-1]}"
    return $got
}

echo "upgrade from the first schema"
inside install -d -o tacitd -g tacitd -m 700 /var/lib/tacitd
python3 - "$root/var/lib/tacitd" <<'PYTHON' || fail "no database of the first schema"
import sqlite3, sys
for name, sql in (("tacit.db", "schema/001_start.sql"), ("blobs.db", "schema/blobs/001_blobs.sql")):
    db = sqlite3.connect(f"{sys.argv[1]}/{name}", isolation_level=None)
    db.executescript(open(sql).read())
    db.execute("PRAGMA user_version = 1")
    db.close()
PYTHON
inside chown -R tacitd:tacitd /var/lib/tacitd
echo "#mine" >>"$root/etc/tacit/agent.ini"
for p in tacit tacitd tacit-agent; do
    quietly inside apt-get -q -y install "$(newer $p)"
done
grep -q "^#mine" "$root/etc/tacit/agent.ini" || fail "an upgrade takes away what was configured"
coordinator tacit status || fail "no status after the upgrade"
python3 - "$root/var/lib/tacitd/tacit.db" <<'PYTHON' || fail "the schema is not the newest"
import glob, sqlite3, sys
newest = len(glob.glob("schema/[0-9]*.sql"))
sys.exit(sqlite3.connect(sys.argv[1]).execute("PRAGMA user_version").fetchone()[0] != newest)
PYTHON

echo "remove"
quietly inside apt-get -q -y remove tacit tacitd tacit-agent
[ ! -e "$root/usr/bin/tacitd" ] || fail "tacitd is still there"
[ -s "$root/var/lib/tacitd/tacit.db" ] || fail "removing a package took the data"
[ -s "$root/etc/tacit/agent.ini" ] || fail "removing a package took the configuration"
echo "purge"
quietly inside apt-get -q -y purge tacit tacitd tacit-agent
[ ! -e "$root/var/lib/tacitd" ] && [ ! -e "$root/etc/tacit/agent.ini" ] || fail "purge leaves things behind"
echo "passed: install, upgrade from the first schema, remove, purge"
