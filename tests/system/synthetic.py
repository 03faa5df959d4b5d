#!/usr/bin/env python3
"""Talks to a coordinator as the format and protocol descriptions say, with nothing of tacit's own
code: publishes a small made-up data set, creates runs, waits for them, prints digests.

usage: synthetic.py dataset|run NAME SPEC|state NAME|wait NAME [SECONDS]|digests NAME|jobs NAME
       (TACIT_URL and TACIT_TOKEN_FILE as for the command line)
"""
import hashlib
import json
import os
import random
import struct
import sys
import time
import urllib.error
import urllib.request

VOCAB, SEQ, PER_SHARD = 64, 64, 8192
LANGUAGES = 4


def call(method, path, body=None, headers=None):
    token = open(os.environ["TACIT_TOKEN_FILE"]).read().strip()
    request = urllib.request.Request(os.environ["TACIT_URL"] + path, data=body, method=method)
    request.add_header("Authorization", "Bearer " + token)
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    try:
        return urllib.request.urlopen(request, timeout=60).read()
    except urllib.error.HTTPError as e:
        raise SystemExit("%s %s: %d %s" % (method, path, e.code, e.read().decode()))


def call_json(method, path, value=None):
    body = None if value is None else json.dumps(value).encode()
    return json.loads(call(method, path, body, {"Content-Type": "application/json"}) or b"null")


def put(data):
    digest = hashlib.blake2b(data, digest_size=32).hexdigest()
    call("PUT", "/v1/blobs/" + digest, data,
         {"Upload-Length": str(len(data)), "Upload-Offset": "0",
          "Content-Type": "application/octet-stream"})
    return digest


def sequence(rng):
    """Sentences of one of a few languages, each with words of its own."""
    language = rng.randrange(LANGUAGES)
    base, step = 16 * language, rng.choice((1, 3))
    return language, [base + (i * step + (rng.random() < 0.2)) % 16 for i in range(SEQ)]


def shard(rng, count, tokenizer):
    tokens, labels = [], []
    for _ in range(count):
        label, seq = sequence(rng)
        labels.append(label)
        tokens += seq
    data = struct.pack("<8s6I", b"TACSHRD1", count, SEQ, VOCAB, 2, LANGUAGES, 0)
    data += bytes.fromhex(tokenizer) + struct.pack("<%dH" % len(tokens), *tokens)
    data += b"\0" * (-len(data) % 8)
    data += struct.pack("<%dI" % count, *[SEQ - 1] * count) + bytes(labels)
    return {"digest": put(data), "bytes": len(data), "sequences": count}


def dataset():
    rng = random.Random(5)
    tokenizer = put(b"no tokenizer is needed for made-up tokens")
    train = [shard(rng, n, tokenizer) for n in (PER_SHARD, PER_SHARD, 1000)]
    held = [shard(rng, 300, tokenizer)]
    call_json("POST", "/v1/datasets", {
        "name": "synthetic", "vocab": VOCAB, "seq": SEQ, "tokenizer": tokenizer,
        "tokenizer_bytes": 41, "train": train, "heldout": held,
        "labels": [{"name": "language-%d" % i} for i in range(LANGUAGES)],
        "train_sequences": sum(s["sequences"] for s in train), "heldout_sequences": 300,
        "train_text_bytes": sum(s["sequences"] for s in train) * SEQ,
        "heldout_text_bytes": 300 * SEQ, "documents": 1, "skipped": 0})


def run(name, spec):
    text = open(spec).read().replace("NAME", name)
    call_json("POST", "/v1/runs", {"spec": text, "file": spec, "dry_run": False})


def state(name):
    print(call_json("GET", "/v1/runs/" + name)["state"])


def wait(name, seconds=300):
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        try:
            r = call_json("GET", "/v1/runs/" + name)
        except OSError:
            r = None  # the coordinator is being started again
        if r and r["state"] == "done":
            return
        if r and r["state"] != "active":
            raise SystemExit("run %s is %s: %s" % (name, r["state"], r.get("reason")))
        time.sleep(0.1)
    raise SystemExit("run %s took more than %s s; its jobs: %s" % (
        name, seconds, call("GET", "/v1/jobs?run=" + name).decode()))


def digests(name):
    r = call_json("GET", "/v1/runs/%s/report" % name)
    dense = [kind for kind in ("dense", "dense_flops") if r.get(kind)]
    for kind in dense:
        print(kind, r[kind]["digest"])
    for e in r["experts"]:
        print("expert", e["index"], e["digest"])
    for e in r["routers"]:
        print("router", e["index"], e["digest"])
    print("perplexity", *[r[kind]["perplexity"] for kind in dense + ["mixture"]])


def jobs(name):
    for j in call_json("GET", "/v1/jobs?run=%s&limit=1000" % name):
        print(j["kind"], j["state"], j["attempts"], j["failures"], j.get("reason") or "")


if __name__ == "__main__":
    {"dataset": dataset, "run": run, "state": state, "wait": wait, "digests": digests,
     "jobs": jobs}[sys.argv[1]](*sys.argv[2:])
