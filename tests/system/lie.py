#!/usr/bin/env python3
"""Makes a coordinator's data say what a lying agent would have said: puts another model, of the right
form, in the place of a link's result. The coordinator must not be running.

usage: lie.py DATA RUN EXPERT STEP    the link of that expert that ends at that step
"""
import ctypes
import hashlib
import io
import sqlite3
import struct
import sys
import tarfile

CHUNK = 1 << 20
zstd = ctypes.CDLL("libzstd.so.1")
for name in ("ZSTD_decompress", "ZSTD_compress", "ZSTD_compressBound"):
    getattr(zstd, name).restype = ctypes.c_size_t
zstd.ZSTD_decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p,
                                 ctypes.c_size_t]
zstd.ZSTD_compress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t,
                               ctypes.c_int]
zstd.ZSTD_compressBound.argtypes = [ctypes.c_size_t]


def unpack(data):
    out = ctypes.create_string_buffer(64 << 20)
    n = zstd.ZSTD_decompress(out, len(out), data, len(data))
    return bytearray(out.raw[:n])


def pack(data):
    out = ctypes.create_string_buffer(zstd.ZSTD_compressBound(len(data)))
    n = zstd.ZSTD_compress(out, len(out), bytes(data), len(data), 3)
    return out.raw[:n]


def content(tar):
    """Where the safetensors file lies within the archive."""
    for member in tarfile.open(fileobj=io.BytesIO(bytes(tar))):
        if member.name.endswith(".safetensors"):
            return slice(member.offset_data, member.offset_data + member.size)
    raise SystemExit("the archive has no safetensors file")


def digest(data):
    return hashlib.blake2b(data, digest_size=32)


def read(blobs, name):
    row = blobs.execute("SELECT id FROM blob WHERE digest = ?", (name,)).fetchone()
    return b"".join(r[0] for r in blobs.execute(
        "SELECT data FROM chunk WHERE id / 1048576 = ? ORDER BY id", row))


def write(blobs, data):
    name = digest(data).digest()
    made = blobs.execute("INSERT INTO blob (digest, size, durable, complete) VALUES (?, ?, ?, 1)",
                         (name, len(data), len(data)))
    for i in range(0, len(data), CHUNK):
        blobs.execute("INSERT INTO chunk VALUES (?, ?)",
                      ((made.lastrowid << 20) + i // CHUNK, data[i:i + CHUNK]))
    return name


def main(data, run, expert, step):
    tacit, blobs = (sqlite3.connect("%s/%s.db" % (data, n)) for n in ("tacit", "blobs"))
    (job,) = tacit.execute(
        "SELECT job.id FROM job JOIN run ON run.id = job.run WHERE run.name = ? AND job.kind = 4"
        " AND job.target = 2 AND job.idx = ? AND job.step_last = ? AND job.state = 2",
        (run, expert, step)).fetchone()
    rows = tacit.execute("SELECT role, digest, content FROM output WHERE job = ? ORDER BY role",
                         (job,)).fetchall()
    truth, lie = rows[0][2].hex().encode(), None
    for role, name, _ in rows:
        tar = unpack(read(blobs, name))
        where = content(tar)
        if role == 0:  # another last weight
            (x,) = struct.unpack_from("<f", tar, where.stop - 4)
            struct.pack_into("<f", tar, where.stop - 4, 0.5 - x)
            lie = digest(bytes(tar[where])).hexdigest().encode()
        else:  # the state names the model that it belongs to
            tar = bytearray(bytes(tar).replace(truth, lie))
        packed = pack(tar)
        tacit.execute("UPDATE output SET digest = ?, content = ?, bytes = ? WHERE job = ? AND role = ?",
                      (write(blobs, packed), digest(bytes(tar[where])).digest(), len(packed), job,
                       role))
    blobs.commit()
    tacit.commit()
    print(job)


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
