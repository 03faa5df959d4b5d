# For scripts that source this file from the repository's root: a temporary folder, and the real
# programs started in it; all of it gone when the script ends.
#
#   BIN=DIR                     where the programs are (build/bin)
#   $dir, pids+=(…)             the folder; processes to end
#   cleaners+=(COMMAND)         run at the end, after the processes (unmounting …)
#   coordinator [OPTION…]       starts tacitd on $port and $dir/data; sets $tacitd
#   coordinator_first [OPTION…] the same for the first time: finds $port, waits until it listens,
#                               sets TACIT_URL and TACIT_TOKEN_FILE
#   agent NAME [OPTION…]        starts tacit-agent in $dir/NAME; sets ${agents[NAME]}
#   until_true COMMAND…         waits for the command to succeed, at most PATIENCE seconds: only where
#                               something is wrong is that long, so it fits the slowest machine
#   stopped_at NAME REGEX       leaves the agent standing still (STOP) if its last line is such a
#                               one, and lets it go on if not: with until_true for things to be done
#                               in the middle of a job, however short it is
#   go_on NAME                  lets it go on
#   says NAME TEXT              whether $dir/NAME.log has it
#   tacit COMMAND…              the command line
#   synthetic COMMAND…          tests/system/synthetic.py, which must succeed
#   jobs_of RUN                 writes the run's jobs to $dir/jobs, for the next two and awk
#   done_jobs                   prints how many of them are done
#   no_failures RUN [TEXT]      looks anew: none of its jobs may have failed
#   same_digests FILE RUN       the run's models must be those in $dir/FILE
#   small_spec STEPS EVERY LINK a run of two small experts: steps, between saves, of a link; its
#                               name is NAME, for synthetic.py to fill in
#   chain_spec SEED ROUNDS STEPS EVERY LINK
#                               the same of three, with several chunks and dense models; settings of
#                               [checkpoint] can be appended
#   fail TEXT                   the ends of all logs, and exit 1: not in $(…) or a pipe, of which
#                               only that part would end
. ops/demo/service.sh
BIN=${BIN:-build/bin}
PATIENCE=300
dir=$(mktemp -d)
# Whoever runs tests may have a configuration of their own.
export XDG_CONFIG_HOME=$dir/config
pids=()
cleaners=()
declare -A agents

cleanup() {
    local p command
    exec 2>/dev/null # the shell's own words on what it kills
    for p in "${pids[@]}"; do kill -9 "$p"; done
    wait
    for command in "${cleaners[@]}"; do $command; done
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    {
        echo "FAILED: $1"
        tail -n 15 "$dir"/*.log
    } >&2
    exit 1
}

until_true() {
    local end=$((SECONDS + PATIENCE))
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.02
    done
}

says() { grep -q -- "$2" "$dir/$1.log"; }

coordinator() {
    "$BIN/tacitd" --data "$dir/data" --listen "127.0.0.1:$port" "$@" >>"$dir/tacitd.log" 2>&1 &
    tacitd=$!
    pids+=($tacitd)
}

started() { says tacitd "listening on" || ! kill -0 $tacitd 2>/dev/null; }

coordinator_first() {
    port=$(service_port)
    coordinator "$@"
    until_true started
    says tacitd "listening on" || fail "tacitd does not start"
    export TACIT_URL=http://127.0.0.1:$port TACIT_TOKEN_FILE=$dir/data/admin.token
}

agent() {
    local name=$1
    shift
    "$BIN/tacit-agent" --coordinator "$TACIT_URL" --token-file "$dir/data/join.token" \
        --work "$dir/$name" --threads 1 --name "$name" "$@" >>"$dir/$name.log" 2>&1 &
    agents[$name]=$!
    pids+=($!)
}

stopped_at() {
    local pid=${agents[$1]}
    kill -STOP "$pid" || return 1
    while grep -q '^State:[[:space:]]*[RSD]' "/proc/$pid/status" 2>/dev/null; do :; done
    tail -n 1 "$dir/$1.log" | grep -qE -- "$2" && return 0
    kill -CONT "$pid"
    return 1
}
go_on() { kill -CONT "${agents[$1]}"; }

tacit() { "$BIN/tacit" "$@"; }

synthetic() { python3 tests/system/synthetic.py "$@" || fail "synthetic.py $* failed"; }

jobs_of() { synthetic jobs "$1" >"$dir/jobs"; }
done_jobs() { awk '$2 == "done" { n++ } END { print n + 0 }' "$dir/jobs"; }

no_failures() {
    local failures
    jobs_of "$1"
    [ -s "$dir/jobs" ] || fail "run $1 has no jobs"
    failures=$(awk '{ sum += $4 } END { print sum + 0 }' "$dir/jobs")
    [ "$failures" = 0 ] || {
        cat "$dir/jobs"
        fail "$failures failures were counted${2:+: $2}"
    }
}

same_digests() {
    synthetic digests "$2" >"$dir/$2"
    diff "$dir/$1" "$dir/$2" || fail "the models differ"
}

small_spec() {
    cat <<INI
[run]
name = NAME
dataset = synthetic
experts = 2
seed = 5
[router]
hidden = 8
layers = 1
heads = 2
prefix = 16
rounds = 1
sequences = 200
batch = 8
[expert]
hidden = 32
layers = 2
heads = 2
batch = 8
steps = $1
[dense]
enabled = no
[checkpoint]
every_steps = $2
publish_steps = $3
INI
}

chain_spec() {
    cat <<INI
[run]
name = NAME
dataset = synthetic
experts = 3
seed = $1
[router]
hidden = 8
layers = 1
heads = 2
prefix = 16
rounds = $2
sequences = 1500
batch = 8
learning_rate = 3e-3
warmup = 5
[expert]
hidden = 16
layers = 1
heads = 2
batch = 8
steps = $3
learning_rate = 5e-3
warmup = 20
chunk = 5000
[dense]
match = both
[checkpoint]
every_steps = $4
publish_steps = $5
INI
}
