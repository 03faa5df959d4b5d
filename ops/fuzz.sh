#!/bin/bash
# Runs fuzz targets, two at a time, one line each; what a failing one said follows its line.
#   ops/fuzz.sh SECONDS [TARGET…]      default: all that are built
# What a run finds beyond the seeds is kept in build/fuzz/corpus, and the next one goes on from it;
# inputs that break a promise are kept in build/fuzz/found. Exit 1 where there was any.
set -u
cd "$(dirname "$0")/.." || exit 1
build=build/fuzz

if [ "${1:-}" = --one ]; then
    seconds=$2 name=$3
    log=$build/log/$name.log
    mkdir -p $build/corpus/"$name" $build/found $build/log
    # An input that takes 20 s is a finding (a busy machine included); memory beyond 1 GiB is, too.
    # Freed memory is kept for a while to find late uses; a little is enough, and quicker.
    export ASAN_OPTIONS=quarantine_size_mb=16:allocator_release_to_os_interval_ms=-1
    nice -n 10 timeout --kill-after=10 $((seconds + 120)) $build/fuzzers/fuzz_"$name" \
        -max_total_time="$seconds" -max_len=8192 -timeout=20 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix=$build/found/"$name"- $build/corpus/"$name" tests/fuzz/corpus/"$name" \
        >"$log" 2>&1
    code=$?
    from=$(sed -nE 's/^#[0-9]+\s+INITED cov: ([0-9]+).*/\1/p' "$log" | head -1)
    to=$(sed -nE 's/^#[0-9]+\s.*cov: ([0-9]+).*/\1/p' "$log" | tail -1)
    rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    new=$(sed -n 's/^stat::new_units_added: *//p' "$log")
    verdict=pass
    [ $code = 0 ] || verdict=FAIL
    line=$(printf '%s  %-12s %9s inputs  %6s/s  edges %s -> %s  %s new' $verdict "$name" \
        "${runs:-?}" "${rate:-?}" "${from:-?}" "${to:-?}" "${new:-?}")
    if [ $code != 0 ]; then
        found=$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)
        line+=$'\n'$(grep -avE '^#[0-9]+\s' "$log" | tail -n 60 | cut -c1-300 | sed 's/^/      /')
        line+=$'\n'"      (exit code $code; all of it: $log)"
        [ -n "$found" ] && line+=$'\n'"      again: $build/fuzzers/fuzz_$name $found"
    fi
    flock $build/log printf '%s\n' "$line"
    exit $((code != 0))
fi

seconds=${1:?seconds a target}
shift
if [ $# = 0 ]; then
    for c in tests/fuzz/fuzz_*.c; do
        name=${c##*/fuzz_}
        set -- "$@" "${name%.c}"
    done
fi
printf '%s\n' "$@" | xargs -P 2 -I '{}' ops/fuzz.sh --one "$seconds" '{}'
failed=$?
[ $failed = 0 ] && echo "$# targets, no findings" || echo "$# targets, with findings"
[ $failed = 0 ]
