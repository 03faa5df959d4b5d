#!/bin/bash
# make soak: the real programs for minutes on end where everything goes wrong that can: agents and
# coordinator killed with -9, agents told to stop, agents stopped past their lease and woken, a
# network that delays, resets and cuts, and small file systems that fill up for a while. At the end
# every run of the storm has the digests of one that was left alone.
#
#   SEED=n        another history (1); as far as chance is the script's and not the machine's
#   KILLS=n       goes on until so many (50)
#   AGENTS=n      (4)
#   LIFE=s        agents live so long on average in the storm (20)
#   GOODPUT=s     afterwards so long with nothing but a slow network and agents that come and go, half
#                 of them told and half not: what goodput is measured on (90)
#                 which is to be 90 % at least
#   SPOT_LIFE=s   how long agents live on average then (60: ten minutes, scaled as the links are,
#                 which take seconds and stand for ones of a minute or so)
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh
SEED=${SEED:-1} KILLS=${KILLS:-50} AGENTS=${AGENTS:-4} LIFE=${LIFE:-20}
GOODPUT=${GOODPUT:-90} SPOT_LIFE=${SPOT_LIFE:-60}
LEASE=60 # seconds: lease.h's LEASE_MS
RANDOM=$SEED
declare -A state due_at born counts
restarts=0 missed=false

synthetic() { python3 tests/system/synthetic.py "$@"; }
now() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
# after MEAN: so many milliseconds from now, exponentially distributed about MEAN (ms).
after() {
    due=$(($(now) + $(awk -v u=$((RANDOM * 32768 + RANDOM)) -v mean="$1" \
        'BEGIN { printf "%d", -mean * log((u + 1) / 1073741825) }')))
}
# between LEAST MOST: the same, evenly between.
between() { due=$(($(now) + $1 + RANDOM * ($2 - $1) / 32768)); }
count() { counts[$1]=$((${counts[$1]:-0} + 1)); }
killed() {
    local kind sum=0
    for kind in "agent -9" "coordinator -9" "agent TERM" "agent STOP"; do
        sum=$((sum + ${counts[$kind]:-0}))
    done
    echo $sum
}

# --- small file systems -----------------------------------------------------------------------------

# small NAME MEGABYTES: a file system of its own for $dir/NAME, where that can be had.
small() {
    mkdir -p "$dir/$1"
    if mount -t tmpfs -o size="$2m",mode=700 tacit-soak "$dir/$1" 2>/dev/null; then
        cleaners+=("umount -l $dir/$1")
        smalls+=("$1")
    else
        echo "no small file system for $1: mounting one takes root; it will not fill up"
    fi
}

# --- agents -----------------------------------------------------------------------------------------

agent_begins() {
    TACIT_URL=http://127.0.0.1:$proxy agent "$1"
    born[$1]=$EPOCHREALTIME state[$1]=up
    after $((LIFE * 1000)) && due_at[$1]=$due
}
agent_lived() { echo "$1 ${born[$1]} $EPOCHREALTIME" >>"$dir/$phase.lives"; }
agent_ended() {
    agent_lived "$1"
    state[$1]=down
    between 200 1500 && due_at[$1]=$due
}
agent_kill() {
    kill -9 "${agents[$1]}"
    wait "${agents[$1]}" 2>/dev/null
    count "agent -9"
    agent_ended "$1"
}
agent_term() {
    kill -TERM "${agents[$1]}"
    count "agent TERM"
    state[$1]=leaving
    due_at[$1]=$(($(now) + 60000))
}
agent_stop() {
    kill -STOP "${agents[$1]}"
    count "agent STOP"
    agent_lived "$1"
    state[$1]=stopped
    between $((LEASE * 1000 + 2000)) $((LEASE * 1000 + 8000)) && due_at[$1]=$due
}
# Its time has come. Twice it is a machine that sleeps past its lease; else half are told, half not.
stop_after=(10 90)
agent_dies() {
    if stormy && [ $((now - began)) -gt $((${stop_after[0]:-999999} * 1000)) ]; then
        stop_after=("${stop_after[@]:1}")
        agent_stop "$1"
    elif [ $((RANDOM % 2)) = 0 ]; then
        agent_term "$1"
    else
        agent_kill "$1"
    fi
}
agent_turn() {
    local name=$1 code
    if [ "${state[$name]}" = up ] || [ "${state[$name]}" = leaving ]; then
        if ! kill -0 "${agents[$name]}" 2>/dev/null; then
            wait "${agents[$name]}"
            code=$?
            [ "${state[$name]}" = leaving ] || fail "$name ended by itself with exit code $code"
            # A signal before it listens to any just ends it.
            [ $code = 0 ] || [ $code = 143 ] || fail "$name was told to stop, and ended with $code"
            agent_ended "$name"
        fi
    fi
    [ "${due_at[$name]}" -le "$now" ] || return
    case ${state[$name]} in
    up) agent_dies "$name" ;;
    leaving) fail "$name does not stop" ;;
    down) agent_begins "$name" ;;
    stopped)
        kill -CONT "${agents[$name]}"
        born[$name]=$EPOCHREALTIME state[$name]=up
        after $((LIFE * 1000)) && due_at[$name]=$due
        ;;
    esac
}

# --- the coordinator --------------------------------------------------------------------------------

coordinator_turn() {
    if [ "${state[tacitd]}" = up ] && ! kill -0 "$tacitd" 2>/dev/null; then
        # Where its disk is full it may not even start: whoever watches over it tries again.
        [ "$full" = data ] || fail "tacitd ended by itself"
        restarts=$((restarts + 1))
        state[tacitd]=down
        between 500 1000 && due_at[tacitd]=$due
    fi
    [ "${due_at[tacitd]}" -le "$now" ] || return
    if [ "${state[tacitd]}" = up ]; then
        stormy || return
        kill -9 "$tacitd"
        wait "$tacitd" 2>/dev/null
        count "coordinator -9"
        state[tacitd]=down
        between 200 2500 && due_at[tacitd]=$due
    else
        coordinator
        state[tacitd]=up
        after 12000 && due_at[tacitd]=$due
    fi
}

# --- a phase ----------------------------------------------------------------------------------------

# Everything goes wrong, until there were kills enough; then what was begun comes to its end.
stormy() { [ $phase = storm ] && ! $ending; }
phase_ends() {
    if [ $phase = storm ]; then
        [ "$(killed)" -ge "$KILLS" ]
    else
        [ $((now - began)) -ge $((GOODPUT * 1000)) ]
    fi
}

run_create() {
    runs=$((runs + 1))
    until_true synthetic run "$phase-$runs" tests/soak/soak.ini 2>/dev/null ||
        fail "no run $phase-$runs"
    active+=("$phase-$runs")
}
# Leaves those in $active that are not done; a coordinator that is dead just now answers later.
runs_turn() {
    local name left=()
    for name in "${active[@]}"; do
        case $(synthetic state "$name" 2>/dev/null) in
        done) ;;
        active | "") left+=("$name") ;;
        *) synthetic jobs "$name"; fail "$name does not succeed" ;;
        esac
    done
    active=("${left[@]}")
    phase_ends && ending=true
    while ! $ending && [ ${#active[@]} -lt 2 ] && [ "${state[tacitd]}" = up ]; do
        run_create
    done
}
# What happens to disks, in order: seconds since the storm began, and what.
disk_events=("20 fill data" "27 empty data" "45 fill agent-1" "53 empty agent-1"
    "80 fill data" "87 empty data" "105 fill agent-1" "113 empty agent-1")
disks_turn() {
    local at what which
    read -r at what which <<<"${disk_events[0]:-999999}"
    stormy || [ -n "$full" ] || return
    [ $(((now - began) / 1000)) -ge "$at" ] || return
    disk_events=("${disk_events[@]:1}")
    case " ${smalls[*]} " in *" $which "*) ;; *) return ;; esac
    if [ "$what" = fill ]; then
        full=$which
        count "$which full"
        head -c 2G /dev/zero >"$dir/$which/ballast" 2>/dev/null
    else
        full=
        rm -f "$dir/$which/ballast"
    fi
}

# proxy_begin LOSS: in the place of the one before.
proxy_begin() {
    [ -z "${proxy_process:-}" ] || kill "$proxy_process"
    proxy=$(service_port)
    python3 tests/soak/proxy.py "$proxy" "$port" "$SEED" "$1" "$dir/$phase.network" \
        >"$dir/proxy.log" 2>&1 &
    proxy_process=$!
    pids+=($proxy_process)
}

# phase_run NAME LOSS: agents come and go until the phase has ended and its runs are done.
phase_run() {
    local name watch turn=0
    phase=$1 runs=0 active=() ending=false began=$(now)
    proxy_begin "$2"
    TACIT_URL=$direct python3 tests/soak/figures.py watch "$dir/$phase.watch" 2>"$dir/figures.log" &
    watch=$!
    pids+=($watch)
    now=$began
    run_create
    run_create
    for name in "${names[@]}"; do agent_begins "$name"; done
    state[tacitd]=up
    after 12000 && due_at[tacitd]=$due
    while [ ${#active[@]} -gt 0 ]; do
        sleep 0.1
        now=$(now)
        [ $((now - began)) -lt $((SECONDS_MAX * 1000)) ] || fail "no end after $SECONDS_MAX s"
        disks_turn
        coordinator_turn
        for name in "${names[@]}"; do agent_turn "$name"; done
        [ $((turn++ % 10)) = 0 ] && runs_turn
    done
    kill $watch
    for name in "${names[@]}"; do
        case ${state[$name]} in
        up | leaving) agent_lived "$name" ;;
        stopped) kill -CONT "${agents[$name]}" ;;
        down) continue ;;
        esac
        kill -TERM "${agents[$name]}"
        wait "${agents[$name]}"
    done
    [ "${state[tacitd]}" = up ] || { coordinator && state[tacitd]=up; }
    until_true curl -sf "$direct/healthz" >/dev/null || fail "tacitd does not come back"
    phase_tell >&3
}

phase_tell() {
    local n kind differ=0
    for n in $(seq $runs); do
        synthetic digests "$phase-$n" >"$dir/$phase-$n" || fail "$phase-$n has no report"
        diff "$dir/calm" "$dir/$phase-$n" || differ=$((differ + 1))
        synthetic jobs "$phase-$n" >>"$dir/$phase.jobs"
    done
    echo "$phase: $((($(now) - began) / 1000)) s, $runs runs, $(wc -l <"$dir/$phase.jobs") jobs," \
        "$(awk '{ sum += $4 } END { print sum + 0 }' "$dir/$phase.jobs") failures"
    python3 tests/soak/figures.py goodput "$dir" $phase ${goodput_wanted:-} || missed=true
    printf '  %d kills, stops and wakings\n' "$(killed)"
    for kind in "${!counts[@]}"; do printf '  %-24s %d\n' "$kind" "${counts[$kind]}"; done | sort
    awk '{ printf "  network: %-15s %d\n", $1, $2 }' "$dir/$phase.network"
    [ $restarts = 0 ] || echo "  tacitd started again $restarts times while its disk was full"
    [ $differ = 0 ] || fail "$differ of $runs runs have other digests than the undisturbed one"
    echo "  equal digests: dense, experts, routers of $runs runs"
    counts=()
}

began=$(now)
echo "seed $SEED, $KILLS kills, $AGENTS agents that live $LIFE s on average"
smalls=() full='' SECONDS_MAX=${SOAK_SECONDS_MAX:-1200}
small data 1024
small agent-1 24
coordinator_first
direct=$TACIT_URL
names=()
for n in $(seq "$AGENTS"); do names+=("agent-$n"); done

synthetic dataset || fail "no data set"
synthetic run calm tests/soak/soak.ini || fail "no run"
for name in "${names[@]}"; do agent "$name"; done
synthetic wait calm 600 || fail "the undisturbed run does not end"
synthetic digests calm >"$dir/calm"
for name in "${names[@]}"; do
    kill -TERM "${agents[$name]}"
    wait "${agents[$name]}" || fail "$name does not stop well"
done
echo "undisturbed run: $((($(now) - began) / 1000)) s"

exec 3>&1 2>"$dir/shell.log" # the shell's own words on what it kills
phase_run storm 1
# These machines are known to be short-lived: as many have been seen as an agent would know of.
LIFE=$SPOT_LIFE
for name in "${names[@]}"; do echo "20 $((20 * LIFE)).000" >"$dir/$name/life"; done
goodput_wanted=90
phase_run preempted 0
[ $missed = false ] || fail "too little goodput, or none that can be told"
