# A coordinator and agents on loopback, for scripts that source this file: started, watched, started
# again where they die, and stopped. Everything they say goes to files in $SERVICE/log.
#
#   SERVICE=DIR               where data, work folders and logs are
#   BIN=DIR                   where tacitd, tacit-agent and tacit are
#   service_start AGENTS      starts; sets TACIT_URL and TACIT_TOKEN_FILE (exported)
#   service_stop              stops everything, agents first
#   service_port              prints a free port, below those that outgoing connections take; any of
#                             them, since several scripts may ask at once
#
# The process numbers are in $SERVICE/tacitd.pid and $SERVICE/agent-N.pid.

# service_keep NAME COMMAND…: runs it again whenever it ends by itself, until its keeper gets a TERM
# or the script that started the keeper is gone.
service_keep() {
    local name=$1 child=0 stop=0 code
    shift
    exec 2>>"$SERVICE/log/$name.log" # the shell's own words on killed children
    trap 'stop=1' TERM
    trap '' INT
    while [ $stop = 0 ]; do
        "$@" >>"$SERVICE/log/$name.log" 2>&1 </dev/null &
        child=$!
        echo $child >"$SERVICE/$name.pid"
        while kill -0 $child 2>/dev/null && [ $stop = 0 ]; do
            kill -0 $$ 2>/dev/null || stop=1
            sleep 0.2
        done
        [ $stop = 1 ] && kill -TERM $child 2>/dev/null
        wait $child
        code=$?
        [ $stop = 1 ] && break
        echo "$name ended with exit code $code: starting it again" | tee -a "$SERVICE/log/$name.log"
        sleep 0.5
    done
    rm -f "$SERVICE/$name.pid"
}

service_port() {
    python3 -c 'import random, socket
s = socket.socket()
for port in random.sample(range(20000, 32000), 12000):
    try:
        s.bind(("127.0.0.1", port))
        print(port)
        break
    except OSError:
        pass'
}

service_start() {
    local agents=$1 n port
    mkdir -p "$SERVICE/log"
    : >"$SERVICE/log/tacitd.log"
    port=$(service_port)
    export TACIT_URL=http://127.0.0.1:$port TACIT_TOKEN_FILE=$SERVICE/data/admin.token
    service_keepers=()
    service_keep tacitd "$BIN/tacitd" --data "$SERVICE/data" --listen "127.0.0.1:$port" &
    service_keepers+=($!)
    for _ in $(seq 150); do
        curl -sf "$TACIT_URL/healthz" >/dev/null && break
        sleep 0.1
    done
    if ! curl -sf "$TACIT_URL/healthz" >/dev/null; then
        echo "The coordinator does not answer at $TACIT_URL; it said:" >&2
        tail -n 20 "$SERVICE/log/tacitd.log" >&2
        return 1
    fi
    for n in $(seq "$agents"); do
        : >"$SERVICE/log/agent-$n.log"
        service_keep "agent-$n" "$BIN/tacit-agent" --coordinator "$TACIT_URL" \
            --token-file "$SERVICE/data/join.token" --work "$SERVICE/agent-$n" --threads 1 \
            --name "agent-$n" &
        service_keepers+=($!)
    done
}

service_stop() {
    local i
    for ((i = ${#service_keepers[@]} - 1; i >= 0; i--)); do
        kill -TERM "${service_keepers[$i]}" 2>/dev/null
        wait "${service_keepers[$i]}" 2>/dev/null
    done
    service_keepers=()
}
