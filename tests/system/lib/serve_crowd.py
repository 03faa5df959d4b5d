"""Clients of `tacit serve` that come and go: good questions, nonsense, half requests, hang-ups in
the middle of a stream. Fails where a good question gets no good answer.
usage: serve_crowd.py URL CLIENTS SECONDS"""
import http.client
import json
import random
import socket
import sys
import threading
import time
from urllib.parse import urlsplit

at = urlsplit(sys.argv[1])
clients, until = int(sys.argv[2]), time.monotonic() + float(sys.argv[3])
JSON = {"Content-Type": "application/json"}
wrong, good = [], [0]


def question(rng, **more):
    prompt = "".join(rng.choice("aeiktpx 123") for _ in range(rng.randint(2, 60)))
    return json.dumps(dict({"prompt": prompt, "max_tokens": rng.randint(1, 40)}, **more))


def answered(rng):
    c = http.client.HTTPConnection(at.hostname, at.port, timeout=120)
    c.request("POST", "/v1/completions", question(rng, n=rng.randint(1, 3)), JSON)
    r = c.getresponse()
    body = json.loads(r.read())
    if r.status not in (200, 429):
        wrong.append("%d %s" % (r.status, body))
    good[0] += r.status == 200
    c.close()


def streamed_in_part(rng):
    c = http.client.HTTPConnection(at.hostname, at.port, timeout=120)
    c.request("POST", "/v1/completions", question(rng, stream=True), JSON)
    c.getresponse().read(rng.randint(1, 300))
    c.sock and c.sock.close()
    c.close()


def raw(data, read):
    s = socket.create_connection((at.hostname, at.port), timeout=120)
    try:
        s.sendall(data)
        if read:
            s.recv(200)
    except OSError:
        pass
    s.close()


def nonsense(rng):
    kind = rng.randrange(6)
    noise = bytes(rng.randrange(256) for _ in range(rng.randint(1, 400)))
    head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    body = question(rng).encode()
    raw([noise,
         head + b"Content-Length: 1000\r\n\r\n" + body,
         head + b"Content-Length: %d\r\n\r\n" % len(noise) + noise,
         head + b"Content-Length: 99999999999\r\n\r\n",
         head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
         head + b"Content-Length: %d\r\n\r\n" % len(body) + body][kind], kind in (2, 3, 4))


def client(seed):
    rng = random.Random(seed)
    while time.monotonic() < until:
        try:
            rng.choice((answered, streamed_in_part, nonsense, nonsense))(rng)
        except (OSError, http.client.HTTPException) as e:
            wrong.append(repr(e))
            time.sleep(0.05)


threads = [threading.Thread(target=client, args=(i,)) for i in range(clients)]
for t in threads:
    t.start()
for t in threads:
    t.join()
if wrong or good[0] == 0:
    sys.exit("%d good answers; wrong: %s" % (good[0], wrong[:5]))
print("%d good answers" % good[0])
