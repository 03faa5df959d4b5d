#!/usr/bin/python3
"""Writes the golden files that tests/core/model/test_golden.c compares with, by PyTorch in float64.

Run from the top folder: /usr/bin/python3 tests/oracle/make_golden.py (apt: python3-torch).
The model is model_torch.py's: PyTorch's own operators, gradients from autograd, clipping and AdamW
from torch: nothing of the engine's arithmetic is repeated here. golden_muon_*: the layers' matrices
by Muon (core/model/optimizer.h), written here on PyTorch's products, the rest by torch's AdamW.

A file, little-endian:
    8 bytes  "TACGOLD1"
    uint32   vocab seq hidden layers heads ffn batch length steps parameters
    double   beta1 beta2 epsilon weight_decay grad_clip, then learning_rate[steps]
    uint32   tokens[steps][batch][length]
    float32  parameters[parameters]          in the order of core/model/model.h
    float32  logits[batch][length][vocab]    of the first batch
    double   loss[steps], norm[steps]        before each step; norm before clipping
    float32  gradients[parameters]           of the first batch, not clipped
    float32  parameters_after[parameters]    after all steps
"""
import math
import struct
import sys

import torch
import torch.nn.functional as F

from model_torch import causal, head_of, hidden_of, optimizer_of, shapes

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)


def loss_of(c, p, tokens):
    logits = head_of(p, hidden_of(c, p, tokens, causal(c)))
    return logits, F.cross_entropy(logits[:, :-1].reshape(-1, c["vocab"]), tokens[:, 1:].reshape(-1))


def flat(tensors):
    return torch.cat([t.detach().reshape(-1) for t in tensors]).float().numpy().tobytes()


def muon_step(p, moment, rate, decay):
    """One step on a matrix whose gradient is p.grad; returns the new moment."""
    moment = 0.95 * moment + p.grad
    x = p.grad + 0.95 * moment
    x = x / (x.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    x = x.T if tall else x
    with torch.no_grad():
        p.mul_(1 - rate * decay).add_(x, alpha=-rate * 0.2 * math.sqrt(max(p.shape)))
    return moment


def make(path, seed, c, batch, length, steps, optimizer, muon=False):
    torch.manual_seed(seed)
    # Norm weights away from one and larger embeddings: every term of every gradient counts.
    p = {n: (1 + 0.3 * torch.randn(s) if len(s) == 1 else
             torch.randn(s) * (0.5 if n == "embed" else 1 / math.sqrt(s[1])))
         for n, s in shapes(c)}
    p = {n: t.float().double().requires_grad_() for n, t in p.items()}
    tokens = torch.randint(c["vocab"], (steps, batch, length))
    rates = [optimizer["rate"] * min(1.0, (i + 1) / 5) for i in range(steps)]
    out = [b"TACGOLD1", struct.pack("<10I", *(c[k] for k in (
        "vocab", "seq", "hidden", "layers", "heads", "ffn")), batch, length, steps,
        sum(t.numel() for t in p.values()))]
    out.append(struct.pack("<5d", 0.9, 0.99, optimizer["eps"], optimizer["decay"], optimizer["clip"]))
    out.append(struct.pack(f"<{steps}d", *rates))
    out.append(tokens.int().numpy().tobytes())
    out.append(flat(p.values()))
    matrices = [n for n, t in p.items() if muon and t.dim() == 2 and n != "embed"]
    moments = {n: torch.zeros_like(p[n]) for n in matrices}
    adam = optimizer_of({n: t for n, t in p.items() if n not in matrices}, optimizer["decay"],
                        optimizer["eps"])
    losses, norms, first = [], [], None
    for i in range(steps):
        for t in p.values():
            t.grad = None
        logits, loss = loss_of(c, p, tokens[i])
        loss.backward()
        if i == 0:
            out.append(flat([logits]))
            first = flat(t.grad for t in p.values())
        norms.append(torch.nn.utils.clip_grad_norm_(p.values(), optimizer["clip"]).item())
        losses.append(loss.item())
        for g in adam.param_groups:
            g["lr"] = rates[i]
        adam.step()
        for n in matrices:
            moments[n] = muon_step(p[n], moments[n], rates[i], optimizer["decay"])
    out += [struct.pack(f"<{steps}d", *losses), struct.pack(f"<{steps}d", *norms), first,
            flat(p.values())]
    with open(path, "wb") as f:
        f.write(b"".join(out))
    print(f"{path}: loss {losses[0]:.4f} -> {losses[-1]:.4f}, norm {norms[0]:.3f} -> {norms[-1]:.3f}")


folder = sys.argv[1] if len(sys.argv) > 1 else "tests/oracle"
make(f"{folder}/golden_even.bin", 1,
     dict(vocab=64, seq=16, hidden=16, layers=2, heads=2, ffn=48), 3, 12, 20,
     dict(rate=3e-3, eps=1e-8, decay=0.1, clip=1.0))
make(f"{folder}/golden_odd.bin", 2,
     dict(vocab=37, seq=19, hidden=18, layers=3, heads=3, ffn=29), 2, 17, 20,
     dict(rate=5e-3, eps=1e-6, decay=0.3, clip=0.7))
make(f"{folder}/golden_muon_even.bin", 3,
     dict(vocab=64, seq=16, hidden=16, layers=2, heads=2, ffn=48), 3, 12, 20,
     dict(rate=3e-3, eps=1e-8, decay=0.1, clip=1.0), muon=True)
make(f"{folder}/golden_muon_odd.bin", 4,
     dict(vocab=37, seq=19, hidden=18, layers=3, heads=3, ffn=13), 2, 17, 20,
     dict(rate=5e-3, eps=1e-6, decay=0.3, clip=0.7), muon=True)
