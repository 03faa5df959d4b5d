"""The model of core/model/model.h, written with PyTorch's own operators; gradients come from autograd.

make_golden.py computes the tests' golden files with it, in float64; ops/bench/peer_torch.py is the
same model as fast as PyTorch has it. c is a dict of vocab, seq, hidden, layers, heads, ffn; p names
the parameters as shapes() does, in the order in which the engine keeps them.
"""
import math

import torch
import torch.nn.functional as F


def shapes(c):
    v, h, f = c["vocab"], c["hidden"], c["ffn"]
    out = [("embed", (v, h))]
    for i in range(c["layers"]):
        out += [(f"{i}.norm1", (h,)), (f"{i}.qkv", (3 * h, h)), (f"{i}.out", (h, h)),
                (f"{i}.norm2", (h,)), (f"{i}.up", (f, h)), (f"{i}.down", (h, f))]
    return out + [("norm", (h,))]


def angles(c):
    """Rotary positions, base 10000: cosines and sines (S, D/2)."""
    d = c["hidden"] // c["heads"]
    frequency = 10000.0 ** (-torch.arange(0, d, 2) / d)
    angle = torch.arange(c["seq"])[:, None] * frequency[None, :]
    return angle.cos(), angle.sin()


def rotate(x, cos, sin):
    """Half-split: dimension i turns with i + D/2; x is (B, A, S, D)."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def causal(c):
    """An `attend` for hidden_of: every token over those up to it."""
    cos, sin = angles(c)
    mask = torch.full((c["seq"], c["seq"]), -math.inf).triu(1)
    scale = 1 / math.sqrt(c["hidden"] // c["heads"])

    def attend(layer, q, k, v):
        b, a, s, d = q.shape
        q, k = (rotate(x, cos[:s].to(x.dtype), sin[:s].to(x.dtype)).reshape(b * a, s, d)
                for x in (q, k))
        weights = torch.baddbmm(mask[:s, :s].to(q.dtype), q, k.transpose(1, 2), alpha=scale)
        return torch.bmm(weights.softmax(-1), v.reshape(b * a, s, d)).reshape(b, a, s, d)
    return attend


def hidden_of(c, p, tokens, attend, linear=F.linear):
    """What enters the head: (B, S, H). attend(layer, q, k, v) is given (B, A, S, D) each."""
    b, s = tokens.shape
    h, a = c["hidden"], c["heads"]
    x = F.embedding(tokens, p["embed"])
    for i in range(c["layers"]):
        y = F.layer_norm(x, (h,), p[f"{i}.norm1"], None, 1e-5)
        q, k, v = linear(y, p[f"{i}.qkv"]).view(b, s, 3, a, h // a).permute(2, 0, 3, 1, 4)
        y = attend(i, q, k, v).transpose(1, 2).reshape(b, s, h)
        x = x + linear(y, p[f"{i}.out"])
        y = F.layer_norm(x, (h,), p[f"{i}.norm2"], None, 1e-5)
        x = x + linear(F.gelu(linear(y, p[f"{i}.up"]), approximate="tanh"), p[f"{i}.down"])
    return F.layer_norm(x, (h,), p["norm"], None, 1e-5)


def head_of(p, hidden, linear=F.linear):
    return linear(hidden, p["embed"])


def optimizer_of(p, weight_decay, eps):
    """AdamW with decay on matrices alone; the caller sets each group's rate."""
    groups = [{"params": [t for t in p.values() if t.dim() == 2], "weight_decay": weight_decay},
              {"params": [t for t in p.values() if t.dim() == 1], "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.99), eps=eps)
