-- Every grant of a job is an attempt: who had it, how far it came, how it ended, and the tail of its
-- log, which stays when the machine is gone. Outcomes are those of core/protocol/messages.h.
CREATE TABLE attempt (
    id         INTEGER PRIMARY KEY,
    job        INTEGER NOT NULL REFERENCES job (id),
    number     INTEGER NOT NULL CHECK (number >= 1), -- of the job, from 1
    agent      INTEGER REFERENCES agent (id), -- NULL: the coordinator
    fence_incarnation INTEGER NOT NULL,
    fence_counter     INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms   INTEGER NOT NULL DEFAULT 0,
    outcome    INTEGER NOT NULL DEFAULT 0
               CHECK (outcome IN (0, 1, 2, 3, 4, 5, 6)), -- open, done, failed, expired, released,
                                                         -- overtaken, cancelled
    step_first INTEGER NOT NULL CHECK (step_first >= 0), -- where it began
    step       INTEGER NOT NULL CHECK (step >= 0), -- the last one heard of
    loss_first REAL, -- NULL: not a number
    loss       REAL,
    words      TEXT, -- how it ended: an error, an exit or signal
    log        TEXT,
    CHECK ((outcome = 0) = (ended_ms = 0))
) STRICT;
CREATE UNIQUE INDEX attempt_fence ON attempt (fence_incarnation, fence_counter);
CREATE UNIQUE INDEX attempt_number ON attempt (job, number);
CREATE INDEX attempt_open ON attempt (job) WHERE outcome = 0;

-- What was granted before there were attempts.
INSERT INTO attempt (job, number, agent, fence_incarnation, fence_counter, started_ms, ended_ms,
                     outcome, step_first, step)
    SELECT id, 1, agent, fence_incarnation, fence_counter, since_ms,
           iif(state = 1, 0, since_ms), iif(state = 1, 0, 3), step_first, step_first
    FROM job WHERE state = 1 OR (state = 0 AND agent IS NOT NULL);

-- Agents under whose lease a job ended in silence, without a step done: enough of them, and the
-- job is held to be what kills them. Forgotten as soon as somebody does a step.
CREATE TABLE vanished (
    job   INTEGER NOT NULL REFERENCES job (id),
    agent INTEGER NOT NULL REFERENCES agent (id),
    PRIMARY KEY (job, agent)
) STRICT, WITHOUT ROWID;

-- Jobs that an agent has failed since it last did one: enough of them, and it is benched.
CREATE TABLE failing (
    agent INTEGER NOT NULL REFERENCES agent (id),
    job   INTEGER NOT NULL REFERENCES job (id),
    PRIMARY KEY (agent, job)
) STRICT, WITHOUT ROWID;
CREATE INDEX failing_job ON failing (job);

-- bench_ms: 0: it may work; else for how long it gets nothing, from benched_ms on; -1: until
-- somebody unbenches it. benches: how often in a row, without a job done in between.
ALTER TABLE agent ADD COLUMN bench_ms INTEGER NOT NULL DEFAULT 0 CHECK (bench_ms >= -1);
ALTER TABLE agent ADD COLUMN benched_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE agent ADD COLUMN benches INTEGER NOT NULL DEFAULT 0;
ALTER TABLE agent ADD COLUMN bench_reason TEXT;
CREATE INDEX agent_benched ON agent (id) WHERE bench_ms <> 0;
