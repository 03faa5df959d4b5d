#!/usr/bin/env python3
"""Passes connections on to the coordinator, but holds the first large upload when half of it has gone
through: writes FILE.held, and goes on once FILE.go is there.

usage: hold_proxy.py PORT FILE PORT_FILE
"""
import os
import re
import select
import socket
import sys
import threading
import time

TARGET, FILE = ("127.0.0.1", int(sys.argv[1])), sys.argv[2]
LARGE = 20000
held = threading.Lock()


def hold():
    if not held.acquire(blocking=False):
        return  # another one was held before
    open(FILE + ".held", "w").close()
    while not os.path.exists(FILE + ".go"):
        time.sleep(0.05)


def serve(client):
    server = socket.create_connection(TARGET)
    left = 0  # bytes of a large upload until it is held
    try:
        while True:
            ready, _, _ = select.select([client, server], [], [])
            if server in ready:
                data = server.recv(65536)
                if not data:
                    return
                client.sendall(data)
            if client in ready:
                data = client.recv(4096)
                if not data:
                    return
                head = re.search(rb"^PUT /v1/blobs/.*?content-length: (\d+)", data, re.I | re.S)
                if head and int(head.group(1)) > LARGE:
                    left = int(head.group(1)) // 2
                elif left > 0:
                    left -= len(data)
                    if left <= 0:
                        hold()
                server.sendall(data)
    except OSError:
        pass
    finally:
        client.close()
        server.close()


listener = socket.create_server(("127.0.0.1", 0))
with open(sys.argv[3] + ".new", "w") as f:
    f.write(str(listener.getsockname()[1]))
os.rename(sys.argv[3] + ".new", sys.argv[3])
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
