#!/usr/bin/python3
"""PyTorch's side of bench.py: the oracle's model (tests/oracle/model_torch.py) on the weights and
tokens that bench_rows wrote, as fast as this PyTorch has it.

    peer_torch.py train|score|decode MODEL PRECISION THREADS FOLDER
    peer_torch.py products PRECISION THREADS LIST        as bench_limits.c takes it

MODEL is L,H,A,S,V,batch; PRECISION f32 or bf16, which is autocast for training and scoring and
bfloat16 weights for decoding. Says {"ready": …} once all is loaded; then, for each line that names
a number of units (steps, batches, tokens, rounds), does so many and answers in one line of JSON.
"""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/oracle"))

import numpy  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from model_torch import angles, causal, head_of, hidden_of, optimizer_of, rotate, shapes  # noqa: E402

BATCH = 32  # products of one batch where each is a head's


class Side:
    def __init__(self, model, precision, threads, folder):
        numbers = [int(x) for x in model.split(",")]
        self.c = dict(zip(("layers", "hidden", "heads", "seq", "vocab"), numbers))
        self.c["ffn"] = 4 * self.c["hidden"]
        self.batch = numbers[5]
        self.bf16 = precision == "bf16"
        torch.set_num_threads(threads)
        torch.set_flush_denormal(True)
        flat = torch.from_numpy(numpy.fromfile(folder + "/weights.f32", dtype=numpy.float32))
        self.p, at = {}, 0
        for name, shape in shapes(self.c):
            size = numpy.prod(shape)
            self.p[name] = flat[at:at + size].reshape(shape).clone()
            at += size
        tokens = numpy.fromfile(folder + "/tokens.u32", dtype=numpy.int32).astype(numpy.int64)
        self.tokens = torch.from_numpy(tokens).view(-1, self.batch, self.c["seq"])

    def logits(self, tokens, attend, linear=F.linear):
        return head_of(self.p, hidden_of(self.c, self.p, tokens, attend, linear), linear)


class Train(Side):
    def __init__(self, *args):
        super().__init__(*args)
        for t in self.p.values():
            t.requires_grad_()
        self.adam = optimizer_of(self.p, 0.1, 1e-8)
        for g in self.adam.param_groups:
            g["lr"] = 1e-3
        self.attend = causal(self.c)
        self.step = 0

    def loss(self, tokens):
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            logits = self.logits(tokens[:, :-1], self.attend)
        # The mean of bfloat16 losses would have three digits: float32 from here on.
        return F.cross_entropy(logits.float().view(-1, self.c["vocab"]), tokens[:, 1:].reshape(-1))

    def one(self):
        tokens = self.tokens[self.step % len(self.tokens)]
        self.step += 1
        self.adam.zero_grad(set_to_none=True)
        loss = self.loss(tokens)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.p.values(), 1.0)
        self.adam.step()
        return loss.item()

    def run(self, units):
        return {"losses": [self.one() for _ in range(units)]}


class Score(Side):
    """The sum of the prefix's log-probabilities, a sequence; the prefix is all of it here."""

    def __init__(self, *args):
        super().__init__(*args)
        self.attend = causal(self.c)

    def one(self, tokens):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            logits = self.logits(tokens[:, :-1], self.attend).float()
            loss = F.cross_entropy(logits.view(-1, self.c["vocab"]), tokens[:, 1:].reshape(-1),
                                   reduction="none")
            return -loss.view(self.batch, -1).sum(1).mean().item()

    def run(self, units):
        return {"losses": [self.one(self.tokens[i % len(self.tokens)]) for i in range(units)]}


def one_row(x, w):
    """F.linear of one row: three times as fast in float32, slower in bfloat16."""
    return torch.mv(w, x.view(-1)).view(1, 1, -1)


class Decode(Side):
    """A token at a time after those in the key/value cache, which begins anew where it is full."""

    def __init__(self, *args):
        super().__init__(*args)
        if self.bf16:
            self.p = {n: t.bfloat16() for n, t in self.p.items()}
        kind = self.p["embed"].dtype
        a, d = self.c["heads"], self.c["hidden"] // self.c["heads"]
        self.cos, self.sin = (x.to(kind) for x in angles(self.c))
        self.keys, self.values = (torch.zeros(self.c["layers"], a, self.c["seq"], d, dtype=kind)
                                  for _ in "kv")
        self.scale = d ** -0.5
        self.at = 0

    def attend(self, layer, q, k, v):
        n = self.at + 1
        cos, sin = self.cos[self.at:n], self.sin[self.at:n]
        keys, values = self.keys[layer], self.values[layer]
        keys[:, self.at:n] = rotate(k[0], cos, sin)
        values[:, self.at:n] = v[0]
        weights = torch.bmm(rotate(q[0], cos, sin) * self.scale, keys[:, :n].transpose(1, 2))
        return torch.bmm(weights.softmax(-1), values[:, :n])[None]

    def run(self, units):
        logits = None
        with torch.no_grad():
            for _ in range(units):
                token = self.tokens[0, :1, self.at:self.at + 1]
                logits = self.logits(token, self.attend, F.linear if self.bf16 else one_row)
                self.at = (self.at + 1) % self.c["seq"]
        return {"losses": [-logits.float().log_softmax(-1)[0, 0, 0].item()]}


class Products:
    """Each product of a list (bench_limits.c) alone, in the precision: seconds of each."""

    def __init__(self, precision, threads, products):
        torch.set_num_threads(threads)
        kind = torch.bfloat16 if precision == "bf16" else torch.float32
        self.work = []
        for word in products.split():
            *sizes, what, mode = word.split(",")
            rows, inner, out = (int(x) for x in sizes)
            # A head's products come in batches.
            count = (BATCH,) if mode == "e" else ()
            x, y, w = (torch.randn(*count, *size).to(kind)
                       for size in ((rows, inner), (rows, out), (out, inner)))
            left, right = {"y": (x, w.transpose(-1, -2)), "x": (y, w),
                           "w": (y.transpose(-1, -2), x)}[what]
            self.work.append((left, right, BATCH if mode == "e" else 1))

    def one(self, left, right, count):
        torch.matmul(left, right)
        best, start = 1e9, time.perf_counter()
        now = start
        while now - start < 0.02:
            before = now
            torch.matmul(left, right)
            now = time.perf_counter()
            best = min(best, now - before)
        return best / count

    def run(self, _):
        with torch.no_grad():
            return {"PyTorch": [self.one(*w) for w in self.work]}


def main():
    mode, *words = sys.argv[1:]
    if mode == "products":
        side = Products(words[0], int(words[1]), words[2])
    else:
        model, precision, threads, folder = words
        side = {"train": Train, "score": Score, "decode": Decode}[mode](model, precision,
                                                                        int(threads), folder)
    print(json.dumps({"ready": "PyTorch " + torch.__version__}), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        answer = side.run(int(line))
        answer["seconds"] = time.perf_counter() - start
        print(json.dumps(answer), flush=True)


main()
