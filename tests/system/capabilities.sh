#!/bin/bash
# tacit-agent --capabilities: what an operator asks before trusting a machine. It names the set that
# will compute, as forced or found, shows libraries' overrides, and an agent refuses a set that the
# machine lacks before it does anything else.
set -u
bin=${BUILD:-build}/bin
failed=0
check() {
    if [ "$2" != "$3" ]; then
        echo "capabilities: $1: '$2' instead of '$3'" >&2
        failed=1
    fi
}
told() { # told FILTER [VARIABLE=VALUE…]
    local filter=$1
    shift
    env -u TACIT_ISA -u OPENBLAS_CORETYPE "$@" "$bin/tacit-agent" --capabilities --json | jq -r "$filter"
}

check "every set equals the definition" "$(told '[.sets[].works] | all')" true
check "the best set is used" "$(told '.isa == .sets[0].isa and .isa == .wanted')" true
check "a forced set is used" "$(told .isa TACIT_ISA=plain)" plain
check "precisions" "$(told '.precisions | join(" ")')" "f32 bf16"
check "overrides" "$(told '.overrides.OPENBLAS_CORETYPE' OPENBLAS_CORETYPE=Haswell)" Haswell
text=$(env OPENBLAS_CORETYPE=Haswell TACIT_ISA=plain "$bin/tacit-agent" --capabilities)
check "exit code" $? 0
grep -q '^kernels *plain (TACIT_ISA)$' <<<"$text" || check "the text's kernels" "$text" "plain (TACIT_ISA)"
grep -q 'OPENBLAS_CORETYPE=Haswell' <<<"$text" || check "the text's overrides" "$text" OPENBLAS_CORETYPE

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
said=$(TACIT_ISA=avx1024 "$bin/tacit-agent" --coordinator http://127.0.0.1:1 --work "$work" 2>&1)
check "a set that is not there: exit code" $? 64
grep -q "TACIT_ISA: 'avx1024' is no instruction set" <<<"$said" ||
    check "a set that is not there" "$said" "its name and those that are"
[ $failed = 0 ] && echo "capabilities: told as they are"
exit $failed
