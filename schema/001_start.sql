-- tacit.db: what is known of agents, data sets, runs and their jobs. Numbers of kinds, targets,
-- states and roles are those of core/protocol/messages.h; times are milliseconds since 1970.

-- One row. incarnation grows at every opening; fence counts the grants made.
CREATE TABLE meta (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    incarnation INTEGER NOT NULL CHECK (incarnation >= 0),
    fence       INTEGER NOT NULL CHECK (fence >= 0)
) STRICT;
INSERT INTO meta (one, incarnation, fence) VALUES (1, 0, 0);

CREATE TABLE agent (
    id         INTEGER PRIMARY KEY,
    identity   TEXT    NOT NULL UNIQUE CHECK (length(identity) = 64),
    token_hash BLOB    NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    name       TEXT    NOT NULL,
    host       TEXT    NOT NULL,
    processor  TEXT    NOT NULL,
    isa        TEXT    NOT NULL,
    version    TEXT    NOT NULL,
    threads    INTEGER NOT NULL CHECK (threads >= 0),
    memory     INTEGER NOT NULL CHECK (memory >= 0),
    jobs_done  INTEGER NOT NULL DEFAULT 0,
    failures   INTEGER NOT NULL DEFAULT 0,
    joined_ms  INTEGER NOT NULL,
    seen_ms    INTEGER NOT NULL
) STRICT;

CREATE TABLE dataset (
    id                 INTEGER PRIMARY KEY,
    name               TEXT    NOT NULL UNIQUE,
    vocab              INTEGER NOT NULL CHECK (vocab > 0),
    seq                INTEGER NOT NULL CHECK (seq > 0),
    tokenizer          BLOB    NOT NULL CHECK (length(tokenizer) = 32),
    tokenizer_bytes    INTEGER NOT NULL CHECK (tokenizer_bytes >= 0),
    train_sequences    INTEGER NOT NULL CHECK (train_sequences >= 0),
    heldout_sequences  INTEGER NOT NULL CHECK (heldout_sequences >= 0),
    train_text_bytes   INTEGER NOT NULL CHECK (train_text_bytes >= 0),
    heldout_text_bytes INTEGER NOT NULL CHECK (heldout_text_bytes >= 0),
    documents          INTEGER NOT NULL CHECK (documents >= 0),
    skipped            INTEGER NOT NULL CHECK (skipped >= 0),
    created_ms         INTEGER NOT NULL
) STRICT;

CREATE TABLE shard (
    dataset   INTEGER NOT NULL REFERENCES dataset (id),
    split     INTEGER NOT NULL CHECK (split IN (0, 1)), -- train, held out
    number    INTEGER NOT NULL CHECK (number >= 0),
    digest    BLOB    NOT NULL CHECK (length(digest) = 32),
    bytes     INTEGER NOT NULL CHECK (bytes >= 0),
    sequences INTEGER NOT NULL CHECK (sequences >= 0),
    PRIMARY KEY (dataset, split, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE label (
    dataset INTEGER NOT NULL REFERENCES dataset (id),
    number  INTEGER NOT NULL CHECK (number >= 0),
    name    TEXT    NOT NULL,
    PRIMARY KEY (dataset, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE run (
    id         INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    dataset    INTEGER NOT NULL REFERENCES dataset (id),
    spec       BLOB    NOT NULL CHECK (length(spec) = 32),
    spec_text  TEXT    NOT NULL,
    state      INTEGER NOT NULL DEFAULT 0
               CHECK (state IN (0, 1, 2, 3)), -- active, done, failed, cancelled
    reason     TEXT,
    created_ms INTEGER NOT NULL,
    ended_ms   INTEGER NOT NULL DEFAULT 0,
    CHECK ((state = 0) = (ended_ms = 0))
) STRICT;

CREATE TABLE job (
    id         INTEGER PRIMARY KEY,
    run        INTEGER NOT NULL REFERENCES run (id),
    kind       INTEGER NOT NULL
               CHECK (kind IN (0, 1, 2, 3, 4, 5, 6)), -- train-router, score, assign, segment,
                                                      -- train, eval, report
    target     INTEGER NOT NULL
               CHECK (target IN (0, 1, 2, 3, 4)), -- none, router, expert, dense, dense-flops
    idx        INTEGER NOT NULL CHECK (idx >= 0),
    round      INTEGER NOT NULL CHECK (round >= 0),
    chunk      INTEGER NOT NULL CHECK (chunk >= 0),
    part       INTEGER NOT NULL CHECK (part >= 0),
    final      INTEGER NOT NULL CHECK (final IN (0, 1)),
    step_first INTEGER NOT NULL CHECK (step_first >= 0),
    step_last  INTEGER NOT NULL CHECK (step_last >= step_first OR kind <> 4),
    state      INTEGER NOT NULL DEFAULT 0
               CHECK (state IN (0, 1, 2, 3, 4)), -- waiting, leased, done, quarantined, cancelled
    priority   INTEGER NOT NULL,
    ready      INTEGER NOT NULL DEFAULT 1 CHECK (ready IN (0, 1)), -- 0: backs off
    agent      INTEGER REFERENCES agent (id), -- holder or doer; NULL: none, or the coordinator
    fence_incarnation INTEGER NOT NULL DEFAULT 0,
    fence_counter     INTEGER NOT NULL DEFAULT 0,
    attempts   INTEGER NOT NULL DEFAULT 0,
    failures   INTEGER NOT NULL DEFAULT 0,
    since_ms   INTEGER NOT NULL,
    loss       REAL, -- NULL: not a number
    seconds    REAL    NOT NULL DEFAULT 0,
    tokens     INTEGER NOT NULL DEFAULT 0,
    bytes_down INTEGER NOT NULL DEFAULT 0,
    bytes_up   INTEGER NOT NULL DEFAULT 0,
    detail     TEXT
) STRICT;

-- What identifies a job.
CREATE UNIQUE INDEX job_key
    ON job (run, kind, final, round, chunk, target, idx, part, step_first, step_last);
-- The two queues: agents' jobs, and the coordinator's own kinds (assign, report). The two constant
-- columns make the planner prefer them to sorting all that waits.
CREATE INDEX job_queue ON job (state, ready, priority DESC, id)
    WHERE state = 0 AND ready = 1 AND kind NOT IN (2, 6);
CREATE INDEX job_queue_own ON job (state, ready, priority DESC, id)
    WHERE state = 0 AND ready = 1 AND kind IN (2, 6);
CREATE INDEX job_held ON job (agent) WHERE state = 1;
-- How far each model is trained: the last entry of a range.
CREATE INDEX job_published ON job (run, target, idx, step_last) WHERE kind = 4 AND state = 2;
-- What a round or chunk has in each state: counted after every result, without looking at the jobs.
CREATE INDEX job_stage ON job (run, kind, final, round, chunk, state, target);
CREATE INDEX job_run_state ON job (run, state);
CREATE INDEX job_state_since ON job (state, since_ms);
CREATE INDEX job_since ON job (since_ms);

-- The last errors of a job; older ones are removed when one is added.
CREATE TABLE job_error (
    id      INTEGER PRIMARY KEY,
    job     INTEGER NOT NULL REFERENCES job (id),
    message TEXT    NOT NULL
) STRICT;
CREATE INDEX job_error_job ON job_error (job, id);

CREATE TABLE output (
    job     INTEGER NOT NULL REFERENCES job (id),
    number  INTEGER NOT NULL CHECK (number >= 0),
    role    INTEGER NOT NULL
            CHECK (role IN (0, 1, 2, 3, 4, 5, 6, 7)), -- model, state, shard, piece, assignment,
                                                      -- scores, eval, report
    idx     INTEGER NOT NULL CHECK (idx >= 0),
    digest  BLOB    NOT NULL CHECK (length(digest) = 32),
    content BLOB    CHECK (length(content) = 32), -- NULL: the bytes are the content
    bytes   INTEGER NOT NULL CHECK (bytes >= 0),
    first   INTEGER NOT NULL CHECK (first >= 0),
    count   INTEGER NOT NULL CHECK (count >= 0),
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;
