#!/bin/bash
# Plants the bugs of tests/sim/bugs, one at a time, in a copy of the source, and plays histories
# until one shows it: a simulation that finds nothing may also be one that sees nothing. The source
# as it is must be clean on the same histories; and what is found must be what the patch says ("Shows
# as:", an extended regular expression): a crash, another violation, or one without any fault is
# something else that is wrong.
# usage: tests/sim/sim_bugs.sh [-n] [NAME…]
#   -n           no histories: only that each patch fits and compiles
#   SEEDS=n      how many histories each may take (1000)
set -u
cd "$(dirname "$0")/../.." || exit 1
SEEDS=${SEEDS:-1000}
play=true
[ "${1:-}" != -n ] || { play=false && shift; }
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
for part in obj gen lib sim; do
    [ ! -d build/$part ] || cp -a build/$part "$copy/build/" || exit 1
done

build() { make -C "$copy" -j2 "$@" >"$copy/out" 2>&1; }
shown() { grep -a '^seed\|^sim:' "$copy/out" | head -n 1; }
# bad NAME WHAT [LINES]: and the first lines of what was printed.
bad() {
    echo "$1: $2"
    head -n "${3:-10}" "$copy/out" | cut -c1-200 | sed 's/^/    /'
    missed=$((missed + 1))
}
# clean_to SEED: whether the source without a bug is clean up to there.
clean=0
clean_to() {
    [ "$1" -gt $clean ] || return 0
    "$copy/sim" -s -f $(($1 - clean)) $((clean + 1)) >"$copy/out" 2>&1 || return 1
    clean=$1
}

# try NAME: what became of the bug, which is in the copy.
try() {
    local expected found seed
    expected=$(sed -n 's/^Shows as: //p' "tests/sim/bugs/$1.patch")
    if [ -z "$expected" ]; then
        bad "$1" "its patch does not say which violation it must cause (Shows as: …)" 0
    elif ! build $(sed -n 's/^+++ \(.*\)\.c$/build\/obj\/\1.o/p' "tests/sim/bugs/$1.patch"); then
        bad "$1" "the source with its patch can't be compiled:"
    elif [ $play = false ]; then
        echo "$1: its patch fits and compiles"
    elif ! build build/sim/sim; then
        bad "$1" "the source with its patch can't be built:"
    elif "$copy/build/sim/sim" -f -s "$SEEDS" 1 >"$copy/out" 2>&1; then
        bad "$1" "not found in $SEEDS histories" 0
    elif ! shown | grep -aqE "^seed [0-9]+: .*($expected)"; then
        bad "$1" "what was found is not what it must cause ($expected):"
    else
        found=$(shown)
        seed=${found#seed } seed=${seed%%:*} # they begin with 1
        if clean_to "$seed"; then
            echo "$1: found by history $seed (of at most $SEEDS); without it, all up to there are clean:"
            echo "    ${found:0:200}"
        else
            bad "$1" "nothing is told by $found; the source without it is not clean either:"
        fi
    fi
}

missed=0
if [ $play = true ]; then
    build build/sim/sim && cp "$copy/build/sim/sim" "$copy/sim" || {
        bad "no bug planted" "the source can't be built:"
        exit 1
    }
fi
for name in "${names[@]}"; do
    patch=$PWD/tests/sim/bugs/$name.patch
    if ! patch -s -p0 -F0 -d "$copy" --dry-run <"$patch" >"$copy/out" 2>&1; then
        bad "$name" "its patch does not fit the source any more; make it anew:"
        continue
    fi
    patch -s -p0 -F0 -d "$copy" <"$patch"
    try "$name"
    patch -s -R -p0 -F0 -d "$copy" <"$patch"
done
done=planted
[ $play = true ] || done=compiled
echo "${#names[@]} bugs $done, $missed not as they should be"
[ "$missed" = 0 ]
