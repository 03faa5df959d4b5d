"""Limits of bench.py's rows, measured right after what they bound: a step's products alone, each by
the fastest of our kernels, OpenBLAS, libxsmm and PyTorch (which has oneDNN for bf16); and memory
bandwidth."""
from collections import Counter
from statistics import median

from sides import BUILD, HERE, MODELS, PYTHON, Side, THREADS

LIMITS = BUILD + "/bench/bench_limits"
PASSES = 3
CHUNKS = (255, 1020)  # rows of logits at a time: the faster counts


def step_products(model):
    """What a training step multiplies: how often each product comes, (rows, in, out, kind, mode) as
    bench_limits.c has it; the head apart, by rows at a time."""
    layers, h, heads, seq, vocab, batch = (int(x) for x in MODELS[model].split(","))
    s, d = seq - 1, h // heads
    rows, body, head = batch * s, Counter(), {}
    for kind in "yxw":
        for inner, out in ((h, 3 * h), (h, h), (h, 4 * h), (4 * h, h)):
            body[(rows, inner, out, kind, "a")] += layers
        # Attention: QKᵀ and its like, weights times values, and transposed, forward and backward;
        # of each the causal half. What a backward pass computes again is not counted.
        body[(s, d, s, kind, "e")] += 2 * layers * heads * batch * (s + 1) / (2 * s)
        for n in CHUNKS:
            head.setdefault(n, Counter())[(n, h, vocab, kind, "a")] += rows / n
    return body, head


def fastest(products, precision):
    """Seconds of each product by whoever is fastest at it, and how often that is whom."""
    words = " ".join(",".join(map(str, p)) for p in products)
    times = {}
    with Side([LIMITS, "products", precision, str(THREADS), words]) as ours, \
            Side([PYTHON, HERE + "/peer_torch.py", "products", precision, str(THREADS), words],
                 tuned=True) as peer:
        for _ in range(PASSES):
            for side in (ours, peer):
                for library, seconds in side.ask(1).items():
                    if library != "seconds":
                        times.setdefault(library, []).append(seconds)
    out = {}
    for i, p in enumerate(products):
        out[p] = min((median(t[i] for t in turns), library) for library, turns in times.items()
                     if turns[0][i] is not None)
    return out


def products_seconds(model, precision, say):
    """A step's products alone."""
    body, head = step_products(model)
    best = fastest([*body, *(p for c in head.values() for p in c)], precision)
    total = sum(n * best[p][0] for p, n in body.items())
    total += min(sum(n * best[p][0] for p, n in c.items()) for c in head.values())
    who = Counter(library for _, library in best.values())
    say("train/%s %s: products alone %.3f s a step, fastest by %s" % (
        model, precision, total, ", ".join("%s %d" % x for x in who.most_common())))
    return total


def bandwidth(say):
    """Bytes a second that all threads read together from memory."""
    with Side([LIMITS, "bandwidth", str(THREADS)]) as side:
        best = median(side.ask(2)["bytes_a_second"] for _ in range(5))
    say("memory: %.1f GB/s read by %d threads" % (best / 1e9, THREADS))
    return best
