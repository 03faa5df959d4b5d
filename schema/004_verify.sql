-- Replays: jobs of kind 7, each of another job whose result it computes again: for `tacit verify
-- --agents`, or, as a duplicate, to overtake a slow holder. And what was rolled back, and alarms.

-- The table is made anew, since checks can't be changed (foreign keys are off meanwhile, and checked
-- before the COMMIT).
CREATE TABLE job_004 (
    id         INTEGER PRIMARY KEY,
    run        INTEGER NOT NULL REFERENCES run (id),
    kind       INTEGER NOT NULL
               CHECK (kind IN (0, 1, 2, 3, 4, 5, 6, 7)), -- train-router, score, assign, segment,
                                                         -- train, eval, report, replay
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
    -- Holder or doer; of a waiting job, whose lease ran out. NULL: none, or the coordinator.
    agent      INTEGER REFERENCES agent (id),
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
    detail     TEXT,
    failed_agent INTEGER REFERENCES agent (id), -- does not get it before others had a chance
    -- Of a replay: whose result it computes again; whether to overtake its holder, and what came of
    -- it: 0 agreed, 1 differed, 2 was first, and is the result.
    replays    INTEGER REFERENCES job_004 (id),
    duplicate  INTEGER NOT NULL DEFAULT 0 CHECK (duplicate IN (0, 1)),
    verdict    INTEGER CHECK (verdict IN (0, 1, 2)),
    -- Rolled back: another job with its key has taken, or will take, its place.
    undone     INTEGER NOT NULL DEFAULT 0 CHECK (undone IN (0, 1)),
    CHECK ((kind = 7) = (replays IS NOT NULL)),
    CHECK (verdict IS NULL OR (kind = 7 AND state = 2)),
    CHECK (undone = 0 OR state = 4)
) STRICT;
INSERT INTO job_004 (id, run, kind, target, idx, round, chunk, part, final, step_first, step_last,
                     state, priority, ready, agent, fence_incarnation, fence_counter, attempts,
                     failures, since_ms, loss, seconds, tokens, bytes_down, bytes_up, detail,
                     failed_agent)
    SELECT id, run, kind, target, idx, round, chunk, part, final, step_first, step_last, state,
           priority, ready, agent, fence_incarnation, fence_counter, attempts, failures, since_ms,
           loss, seconds, tokens, bytes_down, bytes_up, detail, failed_agent
    FROM job;
DROP TABLE job;
ALTER TABLE job_004 RENAME TO job;

-- What identifies a job. Of what was rolled back, and of replays, there may be several.
CREATE UNIQUE INDEX job_key
    ON job (run, kind, final, round, chunk, target, idx, part, step_first, step_last)
    WHERE undone = 0 AND kind <> 7;
CREATE INDEX job_queue ON job (state, ready, priority DESC, id)
    WHERE state = 0 AND ready = 1 AND kind NOT IN (2, 6);
CREATE INDEX job_queue_own ON job (state, ready, priority DESC, id)
    WHERE state = 0 AND ready = 1 AND kind IN (2, 6);
CREATE INDEX job_held ON job (agent) WHERE state = 1;
CREATE INDEX job_published ON job (run, target, idx, step_last) WHERE kind = 4 AND state = 2;
CREATE INDEX job_stage ON job (run, kind, final, round, chunk, state, target);
CREATE INDEX job_run_state ON job (run, state);
CREATE INDEX job_state_since ON job (state, since_ms);
CREATE INDEX job_since ON job (since_ms);
CREATE INDEX job_replays ON job (replays) WHERE replays IS NOT NULL;
CREATE INDEX output_content ON output (content) WHERE content IS NOT NULL;

-- Two agents gave different results of one job, where there is one right one.
CREATE TABLE alarm (
    id        INTEGER PRIMARY KEY,
    job       INTEGER NOT NULL REFERENCES job (id),
    at_ms     INTEGER NOT NULL,
    agent     INTEGER REFERENCES agent (id), -- whose result was published; NULL: the coordinator
    other     INTEGER NOT NULL REFERENCES agent (id),
    role      INTEGER NOT NULL, -- of the first output that differs
    idx       INTEGER NOT NULL,
    published BLOB    NOT NULL CHECK (length(published) = 32), -- by content, else bytes
    found     BLOB    NOT NULL CHECK (length(found) = 32),
    UNIQUE (job, other, found)
) STRICT;
