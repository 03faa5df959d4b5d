"""The rows of bench.py. Each function measures and returns rows: dicts of name, ours, peer, ratio,
limit_share, unit, and for the table precision (of each side) and void, the reason where a row is
none. More is better everywhere but in bytes and seconds; a ratio is how many times as good, of bytes
how many times as much."""
import json
import os
import shutil
import subprocess
from statistics import median

import limits
from sides import BUILD, Data, Failed, MODELS, THREADS, environment

PRECISIONS = ("f32", "bf16")

# How far losses of both sides may lie apart, relative, at every step. float32: sums in another order
# made 1.4e-7 at most in 20 steps of A; without rotary positions it is 1e-4 from the start. bf16:
# PyTorch rounds what leaves a product, too, and attention's weights; 2.4e-4 seen. That hides small
# mistakes, which the same programs' float32 losses show: both must agree for a row to count.
TOLERANCE = {"f32": 2e-6, "bf16": 1e-3}


def row(name, ours, peer, unit, **more):
    out = {"name": name, "ours": ours, "peer": peer, "ratio": ours / peer if peer else None,
           "limit_share": None, "unit": unit, "precision": "", "void": None}
    out.update(more)
    return out


def void(name, unit, reason):
    return row(name, None, None, unit, void=reason)


def differ(mine, theirs, precision):
    """Why the two sides' losses, from the first on, are not those of one model; or None."""
    for i, (a, b) in enumerate(zip(mine, theirs)):
        if not abs(a - b) <= TOLERANCE[precision] * abs(b):
            return "%s losses after %d steps: ours %.6f, peer's %.6f" % (precision, i, a, b)
    return None


class Pair:
    """Ours and the peer's in one precision, in turns; the first turn is not timed."""

    def __init__(self, data, mode, precision, say):
        self.data, self.mode, self.precision, self.say = data, mode, precision, say

    def run(self, name, rounds, units, worth, warm=1):
        losses, times = {0: [], 1: []}, {0: [], 1: []}
        with self.data.ours(self.mode, self.precision) as ours, \
                self.data.peer(self.mode, self.precision) as peer:
            for turn in range(rounds + 1):
                n = units if turn else warm
                for side, program in enumerate((ours, peer)):
                    answer = program.ask(n)
                    losses[side] += answer["losses"]
                    if turn:
                        times[side].append(n * worth / answer["seconds"])
                self.say("%s %s, turn %d of %d: %s" % (
                    name, self.precision, turn, rounds, "ours %.0f, PyTorch %.0f a second" % (
                        times[0][-1], times[1][-1]) if turn else "warm"))
                # PyTorch's heap never gives back and grows on; what it needs is there after the
                # second step, and no more than under the allocator's defaults.
                if turn <= 1:
                    peer_peak = peer.peak()
            self.peaks = [ours.peak(), peer_peak]
        self.rates = [median(times[0]), median(times[1])]
        self.void = differ(losses[0], losses[1], self.precision)
        return self


def best_row(name, pairs, unit, **more):
    """Each side's faster precision counts."""
    for p in pairs:
        if p.void:
            return void(name, unit, p.void)
    ours, peer = (max(pairs, key=lambda p: p.rates[side]) for side in (0, 1))
    return row(name, ours.rates[0], peer.rates[1], unit,
               precision="%s : %s" % (ours.precision, peer.precision), **more)


def tokens_of(model):
    _, _, _, seq, _, batch = (int(x) for x in MODELS[model].split(","))
    return seq * batch


def train(model, rounds, units, say):
    """One turn first, so that losses are compared at the start and after rounds · units steps."""
    tokens, name, pairs = tokens_of(model), "train/" + model, []
    with Data(model, rounds * units + 1) as data:
        for precision in PRECISIONS:
            pair = Pair(data, "train", precision, say).run(name, rounds, units, tokens)
            products = limits.products_seconds(model, precision, say)
            pair.share = products * pair.rates[0] / tokens
            pairs.append(pair)
    ours = max(pairs, key=lambda p: p.rates[0])
    return pairs, best_row(name, pairs, "tokens/s", limit_share=ours.share)


def train_a(say):
    pairs, best = train("A", 5, 4, say)
    f32 = pairs[0]
    if f32.void:
        return [best, void("train/A/f32", "tokens/s", f32.void)]
    return [best, row("train/A/f32", *f32.rates, "tokens/s", precision="f32 : f32",
                      limit_share=f32.share)]


def train_b(say):
    return [train("B", 4, 1, say)[1]]


def train_c(say):
    pairs, best = train("C", 3, 1, say)
    if best["void"]:
        return [best, void("memory/C", "bytes", best["void"])]
    # Ours in the precision that counts for speed; theirs in the one that takes less.
    ours = max(pairs, key=lambda p: p.rates[0])
    peer = min(pairs, key=lambda p: p.peaks[1])
    return [best, row("memory/C", ours.peaks[0], peer.peaks[1], "bytes",
                      precision="%s : %s" % (ours.precision, peer.precision))]


def score_b(say):
    with Data("B", 4) as data:
        pairs = [Pair(data, "score", p, say).run("score/B", 5, 2, tokens_of("B"))
                 for p in PRECISIONS]
    return [best_row("score/B", pairs, "tokens/s")]


def decode_a(say):
    """Tokens of one sequence after each other, through the whole length of its cache."""
    layers, hidden, _, seq, vocab, _ = (int(x) for x in MODELS["A"].split(","))
    with Data("A", 1) as data:
        pairs = [Pair(data, "decode", p, say).run("decode/A", 5, seq, 1, warm=seq)
                 for p in PRECISIONS]
    ours = max(pairs, key=lambda p: p.rates[0])
    # What a token must read: every parameter, in bf16 half of its bytes; keys and values so far.
    parameters = vocab * hidden + layers * 12 * hidden * hidden
    size = parameters * (2 if ours.precision == "bf16" else 4) + layers * hidden * seq * 4
    return [best_row("decode/A", pairs, "tokens/s",
                     limit_share=size * ours.rates[0] / limits.bandwidth(say))]


def serve_16(say):
    """Sixteen texts that one expert continues together, beside one alone, in the precision that is
    faster for one: what a server gains by answering all at once."""
    best = None
    for precision in PRECISIONS:
        done = subprocess.run([BUILD + "/bench/bench_decode", str(THREADS), precision, "A"],
                              stdout=subprocess.PIPE, text=True, env=environment(THREADS, False))
        if done.returncode:
            raise Failed("bench_decode: exit code %d" % done.returncode)
        words = done.stdout.split()
        one, all16 = (float(words[words.index(k) + 1]) for k in ("tokens_s", "of_16"))
        say("serve/16 %s: %.0f tokens/s together, %.0f alone" % (precision, all16, one))
        best = max(best or (0, 0, ""), (one, all16, precision))
    return [row("serve/16", best[1], best[0], "tokens/s", precision="%s : ours, 1 text" % best[2])]


def pool_a(say):
    """Two threads of one engine beside two one-thread processes that run at the same time."""
    rates = {1: [], 2: []}
    with Data("A", 20) as data, data.ours("train", "bf16", 2) as both, \
            data.ours("train", "bf16", 1) as one, data.ours("train", "bf16", 1) as other:
        for turn in range(4):
            rates[2].append(4 * 4096 / both.ask(4)["seconds"])
            for side in (one, other):
                side.begin(2)
            rates[1].append(sum(2 * 4096 / side.answer()["seconds"] for side in (one, other)))
            say("pool/A, turn %d of 3: one engine %.0f, two processes %.0f tokens/s" % (
                turn, rates[2][-1], rates[1][-1]))
    return [row("pool/A", median(rates[2][1:]), median(rates[1][1:]), "tokens/s",
                precision="bf16 : ours, 2 × 1 thread")]


def json_lines(command, threads=THREADS):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment(threads, False))
    if done.returncode:
        raise Failed("%s: exit code %d" % (" ".join(command), done.returncode))
    return [json.loads(line) for line in done.stdout.splitlines()]


def gemm(say):
    """One thread; the peer is the better of OpenBLAS and libxsmm, the limit multiply-adds on
    registers alone. No library here multiplies bf16."""
    say("gemm: products of one thread (about a minute)")
    out = []
    for p in json_lines([BUILD + "/bench/bench_kernels", "", "--json"], 1):
        name = "gemm/%s/%s" % (p["of"].replace(", ", "-").replace(" = ", "").replace(" ", "-"),
                               p["kind"])
        library = max(("OpenBLAS", "libxsmm"), key=lambda k: p[k])
        out.append(row(name, p["f32"] / 1e9, p[library] / 1e9 or None, "GFLOP/s",
                       ratio=p["ratio"] or None, limit_share=p["share"],
                       precision="f32 : " + library, large=min(p["rows"], p["in"], p["out"]) > 250))
        out.append(row(name + "/bf16", p["bf16"] / 1e9, None, "GFLOP/s",
                       limit_share=p["bf16_share"], precision="bf16"))
    return out


def assign(say):
    """Beside qsort of the sequences' maxima, which is the least that anyone has to do."""
    say("assign/1e7x32: ten million sequences, 32 experts")
    times = json_lines([BUILD + "/bench/bench_assign", "10000000", "32", "--json"])[0]
    return [row("assign/1e7x32", times["seconds"], times["qsort"], "s",
                ratio=times["qsort"] / times["seconds"], precision="qsort of maxima")]


def demo(say):
    """`make demo` once packages and programs are there, from nothing: its own folder."""
    folder, log = BUILD + "/bench/demo", BUILD + "/bench/demo.log"
    shutil.rmtree(folder, ignore_errors=True)
    say("demo: a fresh one, in %s; what it says is in %s (minutes)" % (folder, log))
    env = dict(environment(1, False), DEMO=folder, BIN=BUILD + "/bin", SEED="1")
    with open(log, "w") as out:
        start = os.times().elapsed
        code = subprocess.run(["ops/demo/demo.sh"], stdout=out, stderr=out, env=env).returncode
        seconds = os.times().elapsed - start
    if code:
        raise Failed("demo: exit code %d, see %s" % (code, log))
    shutil.rmtree(folder)
    return [row("demo", seconds, None, "s")]


ROWS = {"train/A": train_a, "train/B": train_b, "train/C": train_c, "score/B": score_b,
        "decode/A": decode_a, "serve/16": serve_16, "pool/A": pool_a, "gemm": gemm, "assign/1e7x32": assign,
        "demo": demo}
# Rows that come with another.
COMES_WITH = {"train/A/f32": "train/A", "memory/C": "train/C"}
if THREADS < 2:
    del ROWS["pool/A"]
