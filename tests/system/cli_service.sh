#!/bin/bash
# The tacit program against a real coordinator and agent, as an operator uses it: text in, a run
# watched through the coordinator's death, report and answers out. What would break for a user: each
# command's words, figures and exit codes, and work lost when the coordinator is away.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh
tacit=$BIN/tacit
for program in tacit tacitd tacit-agent; do
    [ -x "$BIN/$program" ] || {
        echo "$BIN/$program is not built"
        exit 77
    }
done
coordinator_first
export XDG_CACHE_HOME=$dir/cache TMPDIR=$dir/tmp
mkdir "$TMPDIR"

# From here on, what is wrong does not end the script: it tells all that is.
failed=0
fail() {
    echo "FAILED: $1"
    failed=1
}
# expect CODE WORDS COMMAND…: exit code, and words somewhere in what it says (out or err).
expect() {
    local code=$1 words=$2 said got
    shift 2
    said=$("$@" 2>&1 </dev/null)
    got=$?
    if [ $got != "$code" ] || ! grep -qF -- "$words" <<<"$said"; then
        fail "$* (exit $got, wanted $code, with \"$words\"):"
        printf '%s\n' "$said" | head -n 20
    fi
}

# --- nothing there yet ---------------------------------------------------------------------------
expect 0 "no runs yet" "$tacit" run list
expect 0 "no jobs yet" "$tacit" jobs
expect 0 "no agents yet" "$tacit" agents
expect 0 "no data sets yet" "$tacit" datasets
expect 0 "0 active" "$tacit" status
for list in "run list" jobs agents datasets; do
    # shellcheck disable=SC2086 # two words are two arguments
    [ "$("$tacit" $list --json | jq -c .)" = "[]" ] || fail "$list --json is no empty array"
done
expect 66 "no run" "$tacit" run show nobody
expect 66 "no run" "$tacit" run wait nobody
expect 66 "no run" "$tacit" report nobody
expect 66 "no run" "$tacit" sample nobody hello
expect 77 "admin.token" "$tacit" status --token-file "$dir/data/join.token"

# --- ingest --------------------------------------------------------------------------------------
python3 - "$dir/text" <<'END'
import os, random, sys
random.seed(1)
letters = {"soft": "aeioulmnr", "hard": "ktpxzqwg", "digits": "0123456789+"}
for kind, alphabet in letters.items():
    os.makedirs(f"{sys.argv[1]}/{kind}")
    words = ["".join(random.choice(alphabet) for _ in range(random.randint(2, 6))) for _ in range(150)]
    for i in range(60):
        with open(f"{sys.argv[1]}/{kind}/{i}.txt", "w") as f:
            f.write(" ".join(random.choice(words) for _ in range(600)))
END
ingest=("$tacit" ingest letters "$dir/text" --vocab 400 --seq 32 --holdout 0.1)
expect 66 "no-such-folder" "$tacit" ingest other "$dir/no-such-folder"
expect 64 "no name" "$tacit" ingest ../other "$dir/text"

# Killed, it leaves a folder, which the next one removes.
"${ingest[@]}" >/dev/null 2>&1 &
ingesting=$!
works() { [ -n "$(ls "$TMPDIR"/tacit-ingest-*/ 2>/dev/null)" ]; }
until_true works || fail "ingest does not begin"
kill -9 $ingesting
wait $ingesting 2>/dev/null
[ -n "$(ls "$TMPDIR")" ] || fail "an ingest was killed too early to leave anything"

# Interrupted, it leaves nothing behind, here or there.
killed=$(ls "$TMPDIR")
"${ingest[@]}" >/dev/null 2>&1 &
ingesting=$!
works_anew() { works && [ "$(ls "$TMPDIR")" != "$killed" ]; }
until_true works_anew || fail "ingest does not begin"
kill -INT $ingesting
wait $ingesting 2>/dev/null
[ -z "$(ls "$TMPDIR")" ] || fail "an interrupted ingest left $(ls "$TMPDIR")"
expect 0 "no data sets yet" "$tacit" datasets

# The coordinator goes while the tokenizer is made, and comes back: nothing is lost.
"${ingest[@]}" >"$dir/ingest.out" 2>&1 &
ingesting=$!
until_true works || fail "ingest does not begin"
kill -9 $tacitd
wait $tacitd 2>/dev/null
sleep 1.5
coordinator
wait $ingesting || fail "ingest did not live through the coordinator's absence: $(cat "$dir/ingest.out")"
for words in "data set letters: vocabulary 400, 32 tokens" "train" "held out" "skipped    0" \
    "bytes of text on average" "labels     3: digits, hard, soft"; do
    grep -qF "$words" "$dir/ingest.out" || fail "ingest does not say \"$words\": $(cat "$dir/ingest.out")"
done
[ -z "$(ls "$TMPDIR")" ] || fail "ingest left $(ls "$TMPDIR")"
expect 64 "exists already" "${ingest[@]}"
expect 0 "letters" "$tacit" datasets
"$tacit" datasets --json | jq -e '.[0] | .name == "letters" and (has("train") | not)' >/dev/null ||
    fail "a list of data sets names shards, or an empty list of them"

# --- a proxy in between, and a coordinator that has trouble of its own -----------------------------
# It fails uploads and the watching of a run a few times, in several ways, then lets them through.
python3 - "$dir/proxy.port" "$port" <<'END' &
import http.client, http.server, json, os, sys
faults = {"PUT /v1/blobs": ["507", "500", "page"], "GET /v1/runs/small": ["", "500", "page"]}
codes = {"500": "ERR_INTERNAL", "507": "ERR_NO_SPACE"}
class Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def answer(self, status, headers, body):
        self.send_response_only(status)
        for name, value in headers.items(): self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
    def page(self, status):
        text = b"<html>We will be back soon.</html>"
        self.answer(status, {"Content-Type": "text/html", "Content-Length": len(text)}, text)
    def go(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        for key, left in faults.items():
            fault = left.pop(0) if left and (self.command + " " + self.path).startswith(key) else ""
            if fault == "page": return self.page(200)
            if fault:
                text = json.dumps({"title": "trouble", "status": int(fault), "code": codes[fault],
                                   "detail": "trouble of kind " + fault}).encode()
                return self.answer(int(fault), {"Content-Length": len(text), "Tacit-Protocol": "1",
                                   "Content-Type": "application/problem+json"}, text)
        try:
            c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[2]))
            keep = ("Authorization", "Content-Type", "Upload-Length", "Upload-Offset")
            c.request(self.command, self.path, body,
                      {k: self.headers[k] for k in keep if k in self.headers})
            r = c.getresponse()
            data = r.read()
        except OSError:
            self.close_connection = True  # as if nobody were there
            return
        keep = {k: v for k, v in r.getheaders() if k in ("Tacit-Protocol", "Content-Type",
                "Upload-Offset")}
        self.answer(r.status, {**keep, "Content-Length": len(data)}, data)
    do_GET = do_PUT = do_POST = do_HEAD = go
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
with open(sys.argv[1] + ".new", "w") as f: print(server.server_port, file=f)
os.rename(sys.argv[1] + ".new", sys.argv[1])
server.serve_forever()
END
pids+=($!)
until_true test -f "$dir/proxy.port" || fail "no proxy"
proxy=http://127.0.0.1:$(cat "$dir/proxy.port")
"$tacit" ingest proxied "$dir/text" --vocab 300 --seq 32 --url "$proxy" >"$dir/proxied.out" 2>&1 ||
    fail "ingest gives up on troubles that pass: $(cat "$dir/proxied.out")"
[ "$(grep -c "trouble of kind 507; trying again" "$dir/proxied.out")" = 1 ] &&
    [ "$(grep -c "trying again" "$dir/proxied.out")" = 1 ] && grep -q "going on" "$dir/proxied.out" ||
    fail "ingest does not say once what hinders it: $(cat "$dir/proxied.out")"

# --- a run ---------------------------------------------------------------------------------------
cat >"$dir/spec.ini" <<'INI'
[run]
name = small
dataset = letters
experts = 3
[router]
hidden = 8
layers = 1
heads = 2
prefix = 8
rounds = 3
sequences = 600
batch = 8
learning_rate = 1e-2
warmup = 5
[expert]
hidden = 16
layers = 1
heads = 2
batch = 8
steps = 600
learning_rate = 5e-3
warmup = 10
[dense]
match = both
[checkpoint]
every_steps = 50
publish_steps = 100
[eval]
every_steps = 200
INI
sed 's/^dataset.*/dataset = none/' "$dir/spec.ini" >"$dir/none.ini"
expect 66 "no data set" "$tacit" run create "$dir/none.ini"
sed 's/^steps/stepps/' "$dir/spec.ini" >"$dir/wrong.ini"
expect 64 "wrong.ini:" "$tacit" run create "$dir/wrong.ini"
expect 0 "nothing was created" "$tacit" run create "$dir/spec.ini" --dry-run
expect 0 "no runs yet" "$tacit" run list
expect 0 "No agents are connected" "$tacit" plan "$dir/spec.ini"
expect 0 "Planned without the coordinator" env -u TACIT_TOKEN_FILE "$tacit" plan "$dir/spec.ini"
expect 0 "Planned without the coordinator" "$tacit" plan "$dir/spec.ini" --token-file "$dir/none"
expect 77 "admin.token" "$tacit" plan "$dir/spec.ini" --token-file "$dir/data/join.token"
expect 0 "run small created" "$tacit" run create "$dir/spec.ini"
expect 64 "exists already" "$tacit" run create "$dir/spec.ini"
expect 64 "no report yet" "$tacit" report small

# Watching can be ended; the run goes on.
"$tacit" run wait small >"$dir/watch.out" 2>&1 &
watching=$!
until_true test -s "$dir/watch.out" || fail "watching shows nothing"
kill -INT $watching
wait $watching && fail "an interrupted wait says that the run is done"
grep -q "run small goes on" "$dir/watch.out" || fail "an interrupted wait says: $(cat "$dir/watch.out")"

"$tacit" run wait small >"$dir/wait.out" 2>&1 &
waiting=$!
"$tacit" run wait small --url "$proxy" >"$dir/proxied.out" 2>&1 &
waiting_proxied=$!
agent worker
under_way() { [ "$("$tacit" run show small --json | jq '.progress > 0.02')" = true ]; }
until_true under_way || fail "the run does not begin"
kill -9 $tacitd
wait $tacitd 2>/dev/null
until_true grep -q "Waiting for the coordinator" "$dir/wait.out" || fail "run wait does not say that it waits"
coordinator
wait $waiting || fail "run wait ends with $?: $(cat "$dir/wait.out" "$dir/worker.log")"
for words in "the coordinator is back" "run small is done"; do
    grep -q "$words" "$dir/wait.out" || fail "run wait does not say \"$words\": $(cat "$dir/wait.out")"
done
wait $waiting_proxied || fail "run wait behind a proxy ends with $?: $(cat "$dir/proxied.out")"
for words in "trouble of kind 500" "the coordinator is back" "run small is done"; do
    grep -q "$words" "$dir/proxied.out" || fail "run wait does not say \"$words\": $(cat "$dir/proxied.out")"
done
grep -q "is not tacitd" "$dir/proxied.out" && fail "run wait tells one absence more than once"
[ "$(grep -c "Waiting for the coordinator" "$dir/wait.out")" = 1 ] || fail "run wait tells one absence more than once"
expect 0 "run small is done" "$tacit" run wait small
expect 0 "small" "$tacit" run list
expect 0 "worker" "$tacit" agents
expect 0 "on the 1 agent connected now" "$tacit" plan "$dir/spec.ini"
expect 0 "600/600" "$tacit" run show small
expect 0 "train expert 2, to step 600" "$tacit" jobs --run small --limit 500
expect 0 "no such jobs" "$tacit" jobs --run small --state quarantined
expect 64 "has ended already" "$tacit" run cancel small
[ "$("$tacit" run list --json | jq -r '.[0].name')" = small ] || fail "run list --json"
[ "$("$tacit" run show small --json | jq '.models | length')" = 8 ] || fail "run show --json"

# --- report --------------------------------------------------------------------------------------
"$tacit" report small >"$dir/report" || fail "report"
for words in "Against dense at equal tokens: perplexity" "after the prefix" "FLOP with routers to" \
    "Against dense at equal FLOPs" "experts are ahead" "after round 2" "Routed on fewer tokens" \
    "What routing cost" "Data-parallel training" "Held-out perplexity on the way"; do
    grep -qF "$words" "$dir/report" || fail "report does not say \"$words\""
done
"$tacit" report small --json >"$dir/report.json"
jq -e '.experts | length == 3' "$dir/report.json" >/dev/null || fail "report --json: $(cat "$dir/report.json")"
perplexity=$(jq '.mixture.perplexity * 1000 | round / 1000' "$dir/report.json")
grep -qF "$perplexity" "$dir/report" || fail "report for people and for scripts differ ($perplexity)"

XDG_CACHE_HOME=$dir/other "$tacit" report small --html "$dir/report.html" --md "$dir/report.md" || fail "report --html --md"
python3 - "$dir/report.html" <<'PY' || fail "a chart of the report's page is no SVG"
import re, sys
from xml.dom import minidom
page = open(sys.argv[1]).read()
charts = re.findall(r"<svg.*?</svg>", page, re.S)
for chart in charts:
    minidom.parseString(chart)
sys.exit(len(charts) < 5 or "<script" in page or "://" in page)
PY
for words in "Learning curves" "Training loss" "Machines that took part" "tacit verify small --all" \
    "experts = 3" "mixture, expert"; do
    grep -qF "$words" "$dir/report.html" || fail "the report's page does not say \"$words\""
done
grep -q '^## Exactly what was run' "$dir/report.md" || fail "report --md"
expect 66 "no-folder" "$tacit" report small --samples 0 --html "$dir/no-folder/report.html"

# --- sample --------------------------------------------------------------------------------------
prompt=$(cut -d' ' -f1-6 "$dir/text/digits/0.txt")
"$tacit" sample small "$prompt" --tokens 20 --json >"$dir/a.json" || fail "sample"
"$tacit" sample small "$prompt" --tokens 20 --json >"$dir/b.json"
cmp -s "$dir/a.json" "$dir/b.json" || fail "the same sample twice differs"
jq -e '.text != "" and (.scores | length) == 3 and
       .expert == (.scores | index(max)) and .tokens == 20' "$dir/a.json" >/dev/null ||
    fail "sample --json: $(cat "$dir/a.json")"
ls "$XDG_CACHE_HOME/tacit" >"$dir/cached"
# Spec, tokenizer, three routers, one expert, the lock: one expert alone is downloaded.
[ "$(wc -l <"$dir/cached")" = 7 ] || fail "sample keeps $(cat "$dir/cached")"
expect 0 "answers; scores on the first" "$tacit" sample small "$prompt"
expect 0 "expert 1 answers, as asked" "$tacit" sample small "$prompt" --expert 1
expect 64 "empty" "$tacit" sample small ""
expect 64 "experts 0 to 2" "$tacit" sample small "$prompt" --expert 3
# Longer than the model reads.
expect 0 "$prompt" "$tacit" sample small "$prompt" --tokens 100 --temperature 0
# Damaged downloads are fetched anew.
for f in "$XDG_CACHE_HOME"/tacit/????????????????????????????????????????????????????????????????; do
    printf x | dd of="$f" bs=1 seek=99 conv=notrunc status=none
done
"$tacit" sample small "$prompt" --tokens 20 --json >"$dir/b.json"
cmp -s "$dir/a.json" "$dir/b.json" || fail "a damaged cache changes the answer: $(cat "$dir/b.json")"

# --- cancel --------------------------------------------------------------------------------------
sed 's/^name.*/name = other/; s/^steps.*/steps = 100000/' "$dir/spec.ini" >"$dir/other.ini"
expect 0 "created" "$tacit" run create "$dir/other.ini"
expect 64 "has not been published yet" "$tacit" sample other "$prompt"
expect 0 "run other is cancelled" "$tacit" run cancel other
expect 70 "was cancelled" "$tacit" run wait other
[ "$("$tacit" run list --json | jq -r '.[0].name')" = other ] || fail "run list: the newest is not first"

# --- a run that fails ----------------------------------------------------------------------------
kill -9 "${agents[worker]}"
wait "${agents[worker]}" 2>/dev/null
sed 's/^name.*/name = broken/' "$dir/spec.ini" >"$dir/broken.ini"
expect 0 "created" "$tacit" run create "$dir/broken.ini"
# An agent that finds a job's settings impossible; its words would steer a terminal.
python3 - "$TACIT_URL" "$dir/data/join.token" <<'END' || fail "the failing agent"
import json, sys, urllib.request
url, token = sys.argv[1], open(sys.argv[2]).read().strip()
def post(path, body, token):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {
        "Authorization": "Bearer " + token, "Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request))
me = post("/v1/agents", {"identity": "ab" * 32, "name": "unlucky", "host": "h", "processor": "p",
          "isa": "plain", "version": "0", "threads": 1, "memory": 1 << 30}, token)
grant = post("/v1/claims", {"wait_ms": 5000}, me["token"])
post(f"/v1/jobs/{grant['job']}/fail", {"fence": grant["fence"], "settings": True,
     "error": "step 7: the loss is \x1b[31mnan"}, me["token"])
END
expect 70 "the loss is" "$tacit" run wait broken
expect 0 "the loss is" "$tacit" run show broken
expect 0 "quarantined" "$tacit" jobs --run broken --state quarantined
expect 64 "ended without a report" "$tacit" report broken
for command in "run show broken" "jobs --run broken" "run wait broken"; do
    # shellcheck disable=SC2086 # several words are several arguments
    "$tacit" $command 2>&1 | grep -q $'\033' && fail "$command lets an agent steer the terminal"
done
exit $failed
