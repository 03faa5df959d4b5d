#!/usr/bin/env python3
"""Walks an API by its own description: requests made from its schemas, right and broken, in a fixed
order of chance, to a real coordinator. What would break for a user: a request that takes the
coordinator into a state it does not know (5xx), an answer that its description does not tell of.

    api_walk.py REQUESTS [SEED]      TACIT_URL, TACIT_DATA: the coordinator, and its folder
"""
import json
import os
import random
import sys
import urllib.error
import urllib.parse
import urllib.request

import jsonschema

WORDS = ["", "walk", "a" * 300, "ünï ☃", "../x", "name", "lab-*", "0", "-1", "walked", "%00", '"', "\n"]
NUMBERS = [0, 1, 2, 3, 7, 255, 65536, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, -1, 1.5, 1e300]
STRANGE = [None, True, "x", [], {}, [1], {"a": 1}, -1, 1e999, "9" * 40]


def call(url, method, path, headers, body):
    r = urllib.request.Request(url + path, data=body, method=method, headers=headers)
    try:
        with urllib.request.urlopen(r, timeout=60) as a:
            return a.status, dict(a.headers), a.read()
    except urllib.error.HTTPError as a:
        return a.code, dict(a.headers), a.read()


class Walk:
    def __init__(self, url, data, seed):
        self.url, self.data, self.random = url, data, random.Random(seed)
        self.tokens = {}
        self.read_tokens()
        status, _, text = call(url, "GET", "/v1/openapi.json", self.by("operator"), None)
        assert status == 200, (status, text)
        self.document = json.loads(text)
        self.strict = json.loads(text)
        for s in self.strict["components"]["schemas"].values():
            s["additionalProperties"] = False  # an answer has no field that is not told of
        self.operations = [
            (method.upper(), path, o)
            for path, methods in self.document["paths"].items()
            for method, o in methods.items()
            if "text/event-stream" not in json.dumps(o["responses"])  # it does not end by itself
        ]
        self.agents = 0
        self.checkers = {}
        self.seen = {}
        self.join()

    def read_tokens(self):
        for who, file in (("operator", "admin"), ("viewer", "viewer"), ("join", "join")):
            with open(os.path.join(self.data, file + ".token"), encoding="utf-8") as f:
                self.tokens[who] = f.read().strip()

    def by(self, who):
        return {"Authorization": "Bearer " + self.tokens[who]}

    def join(self):
        self.agents += 1
        body = {"identity": "%064x" % self.random.getrandbits(256), "name": "walker", "threads": 1}
        status, _, text = call(self.url, "POST", "/v1/agents", self.by("join"), json.dumps(body).encode())
        if status == 200:
            self.tokens["agent"] = json.loads(text)["token"]

    # --- requests ---

    def resolve(self, s):
        while "$ref" in s:
            at = self.document
            for part in s["$ref"].split("/")[1:]:
                at = at[part]
            s = at
        return s

    def value(self, s, depth=0):
        r, s = self.random, self.resolve(s)
        kind = s.get("type")
        kind = kind[0] if isinstance(kind, list) else kind
        if r.random() < 0.01:
            return r.choice(STRANGE)
        if "enum" in s:
            return r.choice(s["enum"])
        if "pattern" in s and "a-f" in s["pattern"]:
            return "%064x" % (r.getrandbits(256) if r.random() < 0.5 else r.randrange(3))
        if kind == "integer":
            most, least = s.get("maximum", 2**63 - 1), s.get("minimum", 0)
            return r.choice([least, min(most, 1), min(most, least + r.randrange(9)), most, r.choice(NUMBERS)])
        if kind == "number":
            return r.choice([0, 0.5, -3, 1e9, r.random(), None])
        if kind == "boolean":
            return r.random() < 0.5
        if kind == "array":
            return [self.value(s["items"], depth + 1) for _ in range(r.choice([0, 1, 1, 2, 5]))]
        if kind == "object":
            must = s.get("required", [])
            return {
                k: self.value(v, depth + 1)
                for k, v in s.get("properties", {}).items()
                if r.random() < (0.98 if k in must else 0.5)
            }
        return r.choice(WORDS)[: s.get("maxLength", 300)] if r.random() < 0.9 else r.choice(WORDS)

    def body(self, schema):
        value = self.value(schema)
        if isinstance(value, dict) and "wait_ms" in value:
            value["wait_ms"] = self.random.choice([0, 0, 5, -1, 60001])
        if isinstance(value, dict) and "spec" in value and self.random.random() < 0.7:
            value["spec"] = self.spec()
        text = json.dumps(value)
        chance = self.random.random()
        if chance < 0.03:
            text = text[: self.random.randrange(len(text) + 1)]
        elif chance < 0.05:
            text = text.replace("{", '{"twice":1,"twice":2,', 1)
        elif chance < 0.06:
            text = "[" * 3000
        return text.encode()

    def spec(self):
        r = self.random
        lines = ["[run]", "name = w%d" % r.randrange(9), "dataset = " + r.choice(["synthetic", "none"])]
        for section, keys in (("run", ["experts", "seed"]), ("router", ["hidden", "layers", "prefix"]),
                              ("expert", ["hidden", "layers", "steps"])):
            lines.append("[%s]" % section)
            lines += ["%s = %s" % (k, r.choice(["2", "8", "0", "-3", "1e9", "x", "16"])) for k in keys]
        return "\n".join(lines)

    def parameter(self, name):
        r = self.random
        if name == "name":
            return r.choice(["walked", "walker", "synthetic", "worker", "none", "join", "w1", "a" * 64, "a" * 65, ".x", "ü"])
        if name == "id":
            return r.choice([1, 2, 3, 4, 5, 9, 77, 2**63 - 1, 2**63, 0, -1, "x"])
        if name == "digest":
            return "%064x" % r.randrange(4) if r.random() < 0.9 else "xyz"
        if name == "state":
            return r.choice(["waiting", "done", "leased", "backing off", "no", ""])
        if name == "run":
            return r.choice(["walked", "none", "", "ü" * 90])
        return r.choice([0, 1, 5, 1000, 2**40, 2**63, 2**64, -1, "x", ""])

    def request(self):
        r = self.random
        method, path, o = r.choice(self.operations)
        queries, headers = [], {}
        for p in o.get("parameters", []):
            p = self.resolve(p)
            value = str(self.parameter(p["name"]))
            if p["in"] == "path":
                path = path.replace("{%s}" % p["name"], urllib.parse.quote(value, safe=""))
            elif p["in"] == "query" and r.random() < 0.5:
                queries.append(p["name"] + "=" + urllib.parse.quote(value))
            elif p["in"] == "header" and r.random() < 0.3:
                headers[p["name"]] = r.choice(["0", "5", "x", "bytes=0-3", "bytes=9-1", str(2**62)])
        who = [k for s in o.get("security", []) for k in s if k in self.tokens]
        if r.random() < 0.93 and who:
            headers.update(self.by(r.choice(who)))
        elif r.random() < 0.7:
            headers.update(self.by(r.choice(list(self.tokens))))
        body = None
        if "requestBody" in o:
            content = o["requestBody"]["content"]
            body = self.body(content["application/json"]["schema"]) if "application/json" in content else os.urandom(5)
            headers["Content-Type"] = next(iter(content))
        return method, path + ("?" + "&".join(queries) if queries else ""), headers, body, o

    # --- answers ---

    def check(self, request, answer):
        method, _, _, _, o = request
        status, headers, text = answer
        if status >= 500:
            return "a fault of the coordinator"
        headers = {k.lower(): v for k, v in headers.items()}
        if not headers.get("x-request-id") or headers.get("tacit-protocol") != "1":
            return "no X-Request-Id or Tacit-Protocol"
        told = o["responses"].get(str(status))
        if not told:  # a path that is none, by a parameter that fits none, is answered by other rules
            return "" if status in (400, 401, 404, 405) else "the description knows no such status here"
        content = self.resolve(told).get("content", {})
        if method == "HEAD" or not content:
            return "" if not text else "a body where none is told of"
        kind = headers.get("content-type", "").split(";")[0]
        if kind not in content:
            return "the type %s" % kind
        if not kind.endswith("json"):
            return ""
        schema = dict(content[kind]["schema"], components=self.strict["components"])
        key = json.dumps(content[kind]["schema"])
        if key not in self.checkers:
            self.checkers[key] = jsonschema.Draft202012Validator(schema)
        error = next(self.checkers[key].iter_errors(json.loads(text)), None)
        return "%s at %s" % (error.message[:300], list(error.path)) if error else ""

    def step(self, n):
        if n % 50 == 0:
            self.read_tokens()
        if n % 200 == 0:
            self.join()
        request = self.request()
        answer = call(self.url, *request[:4])
        counts = self.seen.setdefault(request[4]["operationId"], {})
        counts[answer[0]] = counts.get(answer[0], 0) + 1
        problem = self.check(request, answer)
        if problem:
            print("request %d: %s\n  %s %s\n  %s\n  -> %d %s" % (
                n, problem, request[0], request[1], (request[3] or b"")[:600], answer[0], answer[2][:600]))
        return not problem


def main():
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    walk = Walk(os.environ["TACIT_URL"], os.environ["TACIT_DATA"], seed)
    bad = sum(not walk.step(n) for n in range(1, count + 1))
    never = sorted(o["operationId"] for _, _, o in walk.operations
                   if not any(s < 300 for s in walk.seen.get(o["operationId"], {})))
    print("%d requests, seed %d, %d bad; never a success: %s" % (count, seed, bad, ", ".join(never) or "none"))
    if os.environ.get("WALK_COUNTS"):
        print(json.dumps(walk.seen, indent=1, sort_keys=True))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
