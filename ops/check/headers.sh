#!/bin/bash
# Each header compiles alone; those that the arithmetic needs also for 64-bit ARM, where none of our
# libraries is installed. CC, HEADER_CFLAGS: from the Makefile.
set -u
cd "$(dirname "$0")/../.." || exit 1

arm=aarch64-linux-gnu-gcc
failed=$(mktemp)
trap 'rm -f "$failed"' EXIT

# check COMPILER HEADER FLAGS…
check() {
    local compiler=$1 header=$2
    shift 2
    if ! output=$(printf '#include "%s"\n' "$header" |
        "$compiler" -std=gnu11 -fsyntax-only -Wall -Wextra -Werror -D_GNU_SOURCE -I. "$@" -x c - 2>&1); then
        printf '%s does not compile alone with %s:\n%s\n' "$header" "$compiler" "$output"
        echo "$header" >>"$failed"
    fi
}

count=0
while read -r header; do
    flags=()
    # The lane headers are for files that are compiled once per instruction set.
    case $header in core/kernels/lanes/*) flags=(-DLANES_ISA=plain -DLANES_ISA_plain=1) ;; esac
    # shellcheck disable=SC2086
    check "${CC:-gcc}" "$header" ${HEADER_CFLAGS:-} ${flags[@]+"${flags[@]}"} &
    case $header in
    core/base/* | core/env/* | core/kernels/* | core/model/*)
        command -v $arm >/dev/null && check $arm "$header" ${flags[@]+"${flags[@]}"} &
        ;;
    esac
    count=$((count + 1))
    [ $((count % 8)) = 0 ] && wait
done < <(find core coordinator agent ops tests -name '*.h' 2>/dev/null | sort)
wait

echo "headers: $count, $(sort -u "$failed" | wc -l) do not compile alone"
[ ! -s "$failed" ]
