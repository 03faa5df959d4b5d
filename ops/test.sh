#!/bin/bash
# Runs tests and reports one line each; what a failing one printed follows its line.
#   ops/test.sh [-j JOBS] TEST…
# A test is a program or an executable script: exit 0 passes, 77 skips (its last line says why), all
# else fails. TEST_SECONDS_MAX (600) ends one that hangs. Ends with "N passed, M failed"; exit 1
# where any failed or none ran.
set -u

if [ "${1:-}" = --one ]; then
    results=$2 test=$3
    output=$results/$(tr / _ <<<"$test").out
    start=$(date +%s%N)
    timeout --kill-after=10 "${TEST_SECONDS_MAX:-600}" "$test" >"$output" 2>&1 </dev/null
    code=$?
    ms=$((($(date +%s%N) - start) / 1000000))
    case $code in
    0) word=pass ;;
    77) word=skip ;;
    *) word=FAIL ;;
    esac
    echo "$word" >>"$results/$word"
    {
        printf '%s  %3d.%02d s  %s\n' $word $((ms / 1000)) $((ms % 1000 / 10)) "$test"
        [ $word = skip ] && tail -n 1 "$output" | sed 's/^/      /'
        if [ $word = FAIL ]; then
            [ $code = 124 ] && echo "      stopped after ${TEST_SECONDS_MAX:-600} s"
            tail -n "${TEST_LINES_MAX:-200}" "$output" | sed 's/^/      /'
            echo "      (exit code $code)"
        fi
    } >"$output.line"
    # One write, so that lines of two tests do not mix.
    flock "$results" cat "$output.line"
    exit 0
fi

jobs=1
if [ "${1:-}" = -j ]; then
    jobs=$2
    shift 2
fi
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
[ $# -gt 0 ] && printf '%s\0' "$@" | xargs -0 -P"$jobs" -n1 "$0" --one "$results"

count() {
    if [ -f "$results/$1" ]; then wc -l <"$results/$1"; else echo 0; fi
}
# What vanished (the runner was killed) counts as failed.
failed=$(($# - $(count pass) - $(count skip)))
[ "$(count skip)" -gt 0 ] && echo "$(count skip) skipped"
echo "$(count pass) passed, $failed failed"
[ $failed = 0 ] && [ "$(count pass)" -gt 0 ]
