# For scripts that source this file from the repository's root: a Debian that nobody has used, and
# what was mounted, started and made in it gone again when the script ends.
#
#   debs=DIR                the folder with packages of `make deb`, the first argument or build/deb
#   $root                   the clean root; its first use takes a minute or two (debootstrap)
#   inside COMMAND…         runs in it
#   as, exec_as USER COMMAND…  the same as a user of it; the latter in place of this shell
#   install_packages NAME…  installs packages of $debs there, with what they need
#   newer NAME              prints the path of the same package with a higher version
#   cleaners+=(COMMAND)     run at the end, first
set -u
debs=${1:-build/deb}
skip() {
    echo "skipped: $1"
    exit 77
}
fail() {
    echo "FAILED: $1" >&2
    exit 1
}
[ "$(id -u)" = 0 ] || skip "a clean root takes root"
command -v debootstrap >/dev/null || skip "there is no debootstrap here: ops/deps.sh deb"
ls "$debs"/tacit_*.deb >/dev/null 2>&1 || fail "no packages in $debs: make deb"
mkdir -p build
work=$(mktemp -d)
root=$work/root
cleaners=()
pids=()
clean_up() {
    local p c
    for c in "${cleaners[@]}"; do $c; done
    for p in "${pids[@]}"; do kill "$p" 2>/dev/null; done
    wait
    umount "$root/proc" "$root/dev" 2>/dev/null
    mountpoint -q "$root/proc" || mountpoint -q "$root/dev" || rm -rf --one-file-system "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Kept for the next time: nothing is ever installed into this one.
kept=build/clean-root.tar
if [ ! -f $kept ]; then
    echo "a clean root: debootstrap"
    debootstrap --variant=minbase bookworm "$work/fresh" >"$work/debootstrap.log" 2>&1 || {
        tail -n 5 "$work/debootstrap.log"
        skip "debootstrap does not get through"
    }
    tar -C "$work/fresh" -cf $kept.new . && mv $kept.new $kept
    rm -rf "$work/fresh"
fi
mkdir "$root" && tar -C "$root" -xf $kept || fail "no clean root"
mount -t proc proc "$root/proc" && mount --bind /dev "$root/dev" || skip "nothing can be mounted here"
cp /etc/resolv.conf "$root/etc/resolv.conf"
# No service is started by a package here: there is no systemd that runs.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" && chmod +x "$root/usr/sbin/policy-rc.d"

inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"; }
# In the background it is the process itself, to be killed by its number.
exec_as() {
    local user=$1
    shift
    exec chroot "$root" runuser -u "$user" -- env -i PATH=/usr/bin:/bin HOME=/tmp "$@"
}
as() { (exec_as "$@"); }
quietly() {
    "$@" >"$work/log" 2>&1 || {
        tail -n 30 "$work/log"
        fail "$*"
    }
}
install_packages() {
    local p files=()
    for p in "$@"; do
        cp "$debs/${p}_"*.deb "$root/tmp/" || fail "no package $p"
        files+=("$(cd "$root" && ls "tmp/${p}_"*.deb)")
    done
    quietly inside apt-get -q update
    quietly inside apt-get -q -y --no-install-recommends install "${files[@]/#//}"
}
newer() {
    local tree=$work/newer-$1
    rm -rf "$tree"
    dpkg-deb -R "$debs/$1_"*.deb "$tree" >&2
    sed -i 's/^Version: .*/&+next/' "$tree/DEBIAN/control"
    dpkg-deb --root-owner-group -b "$tree" "$root/tmp/$1+next.deb" >/dev/null
    echo "/tmp/$1+next.deb"
}
