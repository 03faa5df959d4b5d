-- blobs.db: content-addressed bytes. Its pages have 64 KiB (set when the file is made, before this).

-- complete: all bytes are there and hash to the digest. Ids are never used twice, since chunks of a
-- dropped blob may still be on their way out.
CREATE TABLE blob (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    digest   BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),
    size     INTEGER NOT NULL CHECK (size >= 0 AND size <= 1099511627776),
    durable  INTEGER NOT NULL CHECK (durable >= 0 AND durable <= size),
    complete INTEGER NOT NULL CHECK (complete IN (0, 1)),
    CHECK (complete = 0 OR durable = size)
) STRICT;

-- id = blob.id * 2^20 + number of the chunk: one tree, in the order of reading. Every chunk of a blob
-- but the last has 1 MiB.
CREATE TABLE chunk (
    id   INTEGER PRIMARY KEY,
    data BLOB NOT NULL CHECK (length(data) BETWEEN 1 AND 1048576)
) STRICT;

-- Dropped blobs whose chunks are still to be removed, a few at a time.
CREATE TABLE dropped (
    blob INTEGER PRIMARY KEY
) STRICT;
