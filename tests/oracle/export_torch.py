#!/usr/bin/env python3
"""What PyTorch makes of exported weights, against our own engine: logits and perplexity of the
fixture (export_fixture.c), by the program that goes with every export (ops/cli/route.py); and by
transformers' Starcoder2ForCausalLM where that is installed.

usage: export_torch.py FIXTURE
"""
import importlib.util
import json
import math
import os
import sys

import numpy as np
import torch

spec = importlib.util.spec_from_file_location(
    "route", os.path.join(os.path.dirname(__file__), "../../ops/cli/route.py"))
route = importlib.util.module_from_spec(spec)
spec.loader.exec_module(route)

folder = sys.argv[1]
with open(os.path.join(folder, "reference.json")) as f:
    about = json.load(f)
logits = np.fromfile(os.path.join(folder, "logits.bin"), "<f4").reshape(-1, about["vocab"])
failed = False


def check(name, forward, within, logit_most):
    global failed
    at, loss, predictions, most, others = 0, 0.0, 0, 0.0, 0
    for text in about["texts"]:
        ids = text["ids"][: about["seq"]]
        got, ours = forward(ids), torch.from_numpy(logits[at : at + len(ids)])
        at += len(ids)
        most = max(most, float((got - ours).abs().max()))
        others += int((got.argmax(-1) != ours.argmax(-1)).sum())
        of = got.double().log_softmax(-1)
        for s in range(len(ids) - 1):
            loss -= float(of[s, ids[s + 1]])
            predictions += 1
    perplexity = math.exp(loss / predictions)
    off = abs(perplexity / about["perplexity"] - 1)
    print(f"{name}: perplexity {perplexity:.4f}, ours {about['perplexity']:.4f} "
          f"({100 * off:.4f} %), logits within {most:.1e}, {others} of {at} likeliest tokens differ")
    if off > within or (logit_most and (most > logit_most or others)):
        print(f"FAILED: {name}")
        failed = True


def main():
    torch.set_num_threads(1)
    for name, within, most in (("m.safetensors", 1e-3, 1e-3),
                               ("hf-f32/model.safetensors", 1e-3, 1e-3),
                               ("hf-bf16/model.safetensors", 1e-2, 0)):
        model = route.Model(os.path.join(folder, name), about)
        check("PyTorch, " + name, model.logits, within, most)
    tokenizer = route.Tokenizer(os.path.join(folder, "tokenizer.model"))
    for text in about["texts"]:
        if tokenizer.encode(text["text"]) != text["ids"] or \
                tokenizer.decode(text["ids"]) != text["text"]:
            print("FAILED: route.py: other ids or text of", repr(text["text"]))
            global failed
            failed = True
    try:
        from transformers import AutoModelForCausalLM
    except ImportError:
        print("transformers for Python is not installed: not tried")
    else:
        model = AutoModelForCausalLM.from_pretrained(os.path.join(folder, "hf-f32")).eval()
        check("transformers", lambda ids: model(torch.tensor([ids])).logits[0], 1e-3, 1e-3)
    sys.exit(failed)


if __name__ == "__main__":
    with torch.no_grad():
        main()
