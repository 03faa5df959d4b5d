#!/usr/bin/env python3
"""A metadata service as the clouds have it, on loopback: it gives notice once FILE is there.

usage: metadata.py aws|gcp|azure FILE PORT_FILE
"""
import http.server
import json
import os
import sys
import time

KIND, NOTICE = sys.argv[1], sys.argv[2]
TOKEN = "AQAEAsession=="


def utc(fmt, seconds):
    return time.strftime(fmt, time.gmtime(time.time() + seconds))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body, headers=()):
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

    def do_PUT(self):
        if KIND == "aws" and self.path == "/latest/api/token" and self.headers.get(
                "X-aws-ec2-metadata-token-ttl-seconds"):
            return self.answer(200, TOKEN)
        self.answer(405, "")

    def do_GET(self):
        {"aws": self.aws, "gcp": self.gcp, "azure": self.azure}[KIND](os.path.exists(NOTICE))

    def aws(self, given):
        if self.headers.get("X-aws-ec2-metadata-token") != TOKEN:
            return self.answer(401, "")
        if self.path != "/latest/meta-data/spot/instance-action" or not given:
            return self.answer(404, "<html>404</html>")
        self.answer(200, json.dumps(
            {"action": "terminate", "time": utc("%Y-%m-%dT%H:%M:%SZ", 120)}))

    def gcp(self, given):
        path, _, query = self.path.partition("?")
        if self.headers.get("Metadata-Flavor") != "Google":
            return self.answer(403, "")
        if path != "/computeMetadata/v1/instance/preempted":
            return self.answer(404, "")
        asked = dict(p.split("=", 1) for p in query.split("&") if p)
        if asked.get("wait_for_change") == "true":
            end = time.monotonic() + float(asked.get("timeout_sec", 60))
            etag = "22" if given else "11"
            while asked.get("last_etag") == etag and time.monotonic() < end:
                time.sleep(0.05)
                etag = "22" if os.path.exists(NOTICE) else "11"
            given = os.path.exists(NOTICE)
        self.answer(200, "TRUE" if given else "FALSE", [("ETag", "22" if given else "11")])

    def azure(self, given):
        if self.headers.get("Metadata") != "true":
            return self.answer(400, "")
        if self.path.startswith("/metadata/instance/compute/name?"):
            return self.answer(200, "worker-3")
        if self.path != "/metadata/scheduledevents?api-version=2020-07-01":
            return self.answer(404, "")
        event = {"EventId": "A1", "ResourceType": "VirtualMachine", "EventStatus": "Scheduled",
                 "NotBefore": utc("%a, %d %b %Y %H:%M:%S GMT", 30), "EventSource": "Platform"}
        events = [dict(event, EventType="Preempt", Resources=["worker-1"]),
                  dict(event, EventType="Reboot", Resources=["worker-3"])]
        if given:
            events.append(dict(event, EventType="Preempt", Resources=["worker-3"]))
        self.answer(200, json.dumps({"DocumentIncarnation": 1, "Events": events}))


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
with open(sys.argv[3] + ".new", "w") as f:
    f.write(str(server.server_port))
os.rename(sys.argv[3] + ".new", sys.argv[3])
server.serve_forever()
