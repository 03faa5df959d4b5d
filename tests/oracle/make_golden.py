#!/usr/bin/python3
"""Writes the golden files that tests/core/model/test_golden.c compares with, by PyTorch in float64.

Run from the top folder: /usr/bin/python3 tests/oracle/make_golden.py (apt: python3-torch).
The model is written with PyTorch's own operators and gradients come from autograd, clipping and
AdamW from torch: nothing of the engine's arithmetic is repeated here.

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

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)


def shapes(c):
    v, h, f = c["vocab"], c["hidden"], c["ffn"]
    out = [("embed", (v, h))]
    for i in range(c["layers"]):
        out += [(f"{i}.norm1", (h,)), (f"{i}.qkv", (3 * h, h)), (f"{i}.out", (h, h)),
                (f"{i}.norm2", (h,)), (f"{i}.up", (f, h)), (f"{i}.down", (h, f))]
    return out + [("norm", (h,))]


def rotate(x):
    """Rotary positions, half-split, base 10000; x is (B, A, S, D)."""
    s, d = x.shape[-2:]
    frequency = 10000.0 ** (-torch.arange(0, d, 2) / d)
    angle = torch.arange(s)[:, None] * frequency[None, :]
    first, second = x[..., : d // 2], x[..., d // 2:]
    return torch.cat([first * angle.cos() - second * angle.sin(),
                      second * angle.cos() + first * angle.sin()], dim=-1)


def logits_of(c, p, tokens):
    b, s = tokens.shape
    h, a = c["hidden"], c["heads"]
    mask = torch.full((s, s), -math.inf).triu(1)
    x = p["embed"][tokens]
    for i in range(c["layers"]):
        y = F.layer_norm(x, (h,), p[f"{i}.norm1"], None, 1e-5)
        q, k, v = (t.reshape(b, s, a, h // a).transpose(1, 2)
                   for t in F.linear(y, p[f"{i}.qkv"]).split(h, dim=-1))
        weights = rotate(q) @ rotate(k).transpose(-1, -2) / math.sqrt(h // a) + mask
        y = (weights.softmax(-1) @ v).transpose(1, 2).reshape(b, s, h)
        x = x + F.linear(y, p[f"{i}.out"])
        y = F.layer_norm(x, (h,), p[f"{i}.norm2"], None, 1e-5)
        x = x + F.linear(F.gelu(F.linear(y, p[f"{i}.up"]), approximate="tanh"), p[f"{i}.down"])
    return F.linear(F.layer_norm(x, (h,), p["norm"], None, 1e-5), p["embed"])


def loss_of(c, p, tokens):
    logits = logits_of(c, p, tokens)
    return logits, F.cross_entropy(logits[:, :-1].reshape(-1, c["vocab"]), tokens[:, 1:].reshape(-1))


def flat(tensors):
    return torch.cat([t.detach().reshape(-1) for t in tensors]).float().numpy().tobytes()


def make(path, seed, c, batch, length, steps, optimizer):
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
    groups = [{"params": [t for t in p.values() if t.dim() == 2], "weight_decay": optimizer["decay"]},
              {"params": [t for t in p.values() if t.dim() == 1], "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.99), eps=optimizer["eps"])
    losses, norms, first = [], [], None
    for i in range(steps):
        adam.zero_grad()
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
