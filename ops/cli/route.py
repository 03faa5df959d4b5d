#!/usr/bin/env python3
"""Routes a prompt and lets one expert answer, with NumPy and PyTorch alone.

    python3 route.py [--tokens N] [--temperature T] [--seed N] [--expert E | --dense] PROMPT
    python3 route.py --score FILE      # the text's perplexity by the expert it is routed to

Reads the folder it lies in (tacit.json), of `tacit export` in the layouts safetensors and hf. Short
rather than fast: no cache, every token reads its whole context.
"""
import argparse
import json
import math
import os
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))


# --- weights --------------------------------------------------------------------------------------
def load(path):
    """A safetensors file: u64 length, a JSON header, then the tensors' bytes."""
    with open(path, "rb") as f:
        (length,) = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(length))
        data = f.read()
    tensors = {}
    for name, t in header.items():
        if name == "__metadata__":
            continue
        begin, end = t["data_offsets"]
        if t["dtype"] == "BF16":
            half = np.frombuffer(data[begin:end], "<u2").astype(np.uint32) << 16
            values = half.view(np.float32)
        else:
            values = np.frombuffer(data[begin:end], "<f4").copy()
        tensors[name] = torch.from_numpy(values).reshape(t["shape"])
    return tensors


def our_names(t):
    """Weights of the layout hf under the names of the layout safetensors."""
    if "embed.weight" in t:
        return t
    out = {"embed.weight": t["model.embed_tokens.weight"], "norm.weight": t["model.norm.weight"]}
    names = {"input_layernorm": "norm1", "post_attention_layernorm": "norm2",
             "self_attn.o_proj": "attn.out", "mlp.c_fc": "ffn.up", "mlp.c_proj": "ffn.down"}
    layer = 0
    while f"model.layers.{layer}.input_layernorm.weight" in t:
        theirs, ours = f"model.layers.{layer}.", f"layers.{layer}."
        for name, our in names.items():
            out[ours + our + ".weight"] = t[theirs + name + ".weight"]
        out[ours + "attn.qkv.weight"] = torch.cat(
            [t[theirs + f"self_attn.{part}_proj.weight"] for part in "qkv"])
        layer += 1
    return out


class Model:
    def __init__(self, path, shape):
        self.w = our_names(load(path))
        self.layers, self.heads, self.hidden = shape["layers"], shape["heads"], shape["hidden"]

    def logits(self, ids):
        """Logits (length, V) of what follows each token."""
        w, n, d = self.w, len(ids), self.hidden // self.heads
        turn = torch.outer(torch.arange(n).double(),
                           10000.0 ** (-torch.arange(d // 2).double() / (d // 2)))
        cos, sin = torch.cos(turn).float(), torch.sin(turn).float()

        def rotate(x):  # (heads, n, d): dimension i turns with i + d/2
            a, b = x[..., : d // 2], x[..., d // 2 :]
            return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

        def norm(x, name):
            return F.layer_norm(x, (self.hidden,), w[name + ".weight"], eps=1e-5)

        ahead = torch.full((n, n), -math.inf).triu(1)
        x = w["embed.weight"][torch.tensor(ids)]
        for layer in range(self.layers):
            at = f"layers.{layer}."
            q, k, v = (norm(x, at + "norm1") @ w[at + "attn.qkv.weight"].T).reshape(
                n, 3, self.heads, d).permute(1, 2, 0, 3)
            scores = rotate(q) @ rotate(k).transpose(1, 2) / math.sqrt(d) + ahead
            mixed = (scores.softmax(-1) @ v).transpose(0, 1).reshape(n, self.hidden)
            x = x + mixed @ w[at + "attn.out.weight"].T
            h = norm(x, at + "norm2") @ w[at + "ffn.up.weight"].T
            h = 0.5 * h * (1 + torch.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3)))
            x = x + h @ w[at + "ffn.down.weight"].T
        return norm(x, "norm") @ w["embed.weight"].T

    def log_probabilities(self, ids):
        """Of tokens 1… each given those before it."""
        of = self.logits(ids[:-1]).log_softmax(-1)
        return of[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]


# --- tokenizer ------------------------------------------------------------------------------------
def fields(data):
    """The fields of a message of protocol buffers: (number, value)."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
            continue
        size = varint() if tag & 7 == 2 else 8 if tag & 7 == 1 else 4
        yield tag >> 3, data[at : at + size]
        at += size


class Tokenizer:
    """SentencePiece's BPE with byte fallback and without rules for text before it."""

    def __init__(self, path):
        with open(path, "rb") as f:
            model = list(fields(f.read()))
        trainer = dict(fields(next(v for n, v in model if n == 2)))
        rules = dict(fields(next(v for n, v in model if n == 3)))
        if trainer.get(3) != 2 or rules.get(2) or rules.get(3, 1) or rules.get(4, 1):
            sys.exit("route.py: this tokenizer is no plain BPE: encode with SentencePiece itself")
        self.pieces, self.score = [], {}
        for n, v in model:
            if n == 1:
                piece = dict(fields(v))
                text, kind = piece[1].decode(), piece.get(3, 1)
                if kind == 1:
                    self.score[text] = struct.unpack("<f", piece.get(2, bytes(4)))[0]
                self.pieces.append((text, kind))
        self.ids = {text: i for i, (text, _) in enumerate(self.pieces)}

    def encode(self, text):
        """Line by line, since this merging takes time by the square of a line's length."""
        return [i for line in text.splitlines(keepends=True) for i in self.encode_line(line)]

    def encode_line(self, text):
        parts = list(text.replace(" ", "\u2581"))
        while True:  # the best pair, the first of equals
            pairs = [(-self.score[a + b], i) for i, (a, b) in enumerate(zip(parts, parts[1:]))
                     if a + b in self.score]
            if not pairs:
                break
            _, i = min(pairs)
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        ids = []
        for part in parts:
            if part in self.score:
                ids.append(self.ids[part])
            else:
                ids += [self.ids[f"<0x{byte:02X}>"] for byte in part.encode()]
        return ids

    def decode(self, ids):
        out = b""
        for text, kind in (self.pieces[i] for i in ids):
            if kind == 6:
                out += bytes([int(text[1:-1], 16)])
            elif kind != 3:
                out += text.replace("\u2581", " ").encode()
        return out.decode(errors="replace")


# --- the mixture ----------------------------------------------------------------------------------
class Mixture:
    def __init__(self, folder):
        with open(os.path.join(folder, "tacit.json")) as f:
            self.about = json.load(f)
        self.folder = folder
        self.tokenizer = Tokenizer(os.path.join(folder, "tokenizer.model"))
        self.seq = self.about["expert_model"]["seq"]

    def model(self, target, index=0):
        shape = self.about["router_model" if target == "router" else "expert_model"]
        for m in self.about["models"]:
            if (m["target"], m["index"]) == (target, index):
                return Model(os.path.join(self.folder, m["file"]), shape)
        sys.exit(f"route.py: {target} {index} was not exported")

    def route(self, ids):
        """The expert, and each router's score of the prefix."""
        if self.about["routing"] != "em":
            sys.exit("route.py: this run routes at random (a control): name one with --expert")
        prefix = ids[: self.about["prefix"]]
        if len(prefix) < 2:
            return 0, []
        scores = [float(self.model("router", r).log_probabilities(prefix).sum())
                  for r in range(self.about["experts"])]
        return max(range(len(scores)), key=lambda r: (scores[r], -r)), scores


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("prompt", nargs="?")
    p.add_argument("--tokens", type=int, default=64)
    p.add_argument("--temperature", type=float, default=0.8, help="0: always the likeliest token")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--expert", type=int)
    p.add_argument("--dense", action="store_true")
    p.add_argument("--score", metavar="FILE")
    o = p.parse_args()
    if (o.prompt is None) == (o.score is None):
        p.error("give a prompt, or --score FILE")
    m = Mixture(HERE)
    if o.score:
        with open(o.score, encoding="utf-8") as f:
            o.prompt = f.read()
    ids = m.tokenizer.encode(o.prompt)
    if not ids:
        sys.exit("route.py: the prompt is empty: there is nothing to route on")
    if o.dense:
        model = m.model("dense")
    else:
        expert, scores = (o.expert, []) if o.expert is not None else m.route(ids)
        print(f"expert {expert} answers", " ".join(f"{s:.2f}" for s in scores), file=sys.stderr)
        model = m.model("expert", expert)
    if o.score:
        losses = [model.log_probabilities(ids[i : i + m.seq]) for i in range(0, len(ids), m.seq)
                  if len(ids) - i > 1]
        if not losses:
            sys.exit("route.py: one token has no perplexity")
        print(f"perplexity {math.exp(-torch.cat(losses).double().mean()):.4f}")
        return
    torch.manual_seed(o.seed)
    prompt = len(ids)
    for _ in range(o.tokens):
        # What is read: all of it, or once that is too long, half of what the model reads.
        context = ids if len(ids) < m.seq else ids[-((m.seq + 1) // 2) :]
        last = model.logits(context)[-1]
        if o.temperature > 0:
            token = int(torch.multinomial((last / o.temperature).softmax(-1), 1))
        else:
            token = int(last.argmax())
        if token == m.about["end"]:
            break
        ids.append(token)
    print(o.prompt + m.tokenizer.decode(ids[prompt:]))


if __name__ == "__main__":
    with torch.no_grad():
        main()
