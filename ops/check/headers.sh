#!/bin/bash
# Each header compiles alone; those that the arithmetic needs also for 64-bit ARM, where none of our
# libraries is installed. CC, HEADER_CFLAGS: from the Makefile.
set -u
cd "$(dirname "$0")/../.." || exit 1

arm=aarch64-linux-gnu-gcc
machine=$(uname -m)
failed=$(mktemp)
trap 'rm -f "$failed"' EXIT

# check COMPILER HEADER FLAGS…
check() {
    local compiler=$1 header=$2
    shift 2
    if ! output=$(printf '#include "%s"\n' "$header" |
        "$compiler" -std=gnu11 -fsyntax-only -Wall -Wextra -Werror -D_GNU_SOURCE -I. "$@" -x c - 2>&1); then
        printf '%s does not compile alone with %s:\n%s\n' "$header" "$compiler" "$(head -n 12 <<<"$output")"
        echo "$header" >>"$failed"
    fi
}

count=0
while read -r header; do
    name=$header flags=() here=yes there=no
    case $header in
    core/kernels/simd_*.h)
        # One of simd.h's bodies, for one instruction set: read through it.
        isa=${header#*simd_} isa=${isa%.h}
        name=core/kernels/simd.h flags=("-DLANES_ISA=$isa" "-DLANES_ISA_$isa=1")
        case $isa in
        avx2) flags+=(-mavx2 -mfma) ;;
        avx512) flags+=(-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma) ;;
        esac
        case $isa-$machine in
        plain-*) there=yes ;;
        neon-*) there=yes here=no ;;
        avx*-x86_64) ;;
        *) here=no ;;
        esac
        ;;
    core/kernels/*) flags=(-DLANES_ISA=plain -DLANES_ISA_plain=1) there=yes ;;
    core/base/* | core/env/* | core/model/*) there=yes ;;
    esac
    # shellcheck disable=SC2086
    [ $here = yes ] && check "${CC:-gcc}" "$name" ${HEADER_CFLAGS:-} "${flags[@]+"${flags[@]}"}" &
    [ $there = yes ] && command -v $arm >/dev/null && check $arm "$name" "${flags[@]+"${flags[@]}"}" &
    count=$((count + 1))
    [ $((count % 8)) = 0 ] && wait
done < <(find core coordinator agent ops tests -name '*.h' 2>/dev/null | sort)
wait

echo "headers: $count, $(sort -u "$failed" | wc -l) do not compile alone"
[ ! -s "$failed" ]
