#!/bin/bash
# A run's models as files, and files in a run's place: what would break for a user is a folder that
# is not the models (digests), that answers otherwise than the run, that half an export passes for
# a whole one, or figures that differ between run and folder.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh
for program in tacit tacitd tacit-agent; do
    [ -x "$BIN/$program" ] || {
        echo "$BIN/$program is not built"
        exit 77
    }
done
coordinator_first
export XDG_CACHE_HOME=$dir/cache TMPDIR=$dir/tmp
mkdir "$TMPDIR"
# expect CODE WORDS COMMAND…: exit code, and words somewhere in what it says (out or err).
expect() {
    local code=$1 words=$2 said got
    shift 2
    said=$("$@" 2>&1 </dev/null)
    got=$?
    [ $got = "$code" ] && grep -qF -- "$words" <<<"$said" ||
        fail "$* (exit $got, wanted $code, with \"$words\"): $said"
}

python3 - "$dir" <<'END'
import json, os, random, sys
random.seed(1)
os.makedirs(f"{sys.argv[1]}/text")
for kind, alphabet in {"soft": "aeioulmnr", "hard": "ktpxzqwgб"}.items():
    words = ["".join(random.choice(alphabet) for _ in range(random.randint(2, 6))) for _ in range(150)]
    with open(f"{sys.argv[1]}/text/{kind}.jsonl", "w") as f:
        for i in range(80):
            f.write(json.dumps({"text": " ".join(random.choice(words) for _ in range(400))}) + "\n")
END
tacit ingest letters "$dir/text" --vocab 400 --seq 32 --holdout 0.2 >/dev/null 2>&1 || fail "ingest"
cat >"$dir/spec.ini" <<'INI'
[run]
name = letters
dataset = letters
experts = 2
[router]
hidden = 8
layers = 1
heads = 2
prefix = 8
rounds = 2
sequences = 200
batch = 8
learning_rate = 1e-2
[expert]
hidden = 32
layers = 2
heads = 2
batch = 8
steps = 60
learning_rate = 5e-3
warmup = 5
[checkpoint]
publish_steps = 60
INI
tacit run create "$dir/spec.ini" >/dev/null || fail "run create"
expect 64 "has not been published yet" tacit export letters "$dir/early"
[ ! -e "$dir/early" ] || fail "an export that cannot be leaves a folder"
agent one
tacit run wait letters >/dev/null 2>&1 || fail "the run does not end"

# --- what is refused -----------------------------------------------------------------------------
expect 64 "exact one" tacit export letters "$dir/no" --type bf16
expect 64 "q8_0 is of the layout gguf" tacit export letters "$dir/no" --format hf --type q8_0
expect 64 "there are all, dense" tacit export letters "$dir/no" --model expert
expect 66 "no expert 7" tacit export letters "$dir/no" --model expert:7
expect 66 "no tacit.json" tacit export ./tests "$dir/no"
[ ! -e "$dir/no" ] || fail "a refused export leaves a folder"
mkdir "$dir/full" && touch "$dir/full/mine"
expect 64 "not empty" tacit export letters "$dir/full"

# --- a folder is the models ----------------------------------------------------------------------
expect 0 "5 models of run letters" tacit export letters "$dir/out"
expect 0 "1 model" tacit export letters "$dir/full" --force --model router:1
synthetic digests letters | awk '{ print $NF }' | sort >"$dir/published"
find "$dir/out" -name '*.safetensors' -exec b2sum -l 256 {} + | awk '{ print $1 }' | sort >"$dir/files"
[ -s "$dir/files" ] || fail "no files"
for digest in $(cat "$dir/files"); do
    grep -q "$digest" "$dir/published" || fail "a file has the digest $digest, which no model has"
    jq -e --arg d "$digest" '.models | any(.content == $d and .digest == $d)' "$dir/out/tacit.json" \
        >/dev/null || fail "tacit.json does not name $digest"
    grep -q "$digest" "$dir/out/README.md" || fail "README.md does not name $digest"
done
grep -q "Mixture and dense" "$dir/out/README.md" || fail "README.md has no figures"
for kind in "hf f32" "hf bf16" "gguf f32" "gguf q8_0"; do
    # shellcheck disable=SC2086 # two words are two arguments
    set -- $kind
    expect 0 "5 models" tacit export letters "$dir/$1-$2" --format "$1" --type "$2"
done
for file in config.json generation_config.json tokenizer.json tokenizer_config.json tokenizer.model \
    model.safetensors; do
    [ -s "$dir/hf-f32/router-1/$file" ] || fail "router-1 has no $file"
done

# --- a folder in a run's place, the coordinator gone ----------------------------------------------
cat >"$dir/task.jsonl" <<'END'
{"prompt":"aeiou lmn","choices":[" rael oum"," ktpx zq"],"answer":0,"group":"soft"}
{"prompt":"ktp xzq","choices":[" rael oum"," ktpx zq"],"answer":1,"group":"hard"}
{"prompt":"ktp","target":" xzq"}
{"text":"aeiou lmn ktp xzq бб"}
END
tacit sample letters "ktp xzq" --json | jq -c 'del(.run)' >"$dir/by-run"
tacit eval letters "$dir/task.jsonl" --experts 2 --json >"$dir/eval-run" 2>/dev/null || fail "eval"
kill -9 $tacitd
wait $tacitd 2>/dev/null
tacit sample "$dir/out" "ktp xzq" --json | jq -c 'del(.run)' >"$dir/by-folder"
[ -s "$dir/by-run" ] || fail "no answer"
cmp "$dir/by-run" "$dir/by-folder" || fail "run and folder answer differently"
tacit eval "$dir/out" "$dir/task.jsonl" --experts 2 --json >"$dir/eval-folder" 2>/dev/null ||
    fail "eval of a folder"
cmp "$dir/eval-run" "$dir/eval-folder" || fail "run and folder have different figures"
jq -e '.items == 4 and (.systems | length) == 5 and .systems[0].accuracy.value >= 0 and
    (.systems | all(.perplexity.value > 1))' "$dir/eval-run" >/dev/null || fail "eval's figures"
expect 0 "better on" tacit eval "$dir/out" "$dir/task.jsonl"
echo '{"prompt":1}' >"$dir/bad.jsonl"
expect 65 "bad.jsonl:1: no fields" tacit eval "$dir/out" "$dir/bad.jsonl"
tacit export "$dir/out" "$dir/again" --format gguf >/dev/null || fail "a folder is not exported"
cmp "$dir/again/expert-1.gguf" "$dir/gguf-f32/expert-1.gguf" || fail "the folder's GGUF differs"

# --- damage --------------------------------------------------------------------------------------
printf 'x' | dd of="$dir/out/experts/0.safetensors" bs=1 seek=5000 conv=notrunc 2>/dev/null
expect 65 "it was changed" tacit sample "$dir/out" "ktp xzq" --expert 0
rm "$dir/again/tacit.json"
expect 66 "not finished" tacit sample "$dir/again" "ktp"
exit 0
