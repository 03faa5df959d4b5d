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
#   until_true SECONDS COMMAND… waits for the command to succeed
#   says NAME TEXT              whether $dir/NAME.log has it
#   synthetic COMMAND…          tests/system/synthetic.py, which must succeed
#   small_spec STEPS EVERY LINK a run of two small experts: steps, between saves, of a link; its
#                               name is NAME, for synthetic.py to fill in
#   fail TEXT                   the ends of all logs, and exit 1
. ops/demo/service.sh
BIN=${BIN:-build/bin}
dir=$(mktemp -d)
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
    echo "FAILED: $1"
    tail -n 15 "$dir"/*.log
    exit 1
}

until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

says() { grep -q -- "$2" "$dir/$1.log"; }

coordinator() {
    "$BIN/tacitd" --data "$dir/data" --listen "127.0.0.1:$port" "$@" >>"$dir/tacitd.log" 2>&1 &
    tacitd=$!
    pids+=($tacitd)
}

coordinator_first() {
    port=$(service_port)
    coordinator "$@"
    until_true 15 says tacitd "listening on" || fail "tacitd does not start"
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

synthetic() { python3 tests/system/synthetic.py "$@" || fail "synthetic.py $* failed"; }

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
