#!/usr/bin/env python3
"""The coordinator as a queue, beside queues that people know, in one run and on one disk.

  1. Durable claims and completions a second at 1, 16 and 64 clients: tacitd over HTTP; beanstalkd,
     which syncs every write (a claim it does not write down); PostgreSQL, SKIP LOCKED, two commits a
     job. Jobs are there before the clock starts. Ours are score jobs of real runs: every completion
     is checked (the blob of scores is read), and makes what follows of its run due.
  2. How long a claim takes while 1 GiB is being uploaded, beside a bare loop of 4 KiB writes and
     fdatasync during such an upload: 99th percentiles.
  3. How fast a checkpoint's bytes are uploaded, beside writing them to a file with fsync.

usage: queues.py [PART…]   parts 1, 2, 3; default: all
       BENCH_DIR=DIR      where databases and files are (default: /var/tmp)
       BENCH_SECONDS=s    of each measurement of part 1 (2)

Systems take turns, three times each; medians are printed and kept in build/bench/queue.json. Exits
with 1 where part 2 or 3 misses what is wanted of it: a claim takes at most 3 times as long as the
bare loop, and an upload has at least 60 % of a file's speed.
"""
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

BUILD = os.environ.get("BUILD", "build")
CLIENT = BUILD + "/bench/queue_client"
SECONDS = float(os.environ.get("BENCH_SECONDS", "2"))
CLIENTS = (1, 16, 64)
ROUNDS = 3
VOCAB, SEQ, PARTS, PART = 64, 64, 64, 1024
PER_SHARD = (1 << 20) // (2 * SEQ)
PG = "/usr/lib/postgresql"
MIB = 1 << 20
CLAIM_RATIO, UPLOAD_RATIO = 3.0, 0.6


def free_port():
    with socket.socket() as s:
        for port in range(20000, 32000):
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise SystemExit("no port is free")


def client(*args):
    done = subprocess.run([CLIENT, *map(str, args)], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit("queue_client %s failed" % " ".join(map(str, args[:4])))
    return json.loads(done.stdout)


def wait_for(port, process, what):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
    raise SystemExit("%s does not start; see its log" % what)


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Tacit:
    name = "tacit"

    def __init__(self, folder):
        self.port = free_port()
        self.data = folder + "/tacit"
        log = open(folder + "/tacitd.log", "w")
        self.process = subprocess.Popen(
            [BUILD + "/bin/tacitd", "--data", self.data, "--listen", "127.0.0.1:%d" % self.port],
            stdout=log, stderr=log)
        wait_for(self.port, self.process, "tacitd")
        self.admin = open(self.data + "/admin.token").read().strip()
        self.join = open(self.data + "/join.token").read().strip()
        self.runs = 0

    def call(self, method, path, body=None, token=None):
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        request = urllib.request.Request("http://127.0.0.1:%d%s" % (self.port, path), data=body,
                                         method=method)
        request.add_header("Authorization", "Bearer " + (token or self.admin))
        try:
            return urllib.request.urlopen(request, timeout=60).read()
        except urllib.error.HTTPError as e:
            raise SystemExit("%s %s: %d %s" % (method, path, e.code, e.read().decode()))

    def put(self, data):
        digest = hashlib.blake2b(data, digest_size=32).hexdigest()
        self.call("PUT", "/v1/blobs/" + digest, data)
        return digest

    def agents(self, path, count):
        tokens = []
        for i in range(count):
            identity = hashlib.sha256(b"agent %d" % i).hexdigest()
            joined = self.call("POST", "/v1/agents",
                               {"identity": identity, "name": "agent-%d" % i, "threads": 1},
                               self.join)
            tokens.append(json.loads(joined)["token"])
        with open(path, "w") as out:
            out.write("\n".join(tokens))
        self.tokens = path
        self.agent = tokens[0]

    def shard(self, tokenizer, count):
        data = struct.pack("<8s6I", b"TACSHRD1", count, SEQ, VOCAB, 2, 1, 0)
        data += bytes.fromhex(tokenizer) + bytes(2 * SEQ * count)
        data += struct.pack("<%dI" % count, *[SEQ - 1] * count) + bytes(count)
        return {"digest": self.put(data), "bytes": len(data), "sequences": count}

    def dataset(self):
        """Equal shards: a data set may name the same blob again."""
        tokenizer = self.put(b"no tokenizer is needed for made-up tokens")
        shards = PARTS * PART // PER_SHARD
        train, held = self.shard(tokenizer, PER_SHARD), self.shard(tokenizer, 64)
        self.call("POST", "/v1/datasets", {
            "name": "bench", "vocab": VOCAB, "seq": SEQ, "tokenizer": tokenizer,
            "tokenizer_bytes": 41, "train": [train] * shards, "heldout": [held],
            "labels": [{"name": "all"}], "train_sequences": PARTS * PART, "heldout_sequences": 64,
            "train_text_bytes": PARTS * PART, "heldout_text_bytes": 64, "documents": 1})
        scores = struct.pack("<8sQII", b"TACSCOR1", PART, 2, 0)
        scores += struct.pack("<fHH", -1.0, 0, 0xbc00) * PART
        self.scores = {"role": "scores", "digest": self.put(scores), "bytes": len(scores)}

    def fill(self, jobs):
        """So many jobs that wait: runs that are scored in 64 parts each."""
        while jobs > 0:
            self.runs += 1
            spec = ("[run]\nname = bench-%d\ndataset = bench\nexperts = 2\n"
                    "[router]\nmode = random\nprefix = 8\n"
                    "[expert]\nhidden = 4\nlayers = 1\nheads = 1\nbatch = 8\nsteps = %d\n"
                    "chunk = %d\n[dense]\nenabled = no\n"
                    % (self.runs, PARTS * PART // 16, PARTS * PART))
            self.call("POST", "/v1/runs", {"spec": spec, "file": "bench.ini", "dry_run": False})
            jobs -= PARTS

    def work(self, clients, seconds):
        body = "\"outputs\":[%s],\"seconds\":1,\"tokens\":%d}" % (json.dumps(self.scores), PART * 8)
        return client("work", "tacit", self.port, clients, seconds, self.tokens, body)

    def stop(self):
        stop(self.process)


class Beanstalkd:
    name = "beanstalkd"

    def __init__(self, folder):
        self.port = free_port()
        self.log, self.folder = folder + "/beanstalkd.log", folder + "/beanstalkd"
        os.mkdir(self.folder)
        self.start("-F")

    def start(self, *sync):
        log = open(self.log, "a")
        self.process = subprocess.Popen(
            ["beanstalkd", "-l", "127.0.0.1", "-p", str(self.port), "-b", self.folder, *sync],
            stdout=log, stderr=log)
        wait_for(self.port, self.process, "beanstalkd")

    def fill(self, jobs):
        """Without syncing, and from then on with: only what is measured has to be durable."""
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            answers = s.makefile("rb")
            while jobs > 0:
                n = min(jobs, 1000)
                s.sendall(b"put 0 0 3600 200\r\n%s\r\n" % (b"x" * 200) * n)
                for _ in range(n):
                    if not answers.readline().startswith(b"INSERTED"):
                        raise SystemExit("beanstalkd refuses a job")
                jobs -= n
        stop(self.process)
        self.start("-f", "0")

    def work(self, clients, seconds):
        return client("work", "beanstalkd", self.port, clients, seconds)

    def stop(self):
        stop(self.process)


class PostgreSQL:
    name = "postgresql"
    CLAIM = ("PREPARE claim AS UPDATE job SET state = 1, worker = $1 WHERE id = (SELECT id FROM job"
             " WHERE state = 0 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id")
    COMPLETE = ("PREPARE complete AS UPDATE job SET state = 2, result = $3 WHERE id = $1"
                " AND worker = $2 AND state = 1 RETURNING id")

    def __init__(self, folder):
        version = max(os.listdir(PG), key=float)
        self.bin = "%s/%s/bin/" % (PG, version)
        self.port, self.data = free_port(), folder + "/postgresql"
        self.user = []
        if os.geteuid() == 0:
            os.chmod(folder, 0o711)
            self.user = ["runuser", "-u", "postgres", "--"]
        os.mkdir(self.data)
        if self.user:
            shutil.chown(self.data, "postgres")
        subprocess.run([*self.user, self.bin + "initdb", "-D", self.data, "-A", "trust", "-U",
                        "postgres", "-N"], check=True, stdout=subprocess.DEVNULL, cwd="/")
        log = open(folder + "/postgresql.log", "w")
        self.process = subprocess.Popen(
            [*self.user, self.bin + "postgres", "-D", self.data, "-p", str(self.port), "-k", "",
             "-c", "listen_addresses=127.0.0.1", "-c", "fsync=on", "-c", "synchronous_commit=on",
             "-c", "max_connections=100", "-c", "shared_buffers=256MB"],
            stdout=log, stderr=log, cwd="/")
        wait_for(self.port, self.process, "postgresql")
        self.sql("CREATE TABLE job (id bigserial PRIMARY KEY, state int NOT NULL DEFAULT 0,"
                 " worker int, result text, body text NOT NULL);"
                 "CREATE INDEX waiting ON job (id) WHERE state = 0")

    def sql(self, text):
        for _ in range(50):
            done = subprocess.run([self.bin + "psql", "-q", "-h", "127.0.0.1", "-p", str(self.port),
                                   "-U", "postgres", "-c", text], stderr=subprocess.PIPE, cwd="/")
            if done.returncode == 0:
                return
            time.sleep(0.1)
        raise SystemExit(done.stderr.decode())

    def fill(self, jobs):
        self.sql("INSERT INTO job (body) SELECT repeat('x', 200) FROM generate_series(1, %d)"
                 % jobs)
        self.sql("VACUUM ANALYZE job")

    def work(self, clients, seconds):
        return client("work", "postgresql", self.port, clients, seconds, self.CLAIM, self.COMPLETE)

    def stop(self):
        # The first INT asks for a fast shutdown; runuser passes it on.
        self.process.send_signal(signal.SIGINT if not self.user else signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            subprocess.run([*self.user, self.bin + "pg_ctl", "-D", self.data, "-m", "immediate",
                            "stop"], stdout=subprocess.DEVNULL, cwd="/")
            stop(self.process)


def median(values):
    return statistics.median(values)


def verdict(out, name, met):
    """The word for a line of the output; main() looks through out for what was missed."""
    out.append({"bench": name, "met": met})
    return "met" if met else "MISSED"


def part_1(folder, tacit, out):
    print("\ndurable claim + complete a second (medians of %d, %g s each; ratios to ours)"
          % (ROUNDS, SECONDS))
    systems = [tacit, Beanstalkd(folder), PostgreSQL(folder)]
    try:
        tacit.fill(int(SECONDS * ROUNDS * (300 + 2 * 3000)))
        for s in systems[1:]:
            s.fill(int(SECONDS * ROUNDS * (4000 + 2 * 15000)))
        print("%8s %20s %20s %20s" % ("clients", *[s.name for s in systems]))
        for clients in CLIENTS:
            rates, p99 = {s.name: [] for s in systems}, {s.name: [] for s in systems}
            for _ in range(ROUNDS):
                for s in systems:
                    r = s.work(clients, SECONDS)
                    rates[s.name].append(r["done"] / r["seconds"])
                    p99[s.name].append(r["p99_ms"])
            mine = median(rates["tacit"])
            cells = []
            for s in systems:
                rate = median(rates[s.name])
                cells.append("%.0f" % rate if s is tacit else "%.0f (%.2fx)" % (rate, mine / rate))
                out.append({"bench": "claim+complete", "clients": clients, "system": s.name,
                            "per_second": rate, "claim_p99_ms": median(p99[s.name]),
                            "ours_to_theirs": mine / rate, "all": rates[s.name]})
            print("%8d %20s %20s %20s" % (clients, *cells), flush=True)
    finally:
        for s in systems[1:]:
            s.stop()


class Upload:
    """1 GiB on its way, in a process of its own; what is measured beside it ends with it."""

    def __init__(self, tacit, mib):
        self.process = subprocess.Popen(
            [CLIENT, "upload", str(tacit.port), tacit.agent, str(mib * MIB),
             str(random.randrange(1 << 40))], stdout=subprocess.PIPE, text=True)
        # Making the bytes and their digest takes a while; the first of them arriving is the start.
        before = os.listdir(tacit.data + "/blobs")
        while self.process.poll() is None:
            if os.listdir(tacit.data + "/blobs") != before:
                break
            time.sleep(0.01)

    def beside(self, *args):
        p = subprocess.Popen([CLIENT, *map(str, args)], stdout=subprocess.PIPE, text=True)
        mine = json.loads(self.process.communicate()[0])
        p.send_signal(signal.SIGTERM)
        result = json.loads(p.communicate()[0])
        return result, mine["bytes"] / mine["seconds"] / 1e6


def part_2(folder, tacit, out):
    claims, syncs, speeds = [], [], []
    tacit.fill(ROUNDS * 4000)
    body = "\"outputs\":[%s],\"seconds\":1,\"tokens\":%d}" % (json.dumps(tacit.scores), PART * 8)
    for _ in range(ROUNDS):
        for what in ("sync", "claim"):
            upload = Upload(tacit, 1024)
            if what == "sync":
                r, speed = upload.beside("sync", folder + "/sync", 600)
                syncs.append(r["p99_ms"])
            else:
                r, speed = upload.beside("work", "tacit", tacit.port, 1, 600, tacit.tokens, body)
                claims.append(r["p99_ms"])
                speeds.append(speed)
    ratio = median(claims) / median(syncs)
    print("\nwhile 1 GiB is uploaded (medians of %d): 99th percentile of a claim %.1f ms, of a bare"
          " 4 KiB write + fdatasync %.1f ms: %.2fx (wanted: at most %gx: %s); the upload"
          " %.0f MB/s"
          % (ROUNDS, median(claims), median(syncs), ratio, CLAIM_RATIO,
             verdict(out, "claim during an upload: wanted", ratio <= CLAIM_RATIO),
             median(speeds)), flush=True)
    out.append({"bench": "claim during an upload", "claim_p99_ms": claims, "sync_p99_ms": syncs,
                "ratio": ratio, "upload_mb_s": speeds})


def part_3(folder, tacit, out):
    mib, ours, plain = 512, [], []
    for _ in range(ROUNDS):
        seed = random.randrange(1 << 40)
        r = client("write", folder + "/plain", mib * MIB, seed)
        plain.append(r["bytes"] / r["seconds"] / 1e6)
        os.remove(folder + "/plain")
        r = client("upload", tacit.port, tacit.agent, mib * MIB, seed)
        ours.append(r["bytes"] / r["seconds"] / 1e6)
    ratio = median(ours) / median(plain)
    print("\na checkpoint of %d MiB (medians of %d): upload %.0f MB/s, plain file with fsync"
          " %.0f MB/s: %.0f %% (wanted: at least %.0f %%: %s)"
          % (mib, ROUNDS, median(ours), median(plain), 100 * ratio, 100 * UPLOAD_RATIO,
             verdict(out, "checkpoint upload: wanted", ratio >= UPLOAD_RATIO)), flush=True)
    out.append({"bench": "checkpoint upload", "upload_mb_s": ours, "file_mb_s": plain,
                "ratio": ratio})


def main():
    parts = sys.argv[1:] or ["1", "2", "3"]
    out = []
    folder = tempfile.mkdtemp(prefix="tacit-bench-", dir=os.environ.get("BENCH_DIR", "/var/tmp"))
    tacit = None
    try:
        tacit = Tacit(folder)
        tacit.agents(folder + "/tokens", max(CLIENTS))
        tacit.dataset()
        for part in parts:
            {"1": part_1, "2": part_2, "3": part_3}[part](folder, tacit, out)
        os.makedirs(BUILD + "/bench", exist_ok=True)
        with open(BUILD + "/bench/queue.json", "w") as f:
            json.dump(out, f, indent=1)
        return 0 if all(o.get("met", True) for o in out) else 1
    finally:
        if tacit:
            tacit.stop()
        shutil.rmtree(folder, ignore_errors=True)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
sys.exit(main())
