#!/bin/sh
# One arithmetic: 20 training steps, scores and decoding give the same bytes on this machine with
# each instruction set it has, and on 64-bit ARM (under qemu-user) with NEON and in plain C; in
# float32 and, to other bytes, in bf16. Where this fails, agents on different processors cannot resume or verify each other's work.
#
# Run from the top folder. Needs gcc-aarch64-linux-gnu and qemu-user-static (ops/deps.sh).
set -eu

build=${BUILD:-build}
for tool in aarch64-linux-gnu-gcc qemu-aarch64-static b2sum; do
    if ! command -v "$tool" >/dev/null; then
        echo "arm_digest: $tool is missing: run ops/deps.sh (gcc-aarch64-linux-gnu, qemu-user-static)" >&2
        exit 1
    fi
done
make -s "$build/tests/core/model/arm_digest" "$build/arm/arm_digest"

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
want= compared=0 precision=f32

# digest LABEL ISA THREADS COMMAND…: runs the program and compares its digest with the first one.
digest() {
    label=$1 isa=$2 threads=$3
    shift 3
    TACIT_ISA=$isa "$@" "$threads" $precision >"$out/bytes" 2>"$out/said" || {
        cat "$out/said" >&2
        echo "arm_digest: $label failed" >&2
        exit 1
    }
    got=$(b2sum -l 256 <"$out/bytes" | cut -d' ' -f1)
    echo "$got  $precision, $label, $threads thread(s)"
    : "${want:=$got}"
    if [ "$got" != "$want" ]; then
        echo "arm_digest: $label gives other bytes than the first line" >&2
        exit 1
    fi
    compared=$((compared + 1))
}

f32=
for precision in f32 bf16; do
    want=
    case $(uname -m) in
    x86_64)
        digest "this machine, plain" plain 1 "$build/tests/core/model/arm_digest"
        for isa in avx2 avx512 avx512bf16; do
            case $isa in
            avx512) flag=avx512f ;;
            avx512bf16) flag=avx512_bf16 ;;
            *) flag=$isa ;;
            esac
            grep -qw "$flag" /proc/cpuinfo || continue
            digest "this machine, $isa" $isa 2 "$build/tests/core/model/arm_digest"
        done
        ;;
    *)
        digest "this machine" "" 1 "$build/tests/core/model/arm_digest"
        ;;
    esac
    digest "arm, neon" neon 2 qemu-aarch64-static "$build/arm/arm_digest"
    digest "arm, plain" plain 1 qemu-aarch64-static "$build/arm/arm_digest"
    [ "$want" != "$f32" ] || {
        echo "arm_digest: bf16 gives float32's bytes" >&2
        exit 1
    }
    f32=$want
done
echo "arm_digest: $compared runs, the same bytes in each precision"
