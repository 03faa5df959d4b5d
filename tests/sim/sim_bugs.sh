#!/bin/bash
# Plants the bugs of tests/sim/bugs, one at a time, in a copy of the source, and plays histories
# until one shows it: a simulation that finds nothing may also be one that sees nothing.
# usage: tests/sim/sim_bugs.sh [NAME…]     SEEDS (1000): how many histories each may take
set -u
cd "$(dirname "$0")/../.." || exit 1
SEEDS=${SEEDS:-1000}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
names=("$@")
[ ${#names[@]} -gt 0 ] || for p in tests/sim/bugs/*.patch; do
    p=${p##*/}
    names+=("${p%.patch}")
done
# With what is built already, so that only what a patch changes is compiled.
mkdir -p "$copy/build"
cp -a Makefile agent coordinator core ops schema tests "$copy/" || exit 1
for part in obj gen lib; do
    [ ! -d build/$part ] || cp -a build/$part "$copy/build/" || exit 1
done

missed=0
for name in "${names[@]}"; do
    patch=$PWD/tests/sim/bugs/$name.patch
    if ! patch -s -p0 -d "$copy" --dry-run <"$patch" >"$copy/out" 2>&1; then
        echo "$name: its patch does not fit the source any more; make it anew:"
        sed 's/^/    /' "$copy/out"
        missed=$((missed + 1))
        continue
    fi
    patch -s -p0 -d "$copy" <"$patch"
    if ! make -C "$copy" -j2 build/sim/sim >"$copy/out" 2>&1; then
        echo "$name: the source with its patch can't be built:"
        tail -n 10 "$copy/out" | sed 's/^/    /'
        missed=$((missed + 1))
    elif "$copy/build/sim/sim" -f -s "$SEEDS" 1 >"$copy/out" 2>&1; then
        echo "$name: not found in $SEEDS histories"
        missed=$((missed + 1))
    else
        seeds=$(sed -n 's/^\([0-9]*\) seeds in.*/\1/p' "$copy/out")
        echo "$name: found after ${seeds:-0} histories with faults:"
        grep -a '^seed\|^sim:' "$copy/out" | head -n 1 | cut -c1-200 | sed 's/^/    /'
    fi
    patch -s -R -p0 -d "$copy" <"$patch"
done
echo "${#names[@]} bugs planted, $missed not found"
[ "$missed" = 0 ]
