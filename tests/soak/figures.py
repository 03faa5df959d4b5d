#!/usr/bin/env python3
"""What a soak came to.

usage: figures.py watch FILE               appends "TIME WAITING LEASED" of agents' jobs, four times a
                                           second, until it is ended (TACIT_URL, TACIT_TOKEN_FILE)
       figures.py goodput FOLDER PHASE [P] prints goodput of the runs called PHASE-…; FOLDER has
                                           data/tacit.db and PHASE.watch, and in PHASE.lives a line
                                           "AGENT BEGIN END" for each stretch that an agent lived;
                                           exits with 1 where P is given and it is below P percent

Goodput is the time that published results took, of all the time that agents were alive; time in
which an agent had nothing to do, as there was no job to take, is left out and told beside it. A
result tells the time since its job was begun or gone on with; for jobs of several attempts it is
reckoned from the tokens, at the rate of those of one.
"""
import bisect
import json
import os
import sqlite3
import sys
import time
import urllib.request

AGENTS = (0, 1, 3, 4, 5)  # kinds of jobs that agents do for a run


def jobs(state):
    token = open(os.environ["TACIT_TOKEN_FILE"]).read().strip()
    request = urllib.request.Request(
        os.environ["TACIT_URL"] + "/v1/jobs?limit=100&state=" + state,
        headers={"Authorization": "Bearer " + token})
    listed = json.loads(urllib.request.urlopen(request, timeout=2).read())
    return sum(j["kind"] not in ("assign", "report", "replay") for j in listed)


def watch(path):
    with open(path, "a", buffering=1) as out:
        while True:
            try:
                out.write("%.3f %d %d\n" % (time.time(), jobs("waiting"), jobs("leased")))
            except (OSError, ValueError):
                pass  # the coordinator is dead just now
            time.sleep(0.25)


def useful_seconds(folder, phase):
    connection = sqlite3.connect("file:%s/data/tacit.db?mode=ro" % folder, uri=True)
    rows = connection.execute(
        "SELECT kind, target, seconds, tokens,"
        " (SELECT count(*) FROM attempt WHERE attempt.job = job.id)"
        " FROM job JOIN run ON run.id = job.run"
        " WHERE run.name LIKE ? AND job.state = 2 AND kind IN (%s)" % ",".join("?" * len(AGENTS)),
        (phase + "-%", *AGENTS)).fetchall()
    rates, total, again = {}, 0.0, 0
    for kind, target, seconds, tokens, attempts in rows:
        if attempts == 1 and tokens > 0 and seconds > 0:
            rates.setdefault((kind, target), []).append(tokens / seconds)
    for kind, target, seconds, tokens, attempts in rows:
        known = sorted(rates.get((kind, target), []))
        if attempts > 1:
            again += 1
            if tokens > 0 and known:
                seconds = tokens / known[len(known) // 2]
        total += seconds
    return total, len(rows), again


def goodput(folder, phase, wanted=None):
    base = "%s/%s." % (folder, phase)
    lives = [tuple(map(float, line.split()[1:])) for line in open(base + "lives")]
    samples = [tuple(map(float, line.split())) for line in open(base + "watch")]
    alive = sum(end - begin for begin, end in lives)
    begins, ends = sorted(b for b, _ in lives), sorted(e for _, e in lives)
    idle = 0.0
    for (at, waiting, leased), (following, _, _) in zip(samples, samples[1:]):
        living = bisect.bisect_right(begins, at) - bisect.bisect_right(ends, at)
        if waiting == 0:
            idle += max(0, living - leased) * min(following - at, 1.0)
    useful, results, again = useful_seconds(folder, phase)
    print("%s: goodput %.1f %%: results that took %.0f s, of %.0f s that agents lived with work to do"
          " (and %.0f s with none; %.1f %% of all)"
          % (phase, 100 * useful / (alive - idle), useful, alive - idle, idle, 100 * useful / alive))
    print("  %d lives of %.1f s on average; %d results, %d of them begun more than once"
          % (len(lives), alive / len(lives), results, again))
    if wanted is not None:
        enough = 100 * useful >= float(wanted) * (alive - idle)
        print("  goodput wanted: at least %s %%: %s" % (wanted, "met" if enough else "MISSED"))
        sys.exit(not enough)


if __name__ == "__main__":
    {"watch": watch, "goodput": goodput}[sys.argv[1]](*sys.argv[2:])
