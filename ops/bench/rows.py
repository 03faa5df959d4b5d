"""The rows of bench.py. Each function measures and returns rows: dicts of name, ours, peer, ratio,
limit_share, unit, and for the table precision (of each side) and void, the reason where a row is
none."""
from statistics import median

from sides import Data, THREADS

PRECISIONS = ("f32", "bf16")

# How far losses of both sides may lie apart, relative. float32: sums in another order differ by
# some 1e-6; AdamW's first steps, which move every weight by about the same whatever its gradient's
# size, make more of it. bf16: PyTorch rounds what leaves a product, too, and attention's weights;
# ours rounds factors alone. A wrong mask, position or decay shows in the first or second digit.
TOLERANCE = {"f32": 1e-5, "bf16": 1e-3}


def row(name, ours, peer, unit, **more):
    out = {"name": name, "ours": ours, "peer": peer, "ratio": ours / peer if peer else None,
           "limit_share": None, "unit": unit, "precision": "", "void": None}
    out.update(more)
    return out


def void(name, unit, reason):
    return row(name, None, None, unit, void=reason)


def differ(mine, theirs, precision):
    """Why the two sides' losses, at the start and at the end, are not those of one model; or None."""
    for when, i in (("at the start", 0), ("at the end", -1)):
        if not abs(mine[i] - theirs[i]) <= TOLERANCE[precision] * abs(theirs[i]):
            return "%s losses %s: ours %.6f, peer's %.6f" % (precision, when, mine[i], theirs[i])
    return None


class Pair:
    """Ours and the peer's in one precision, in turns; the first turn is not timed."""

    def __init__(self, data, mode, precision, say):
        self.data, self.mode, self.precision, self.say = data, mode, precision, say

    def run(self, name, rounds, units, worth, warm=1):
        losses, times, peaks = {0: [], 1: []}, {0: [], 1: []}, []
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
            peaks = [ours.peak(), peer.peak()]
        self.rates = [median(times[0]), median(times[1])]
        self.losses, self.peaks = losses, peaks
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


def train(model, rounds, units, say):
    """One turn first, so that losses are compared at the start and after rounds · units steps."""
    tokens = {"A": 16 * 256, "B": 32 * 256, "C": 4 * 1024}[model]
    name = "train/" + model
    with Data(model, rounds * units + 1) as data:
        pairs = [Pair(data, "train", p, say).run(name, rounds, units, tokens) for p in PRECISIONS]
    return pairs, best_row(name, pairs, "tokens/s")


def train_a(say):
    pairs, best = train("A", 5, 4, say)
    f32 = pairs[0]
    if f32.void:
        return [best, void("train/A/f32", "tokens/s", f32.void)]
    return [best, row("train/A/f32", *f32.rates, "tokens/s", precision="f32 : f32")]


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
        pairs = [Pair(data, "score", p, say).run("score/B", 5, 2, 32 * 256) for p in PRECISIONS]
    return [best_row("score/B", pairs, "tokens/s")]


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


ROWS = {"train/A": train_a, "train/B": train_b, "train/C": train_c, "score/B": score_b,
        "pool/A": pool_a}
# Rows that come with another.
COMES_WITH = {"train/A/f32": "train/A", "memory/C": "train/C"}
if THREADS < 2:
    del ROWS["pool/A"]
