-- What is kept and for whom: retention, collection of blobs that nobody needs, backups.

-- The blob of a dropped output may be gone: digests and content stay, so that its lineage is known.
ALTER TABLE output ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0 CHECK (dropped IN (0, 1));
-- A replay of this link gave the same content: retention keeps the last such checkpoint of a model.
ALTER TABLE job ADD COLUMN verified INTEGER NOT NULL DEFAULT 0 CHECK (verified IN (0, 1));
-- The run has ended, and what only its jobs have read is dropped.
ALTER TABLE run ADD COLUMN swept INTEGER NOT NULL DEFAULT 0 CHECK (swept IN (0, 1));

-- Who names a blob.
CREATE INDEX output_digest ON output (digest);
CREATE INDEX shard_digest ON shard (digest);
CREATE INDEX dataset_tokenizer ON dataset (tokenizer);
CREATE INDEX run_spec ON run (spec);
-- Rounds that a router is through.
CREATE INDEX job_router ON job (run, idx, round) WHERE kind = 0 AND state = 2;

-- Blobs of outputs that have just been dropped: looked at soon, without a search through all.
CREATE TABLE released (
    digest     BLOB    PRIMARY KEY CHECK (length(digest) = 32),
    dropped_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Backups under way. While one is renewed, no blob that may be named in it is collected: those with
-- ids up to `pinned` in blobs.db; NULL: all.
CREATE TABLE backup (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    created_ms INTEGER NOT NULL,
    renewed_ms INTEGER NOT NULL,
    pinned     INTEGER,
    snapshot   BLOB    CHECK (length(snapshot) = 32), -- a copy of tacit.db, a blob
    list       BLOB    CHECK (length(list) = 32)      -- the blobs that it names, a blob
) STRICT;
