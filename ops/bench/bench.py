#!/usr/bin/python3
"""make bench: ours beside peers and limits, measured in turns in one run, since machines drift.

usage: bench.py [ROW,…]   default: all. A name's beginning will do: train
       THREADS=n          of both sides (2, or what the machine has)
       TACIT_ISA=avx2     both sides without AVX-512

Prints a table and writes build/bench/results.json: a list of {name, ours, peer, ratio, limit_share,
unit, cpu, isa}. ratio is ours to the peer's, more is better; of memory and seconds less is better.
Exits with 1 where a row is void: the two sides did not compute the same, or one failed. A row that
misses the least that counts says so, and is no failure of the bench.
"""
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from rows import COMES_WITH, ROWS, void  # noqa: E402
from sides import BUILD, Failed, PYTHON, THREADS, cpu_flags, cpu_lines  # noqa: E402

# The least that counts, by what the processor has: ratios, and shares of the limit.
LEAST = {
    "amx": {"train/A": 2.0, "train/A/f32": 1.4, "train/B": 4, "train/C": 2.5, "score/B": 5},
    "avx512": {"train/A": 1.5, "train/A/f32": 1.4, "train/B": 3.5, "train/C": 2, "score/B": 4},
    "avx2": {"train/A": 1.3, "train/A/f32": 1.3, "train/B": 2.5, "train/C": 1.6, "score/B": 3},
}
LEAST_SHARE = {
    "amx": {"train/A": 0.6, "train/C": 0.6},
    "avx512": {"train/A": 0.8, "train/C": 0.8},
    "avx2": {"train/A": 0.8, "train/C": 0.8},
}
LEAST_ANYWHERE = {"pool/A": 0.92}
MOST = {"memory/C": 0.5}
MOST_SECONDS = {"demo": 180}

started = time.monotonic()


def say(text):
    print("[%3d s] %s" % (time.monotonic() - started, text), flush=True)


def instruction_set():
    """The one that our kernels choose."""
    sets = json.loads(subprocess.run([BUILD + "/bin/tacit-agent", "--capabilities", "--json"],
                                     stdout=subprocess.PIPE, check=True).stdout)
    return sets["isa"]


def column(isa):
    if isa.startswith("avx512"):
        return "amx" if "amx_bf16" in cpu_flags() else "avx512"
    return isa if isa in LEAST else None


def machine(isa):
    cpu = (cpu_lines("model name") or ["unknown"])[0]
    peer = subprocess.run([PYTHON, "-c", "import torch; print(torch.__version__)"],
                          stdout=subprocess.PIPE, text=True).stdout.strip()
    packages = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Version}\n", "python3-torch", "libdnnl2",
         "libopenblas0-pthread", "libxsmm-dev"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.split("\n")
    print("%s, %d processors, %s; %d threads a side" % (cpu, os.cpu_count(), isa, THREADS))
    print("peers: PyTorch %s (%s)" % (peer or "missing", ", ".join(filter(None, packages))))
    load = os.getloadavg()[0]
    if load > 0.5:
        print("others keep the machine busy (load %.1f): believe ratios only" % load)
    sys.stdout.flush()
    return cpu


def chosen(words):
    """ROWS in their order, those alone whose name, or that of one that comes with it, is meant."""
    if not words:
        return list(ROWS)
    wanted = []
    for word in words:
        names = [n for n in [*ROWS, *COMES_WITH] if n.startswith(word) or word.startswith(n + "/")]
        if not names:
            raise SystemExit("bench.py: no row %r; there are: %s" % (
                word, ", ".join([*ROWS, *COMES_WITH])))
        wanted += [COMES_WITH.get(n, n) for n in names]
    return [n for n in ROWS if n in wanted]


def verdicts(r, isa):
    """What the row needs, and whether it has it: (text, met) of each."""
    of, name = column(isa), r["name"]
    out = []
    if name.startswith("gemm/") and r["ratio"] is not None and not name.startswith("gemm/demo"):
        out.append(("≥ 1", r["ratio"] >= 1))
    if r.get("large"):
        out.append(("share ≥ 90 %", r["limit_share"] >= 0.9))
    least = LEAST.get(of, {}).get(name) or LEAST_ANYWHERE.get(name)
    if least:
        out.append(("≥ %g" % least, r["ratio"] >= least))
    if name in MOST:
        out.append(("≤ %g" % MOST[name], r["ratio"] <= MOST[name]))
    if name in MOST_SECONDS:
        out.append(("≤ %d s" % MOST_SECONDS[name], r["ours"] <= MOST_SECONDS[name]))
    share = LEAST_SHARE.get(of, {}).get(name)
    if share and r["limit_share"] is not None:
        out.append(("share ≥ %.0f %%" % (100 * share), r["limit_share"] >= share))
    return out


def number(x, unit):
    if x is None:
        return "-"
    if unit == "bytes":
        return "%.2f GB" % (x / 1e9)
    return "%.0f" % x if x >= 1000 else "%.3g" % x


def print_table(rows, isa):
    print("\n%-26s %10s %10s %7s %7s  %-9s %-26s %s" % (
        "", "ours", "peer", "ratio", "limit", "", "precision", "least that counts"))
    for r in rows:
        if r["void"]:
            print("%-26s VOID: %s" % (r["name"], r["void"]))
            continue
        words = ["%s: %s" % (text, "ok" if met else "missed") for text, met in verdicts(r, isa)]
        print("%-26s %10s %10s %7s %7s  %-9s %-26s %s" % (
            r["name"], number(r["ours"], r["unit"]), number(r["peer"], r["unit"]),
            "-" if r["ratio"] is None else "%.2f" % r["ratio"],
            "-" if r["limit_share"] is None else "%.0f %%" % (100 * r["limit_share"]),
            "" if r["unit"] == "bytes" else r["unit"], r["precision"], ", ".join(words)))


def main():
    names = chosen([w for w in ",".join(sys.argv[1:]).replace(" ", ",").split(",") if w])
    isa = instruction_set()
    cpu = machine(isa)
    rows = []
    for name in names:
        try:
            rows += ROWS[name](say)
        except Failed as e:
            rows.append(void(name, "", str(e)))
    keys = ("name", "ours", "peer", "ratio", "limit_share", "unit")
    with open(BUILD + "/bench/results.json", "w") as f:
        json.dump([{**{k: r[k] for k in keys}, "cpu": cpu, "isa": isa} for r in rows], f, indent=1)
    print_table(rows, isa)
    return 1 if any(r["void"] for r in rows) else 0


signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
signal.signal(signal.SIGALRM, lambda *_: sys.exit("bench.py: a side hangs"))
signal.alarm(3600)
sys.exit(main())
