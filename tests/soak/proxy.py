#!/usr/bin/env python3
"""A bad network between agents and their coordinator: every byte late, little bandwidth, connections
that are reset at once, after a while, in the middle of a body, or just before the answer arrives.

usage: proxy.py LISTEN_PORT COORDINATOR_PORT SEED LOSS COUNTS_FILE

LOSS 0: late and slow alone.

What was done to connections is kept in COUNTS_FILE, "KIND COUNT" a line, written again every second.
Chance follows from SEED and the order in which connections come.
"""
import asyncio
import random
import socket
import struct
import sys

DELAY_S = 0.005            # each way; of a bad line, scaled as lives are in the soak
BYTES_PER_S = 4e6          # a connection's, each way
CHUNK = 16384
REFUSED = 0.02             # of all connections: reset before a byte
LIFE_S = 20.0              # mean time until a connection is reset, whatever it does
LIFE_BYTES = 3e6           # mean bytes until one is cut, in the middle of what it carries
LOST_ANSWER = 0.004        # of all pieces that come back: swallowed, and the connection with it

LISTEN, PORT, SEED, LOSS = map(int, sys.argv[1:5])
PATH = sys.argv[5]
counts = {}


def count(kind):
    counts[kind] = counts.get(kind, 0) + 1


def reset(writer):
    """Ends a connection as a pulled plug would: without the bytes on their way, without goodbye."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
    writer.transport.abort()


class Cut(Exception):
    pass


async def pump(reader, writer, fate, answers):
    while True:
        data = await reader.read(CHUNK)
        if not data:
            return
        await asyncio.sleep(DELAY_S + len(data) / BYTES_PER_S)
        fate["bytes"] -= len(data)
        if fate["bytes"] < 0:
            writer.write(data[: len(data) // 2])
            raise Cut("cut coming back" if answers else "cut going up")
        if answers and fate["rng"].random() < fate["lost"]:
            raise Cut("answer lost")
        writer.write(data)
        await writer.drain()


async def serve(client_in, client_out, port, rng):
    count("connections")
    fate = {"rng": random.Random(rng.random()), "bytes": rng.expovariate(1 / LIFE_BYTES),
            "lost": LOST_ANSWER * LOSS}
    life = rng.expovariate(1 / LIFE_S)
    if not LOSS:
        fate["bytes"], life = float("inf"), None
    if rng.random() < REFUSED * LOSS:
        count("reset at once")
        reset(client_out)
        return
    try:
        server_in, server_out = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        reset(client_out)
        return
    pumps = [asyncio.create_task(pump(client_in, server_out, fate, False)),
             asyncio.create_task(pump(server_in, client_out, fate, True))]
    done, pending = await asyncio.wait(pumps, timeout=life, return_when=asyncio.FIRST_COMPLETED)
    if not done:
        count("reset after a while")
    for task in pending:
        task.cancel()
    for task in done:
        if isinstance(task.exception(), Cut):
            count(str(task.exception()))
    await asyncio.gather(*pumps, return_exceptions=True)
    reset(server_out)
    # One that ended by itself is closed in order: its last bytes may still be on their way.
    if done and all(t.exception() is None for t in done):
        client_out.close()
    else:
        reset(client_out)


async def main():
    rng = random.Random(SEED)
    server = await asyncio.start_server(lambda i, o: serve(i, o, PORT, rng), "127.0.0.1", LISTEN)
    async with server:
        while True:
            await asyncio.sleep(1)
            with open(PATH, "w") as out:
                for kind in sorted(counts):
                    out.write("%s %d\n" % (kind.replace(" ", "-"), counts[kind]))


try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
