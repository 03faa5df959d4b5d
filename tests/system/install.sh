#!/bin/bash
# What make install puts where, in a folder: programs that start, manual pages, completions, units
# that systemd finds nothing wrong with; a second time keeps what was configured; uninstall leaves
# that alone.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh
[ -x "$BIN/tacit" ] || {
    echo "$BIN/tacit is not built"
    exit 77
}
root=$dir/root
into() { MAKEFLAGS='' make --no-print-directory -o all "$1" DESTDIR="$root" PREFIX=/usr >"$dir/make.log" 2>&1 || fail "make $1"; }
into install
for p in bin/tacit bin/tacitd bin/tacit-agent share/man/man1/tacit-run.1 share/man/man8/tacitd.8 \
    share/bash-completion/completions/tacit share/zsh/site-functions/_tacit share/doc/tacit/handbook.md \
    share/doc/tacit/img/dashboard-run.png; do
    [ -s "$root/usr/$p" ] || fail "no /usr/$p"
done
[ "$("$root/usr/bin/tacit" --version)" = "tacit $(sed -n 's/^#define TACIT_VERSION "\(.*\)"/\1/p' core/version.h)" ] ||
    fail "tacit tells another version than core/version.h"
if command -v systemd-analyze >/dev/null; then
    for unit in tacitd tacit-agent; do
        file=$root/usr/lib/systemd/system/$unit.service
        grep -q "^ExecStart=/usr/bin/$unit " "$file" || fail "$unit.service starts something else"
        # 0 (safe) to 10: what a unit that was left as it is by mistake would be above.
        systemd-analyze security --offline=true --threshold=20 "$file" >"$dir/security.log" 2>&1 ||
            fail "$unit.service is exposed: $(tail -n 1 "$dir/security.log")"
    done
fi
echo "# mine" >>"$root/etc/tacit/agent.ini"
into install
into uninstall
grep -q "^# mine" "$root/etc/tacit/agent.ini" || fail "the configuration is not as it was"
[ ! -e "$root/usr/bin/tacit" ] && [ ! -e "$root/usr/share/man/man1/tacit-run.1" ] || fail "uninstall leaves programs"
