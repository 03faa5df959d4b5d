#!/bin/bash
# `tacit top` in a real terminal (tmux) against a real coordinator with agents. What would break for a
# user: a screen that shows nothing or falls apart, keys that do something else than they say, an
# order that was not confirmed, a coordinator's absence that is not told, a terminal left in disorder.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh
command -v tmux >/dev/null || {
    echo "tmux is not installed"
    exit 77
}
unset NO_COLOR TMUX
export LC_ALL=C.UTF-8
mux() { tmux -f /dev/null -S "$dir/tmux" "$@"; }
cleaners+=("tmux -S $dir/tmux kill-server")
screen() { mux capture-pane -p -t top; }
shows() { screen 2>/dev/null | grep -qE -- "$1"; }
hides() { ! shows "$1"; }
# sees TEXT: it comes onto the screen; else what is there is told.
sees() {
    until_true shows "$1" || {
        screen
        fail "top does not show '$1'"
    }
}
gone() {
    until_true hides "$1" || {
        screen
        fail "top still shows '$1'"
    }
}
keys() { mux send-keys -t top "$@"; }
top() { # COLUMNS ROWS [ENVIRONMENT…]
    local columns=$1 rows=$2
    shift 2
    mux new-session -d -s top -x "$columns" -y "$rows" env "$@" TERM=screen-256color sh -c \
        "$BIN/tacit top; echo ended with \$?; sleep 600"
}
coordinator_first
synthetic dataset
small_spec 4000000 20000 1000000 >"$dir/spec.ini"
synthetic run books "$dir/spec.ini"
agent lab-1
agent lab-2
trains() { tacit run show books --json | jq -e '[.models[] | select(.agent != null)] | length == 2' >/dev/null; }
until_true trains || fail "nobody trains"

# --- the smallest terminal -------------------------------------------------------------------------
top 80 24
sees "books +active .*\[[#.]+\] +experts"
sees "2 agents: 2 working"
sees "expert 0 .*[▁▂▃▄▅▆▇█]{3}.*training +lab-[12]"
[ "$(screen | wc -l)" -le 24 ] || fail "more rows than the terminal has"
keys 3
sees "lab-2 +working +books: train expert"
keys Enter
sees "Log of job"
sees "attempt 1  lab-[12]"
keys q
sees "1 Runs"
keys '?'
sees "What changes something is asked for first"
keys q
keys / b 1 Enter
sees "nothing matches the filter"
keys Escape
sees "lab-2 +working"

# --- orders ----------------------------------------------------------------------------------------
keys 1 p
sees "Pause run books\?.*\[y/n\]"
keys n
gone "Pause run books"
tacit run show books --json | jq -e '.paused | not' >/dev/null || fail "paused without a yes"
keys p
sees "Pause run books"
keys y
sees "books +paused"
sees "run books is paused"
keys p
sees "Let run books go on"
keys y
sees "books +active"
keys 3 d
sees "Drain lab-[12]\?"
keys y
sees "finishes its job, if it has one"
drains() { tacit agents --json | jq -e 'any(.[]; .state == "draining" or .state == "drained")' >/dev/null; }
until_true drains || fail "nobody was drained"

# --- another size, an absence, an end --------------------------------------------------------------
mux resize-window -t top -x 200 -y 50
sees "2 Models of books.*3 Agents"
sees "6 Events"
sees "agent.drained"
kill -KILL "$tacitd"
wait "$tacitd" 2>/dev/null
sees "no answer for .*since [0-9:]{8}.*can't reach"
sees "books" # what was last known stays
keys '?'
sees "Keys" # and keys are as quick as ever
keys q
coordinator
gone "no answer for"
keys q
sees "ended with 0"
mux kill-server

# --- no colours where none are wanted; colours else ------------------------------------------------
colours() { mux capture-pane -p -e -t top | grep -c $'\033\[[0-9;]*3[1-7]m'; }
top 80 24 NO_COLOR=1
sees "books +active"
[ "$(colours)" = 0 ] || fail "colours in spite of NO_COLOR"
pid=$(pgrep -f "^$BIN/tacit top" -P "$(mux list-panes -t top -F '#{pane_pid}')")
kill -TERM "$pid"
sees "ended with 0"
mux kill-server
top 80 24
sees "books +active"
[ "$(colours)" -gt 0 ] || fail "no colours"
# A terminal that is killed takes it along.
pid=$(pgrep -f "^$BIN/tacit top" -P "$(mux list-panes -t top -F '#{pane_pid}')")
mux kill-server
ended() { ! kill -0 "$pid" 2>/dev/null; }
until_true ended || fail "it outlives its terminal"

# --- what it needs ---------------------------------------------------------------------------------
tacit top </dev/null >"$dir/said.log" 2>&1
[ $? = 64 ] && grep -q "tacit status" "$dir/said.log" || fail "without a terminal: $(cat "$dir/said.log")"
echo "top: ok"
