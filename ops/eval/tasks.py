#!/usr/bin/env python3
"""Makes tasks for `tacit eval` from the held-out documents of a corpus.

    ops/eval/tasks.py CORPUS OUT [--holdout 0.05] [--items 60] [--seed 1]

CORPUS: the JSONL files ({"text": …}) that were given to `tacit ingest`, or a folder of them; a file
is a domain. A document is held out as `tacit ingest --holdout` does it: where the first 64 bits of
its text's BLAKE2b-256, as a fraction, are below the share. So give the same share, and nothing that
is asked was trained on. Written to OUT, at most so many items a domain of each, the same ones for
the same seed:

    continuation.jsonl  which text goes on? The true one among three of the same domain
    language.jsonl      the same, the others from three other domains
    identifier.jsonl    code: which name stands here? Among three others of the same document
    heading.jsonl       prose: which heading comes next? Among three of other documents
    cloze.jsonl         the last word of a passage that has it before (LAMBADA's kind)
    text.jsonl          texts, for their perplexity

Every item's group is its domain.
"""
import argparse
import hashlib
import json
import os
import random
import re
import sys

PROMPT, ANSWER = 160, 48  # characters of a prompt and of an answer
WORD = re.compile(r"[^\W\d_]{4,}")
IDENTIFIER = re.compile(r"\b[A-Za-z_][A-Za-z0-9_]{3,}\b")
HEADING = re.compile(r"\n\n([^\W\d_][^\n]{3,58}[^\n.,;:{}()\[\]])\n(?=\n)")
CODE = re.compile(r"^(code|src|source)")


def held_out(text, share):
    digest = hashlib.blake2b(text.encode(), digest_size=32).digest()
    return int.from_bytes(digest[:8], "big") * 2.0**-64 < share


def read_domains(path, share):
    files = [path] if os.path.isfile(path) else sorted(
        os.path.join(path, f) for f in os.listdir(path) if f.endswith(".jsonl"))
    domains = {}
    for name in files:
        with open(name, encoding="utf-8") as f:
            texts = [json.loads(line)["text"] for line in f if line.strip()]
        texts = [t for t in texts if len(t) > 2 * (PROMPT + ANSWER) and held_out(t, share)]
        if texts:
            domains[os.path.splitext(os.path.basename(name))[0]] = texts
    return domains


def word_start(text, at):
    """The next beginning of a word, so that no answer starts within one."""
    while at < len(text) - 1 and not (text[at - 1].isspace() and not text[at].isspace()):
        at += 1
    return at


def passage(rng, texts):
    """(prompt, answer) from a random place of a random document; None where it is too blank."""
    text = rng.choice(texts)
    at = word_start(text, rng.randrange(PROMPT, len(text) - 2 * ANSWER))
    prompt, answer = text[at - PROMPT : at], text[at : at + ANSWER]
    if len(answer.split()) < 3 or len(prompt.split()) < 8:
        return None
    return prompt, answer


def choice(rng, prompt, right, wrong, group):
    choices = wrong[:]
    answer = rng.randrange(len(choices) + 1)
    choices.insert(answer, right)
    return {"prompt": prompt, "choices": choices, "answer": answer, "group": group}


def continuation(rng, name, domains):
    parts = [passage(rng, domains[name]) for _ in range(4)]
    if None in parts or len({p[1] for p in parts}) < 4:
        return None
    return choice(rng, parts[0][0], parts[0][1], [p[1] for p in parts[1:]], name)


def language(rng, name, domains):
    others = [d for d in domains if d != name]
    if len(others) < 3:
        return None
    parts = [passage(rng, domains[d]) for d in [name] + rng.sample(others, 3)]
    if None in parts:
        return None
    return choice(rng, parts[0][0], parts[0][1], [p[1] for p in parts[1:]], name)


def identifier(rng, name, domains):
    if not CODE.match(name):
        return None
    text = rng.choice(domains[name])
    found = [m for m in IDENTIFIER.finditer(text) if m.start() >= PROMPT]
    if len(found) < 8:
        return None
    m = rng.choice(found)
    prompt, right = text[m.start() - PROMPT : m.start()], m.group()
    wrong = sorted({w.group() for w in found} - {right})
    if right not in prompt or len(wrong) < 3:  # it must be one that the prompt has told
        return None
    return choice(rng, prompt, right, rng.sample(wrong, 3), name)


def heading(rng, name, domains):
    if CODE.match(name):
        return None
    text = rng.choice(domains[name])
    found = [m for m in HEADING.finditer(text) if m.start() >= PROMPT]
    wrong = [h for t in rng.sample(domains[name], min(8, len(domains[name]))) if t is not text
             for h in HEADING.findall(t)]
    if not found:
        return None
    m = rng.choice(found)
    wrong = sorted(set(wrong) - {m.group(1)})
    if len(wrong) < 3:
        return None
    return choice(rng, text[m.start(1) - PROMPT : m.start(1)], m.group(1), rng.sample(wrong, 3),
                  name)


def cloze(rng, name, domains):
    text = rng.choice(domains[name])
    found = [m for m in WORD.finditer(text) if m.start() >= PROMPT]
    if not found:
        return None
    m = rng.choice(found)
    prompt = text[m.start() - PROMPT : m.start()]
    if m.group() not in prompt or not prompt[-1].isspace():
        return None
    # The space goes with the word, as a tokenizer's pieces have it.
    end = len(prompt.rstrip(" "))
    return {"prompt": prompt[:end], "target": prompt[end:] + m.group(), "group": name}


def text_item(rng, name, domains):
    text = rng.choice(domains[name])
    at = word_start(text, rng.randrange(0, len(text) - PROMPT) or 1)
    return {"text": text[at : at + 400], "group": name} if len(text) - at > 100 else None


TASKS = {"continuation": continuation, "language": language, "identifier": identifier,
         "heading": heading, "cloze": cloze, "text": text_item}


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("corpus")
    p.add_argument("out")
    p.add_argument("--holdout", type=float, default=0.05)
    p.add_argument("--items", type=int, default=60)
    p.add_argument("--seed", type=int, default=1)
    o = p.parse_args()
    domains = read_domains(o.corpus, o.holdout)
    if not domains:
        sys.exit("tasks.py: no document of %s is held out" % o.corpus)
    os.makedirs(o.out, exist_ok=True)
    for task, make in TASKS.items():
        count, groups = 0, 0
        with open(os.path.join(o.out, task + ".jsonl"), "w", encoding="utf-8") as f:
            for name in domains:
                rng = random.Random("%d %s %s" % (o.seed, task, name))
                seen = set()
                for _ in range(20 * o.items):  # some domains have few places that fit
                    item = make(rng, name, domains) if len(seen) < o.items else None
                    line = item and json.dumps(item, ensure_ascii=False)
                    if line and line not in seen:
                        seen.add(line)
                        f.write(line + "\n")
                count += len(seen)
                groups += bool(seen)
        print("%-13s %5d items of %d domains" % (task, count, groups))


if __name__ == "__main__":
    main()
