#!/bin/bash
# `tacit serve` and `tacit chat` on a trained run, asked by curl, by the real openai package, and by
# a hundred clients that come, go and send nonsense. What would break for a user: an answer that
# depends on who else asks, words of OpenAI's interface that clients rely on, memory or threads that
# leak, a server that dies of what it is sent.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh
export XDG_CACHE_HOME=$dir/cache
python3 - "$dir/text" <<'END'
import os, random, sys
random.seed(1)
letters = {"soft": "aeioulmnr", "hard": "ktpxzqwg", "digits": "0123456789+"}
for kind, alphabet in letters.items():
    os.makedirs(f"{sys.argv[1]}/{kind}")
    words = ["".join(random.choice(alphabet) for _ in range(random.randint(2, 6))) for _ in range(150)]
    for i in range(40):
        with open(f"{sys.argv[1]}/{kind}/{i}.txt", "w") as f:
            f.write(" ".join(random.choice(words) for _ in range(400)))
END
cat >"$dir/spec.ini" <<'INI'
[run]
name = letters
dataset = letters
experts = 3
seed = 2
[router]
hidden = 16
layers = 1
heads = 2
prefix = 16
rounds = 2
sequences = 300
batch = 8
learning_rate = 3e-3
warmup = 5
[expert]
hidden = 32
layers = 2
heads = 2
batch = 8
steps = 80
learning_rate = 5e-3
warmup = 10
[dense]
enabled = no
[checkpoint]
every_steps = 80
publish_steps = 80
INI
coordinator_first
tacit ingest letters "$dir/text" --vocab 400 --seq 64 --holdout 0.1 >"$dir/ingest.log" 2>&1 ||
    fail "no data set"
tacit run create "$dir/spec.ini" >"$dir/create.log" 2>&1 || fail "no run"
agent one
tacit run wait letters >"$dir/wait.log" 2>&1 || fail "the run does not end"

server() { # RUN|DIR OPTION…: starts `tacit serve`, sets $url and $server
    "$BIN/tacit" serve "$1" "${@:2}" --listen 127.0.0.1:0 --threads 1 >"$dir/serve.log" 2>&1 &
    server=$!
    pids+=($server)
    until_true grep -q "listening on\|tacit serve:" "$dir/serve.log"
    url=$(sed -n 's|^listening on \(http[^ ]*\)/.*|\1|p' "$dir/serve.log")
    [ -n "$url" ] || fail "no server"
}
ask() { # PATH JSON
    curl -sS -m 60 "$url$1" -H 'Content-Type: application/json' -d "$2"
}
# holds WHAT JQ TEXT: the JSON text fulfils the expression.
holds() {
    jq -e "$2" <<<"$3" >/dev/null || fail "$1: $2: $3"
}

server letters --memory 64M
curl -sS "$url/v1/models" >"$dir/models.json"
holds models '.data[0].id == "letters" and .data[0].experts == 3' "$(cat "$dir/models.json")"
page=$(curl -sS -D "$dir/head" "$url/")
grep -q "<h1>tacit" <<<"$page" || fail "no page"
grep -qi "^content-security-policy: default-src 'none'" "$dir/head" || fail "the page has no policy"

# The same question: the same answer as `tacit sample` gives without chance, alone or in company.
prompt="kt px"
alone=$(ask /v1/completions "{\"prompt\": \"$prompt\", \"max_tokens\": 20, \"temperature\": 0}")
holds "a completion" '.choices[0].finish_reason == "length" and .usage.completion_tokens == 20' "$alone"
sample=$(tacit sample letters "$prompt" --tokens 20 --temperature 0 --json)
[ "$(jq -r '.choices[0].text' <<<"$alone")" = "$(jq -r .text <<<"$sample")" ] ||
    fail "serve and sample differ: $alone $sample"
for i in 1 2 3 4 5 6 7 8; do
    ask /v1/completions "{\"prompt\": [\"$prompt\", \"12 3$i\", \"aei\"], \"max_tokens\": 20,
        \"temperature\": 0, \"n\": 2}" >"$dir/company.$i" &
    asking[i]=$!
done
wait "${asking[@]}"
for i in 1 2 3 4 5 6 7 8; do
    [ "$(jq -r '.choices[1].text' "$dir/company.$i")" = "$(jq -r '.choices[0].text' <<<"$alone")" ] ||
        fail "company changes the answer: $(cat "$dir/company.$i")"
done
ask /v1/completions "{\"prompt\": \"$prompt\", \"max_tokens\": 3}" -D - >/dev/null
curl -sS -D "$dir/head" -o /dev/null "$url/v1/completions" -H 'Content-Type: application/json' \
    -d "{\"prompt\": \"$prompt\", \"max_tokens\": 1}"
grep -qi "^x-tacit-expert: $(jq .expert <<<"$sample")" "$dir/head" || fail "another expert: $(cat "$dir/head")"
grep -qi '^x-tacit-scores: -[0-9.]*,-[0-9.]*,-' "$dir/head" || fail "no scores: $(cat "$dir/head")"
seeded() { ask /v1/completions '{"prompt": "aei ou", "max_tokens": 30, "seed": 7, "top_p": 0.9, "top_k": 50,
    "min_p": 0.01, "repetition_penalty": 1.1}' | jq -r '.choices[0].text'; }
[ "$(seeded)" = "$(seeded)" ] || fail "the seed does not decide"

# What evaluation harnesses ask: nothing new, log-probabilities of the prompt itself.
echoed=$(ask /v1/completions '{"prompt": "kt px zq", "max_tokens": 0, "echo": true, "logprobs": 2, "temperature": 0}')
holds "echo" '.choices[0].text == "kt px zq" and (.choices[0].logprobs |
    .token_logprobs[0] == null and (.tokens | join("")) == "kt px zq" and
    (.tokens | length) == (.token_logprobs | length) and (.text_offset[0] == 0) and
    (.token_logprobs[1:] | all(. <= 0)) and (.top_logprobs[1] | length) == 2)' "$echoed"
again=$(ask /v1/completions '{"prompt": "kt px zq", "max_tokens": 1, "echo": true, "logprobs": 0, "temperature": 0}')
[ "$(jq -c '.choices[0].logprobs.token_logprobs' <<<"$echoed")" = \
    "$(jq -c '.choices[0].logprobs.token_logprobs[:-1]' <<<"$again")" ] || fail "echo: other figures"
route=$(ask /v1/route '{"prompt": "kt px zq"}')
holds "scores" '(.scores | length) == 3 and .routed_on > 1' "$route"

# Stop strings, errors in OpenAI's form.
text=$(jq -r '.choices[0].text' <<<"$alone")
stopped=$(ask /v1/completions "{\"prompt\": \"$prompt\", \"max_tokens\": 20, \"temperature\": 0, \"stop\": \"${text:5:2}\"}")
jq -e '.choices[0].finish_reason == "stop"' <<<"$stopped" >/dev/null || fail "no stop: $stopped"
[[ ${text%%"${text:5:2}"*} == "$(jq -r '.choices[0].text' <<<"$stopped")" ]] || fail "stopped elsewhere: $stopped"
for bad in '{' '[]' '{"prompt": ""}' '{"prompt": 3}' '{"prompt": [1, 99999]}' '{"prompt": "a", "n": 1000}' \
    '{"prompt": "a", "model": "gpt"}' '{"prompt": "a", "temperature": -1}' '{"prompt": "a", "tools": [1]}'; do
    holds "an error for $bad" '.error.message and .error.type' "$(ask /v1/completions "$bad")"
done
long=$(printf 'zq %.0s' $(seq 200))
holds "too long" '.error.code == "context_length_exceeded"' \
    "$(ask /v1/completions "{\"prompt\": \"$long\"}")"
[ "$(curl -s -o /dev/null -w '%{http_code}' "$url/v1/completions" -d '{"prompt": "a"}')" = 415 ] || fail "a form is taken"
[ "$(curl -s -o /dev/null -w '%{http_code}' -H 'Host: evil.example' "$url/v1/models")" = 403 ] || fail "another name is taken"

# The real client, and the crowd.
node tests/system/lib/serve_client.mjs "$url" >"$dir/client.log" 2>&1 || fail "the openai package: $(cat "$dir/client.log")"
resident() { awk '/^VmRSS/ { print $2 }' /proc/$server/status; }
python3 tests/system/lib/serve_crowd.py "$url" 100 2 >"$dir/crowd.log" 2>&1 || fail "the crowd: $(cat "$dir/crowd.log")"
before=$(resident)
python3 tests/system/lib/serve_crowd.py "$url" 100 3 >"$dir/crowd.log" 2>&1 || fail "the crowd: $(cat "$dir/crowd.log")"
idle() { curl -s "$url/metrics" | grep -q '^tacit_serve_texts_active 0$' && curl -s "$url/metrics" | grep -q '^tacit_serve_texts_waiting 0$'; }
until_true idle || fail "texts nobody waits for go on"
after=$(resident)
[ $((after - before)) -lt 12288 ] || fail "memory grows: $before kB, then $after kB"
[ "$after" -lt $((64 * 1024 + 40 * 1024)) ] || fail "$after kB are more than --memory 64M and the program"
[ "$(ask /v1/completions "{\"prompt\": \"$prompt\", \"max_tokens\": 20, \"temperature\": 0}" | jq -r '.choices[0].text')" = "$text" ] ||
    fail "another answer after the crowd"

# SIGTERM: answers finish, others are refused.
ask /v1/completions '{"prompt": "aei", "max_tokens": 60, "n": 16, "temperature": 0}' >"$dir/last.json" &
asking=$!
active() { ! curl -s "$url/metrics" | grep -q '^tacit_serve_answers_total 0$'; }
until_true active
kill -TERM $server
wait $asking
wait $server
code=$?
[ $code = 0 ] || fail "serve ended with $code"

# A folder alone; two experts mixed, keys.
tacit export letters "$dir/exported" --format safetensors >"$dir/export.log" 2>&1 || fail "no export"
echo "sesame" >"$dir/keys"
server "$dir/exported" --experts 2 --mix log-linear --api-keys "$dir/keys" --reroute 8
[ "$(curl -s -o /dev/null -w '%{http_code}' "$url/v1/models")" = 401 ] || fail "no key is needed"
holds "a mixture" '.choices[0].message.content' "$(curl -sS "$url/v1/chat/completions" -H 'Authorization: Bearer sesame' \
    -H 'Content-Type: application/json' -d '{"messages": [{"role": "user", "content": "kt px"}], "max_tokens": 20}')"
kill -TERM $server
wait $server || fail "serve ended with $?"
"$BIN/tacit" serve letters --listen 127.0.0.1:0 --memory 1M >"$dir/small.log" 2>&1 && fail "1 MB are enough"
grep -q "are not enough" "$dir/small.log" || fail "the memory needed is not said"

said=$(printf 'kt px\n/seed 3\n12 3\n/help\n' | tacit chat letters --tokens 10)
[ "$(grep -c '^\[expert [0-9]' <<<"$said")" = 2 ] || fail "chat: $said"
grep -q "Ctrl-C" <<<"$said" || fail "chat does not help: $said"
echo "serve: ok"
