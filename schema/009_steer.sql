-- What operators steer by: pauses, priorities, more steps, labels, owners and their quotas,
-- invitations; and what has happened, as a list that is kept.

-- What has happened, and who did it. The newest are kept (store/ops_events.h says how many).
CREATE TABLE event (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    kind  TEXT    NOT NULL, -- "run.paused", "agent.joined", …
    who   TEXT,             -- the operator's token; NULL: the coordinator, or an agent
    run   INTEGER,          -- whom it concerns, where anybody
    job   INTEGER,
    agent INTEGER,
    text  TEXT    NOT NULL
) STRICT;
CREATE INDEX event_at ON event (at_ms);

-- Paused: no grants. resume_ms: the wall clock's time from which on it is paused no more; 0: until
-- somebody resumes it. Runs of higher priority get agents first.
ALTER TABLE run ADD COLUMN paused INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1));
ALTER TABLE run ADD COLUMN resume_ms INTEGER NOT NULL DEFAULT 0 CHECK (resume_ms >= 0);
ALTER TABLE run ADD COLUMN priority INTEGER NOT NULL DEFAULT 0
    CHECK (priority BETWEEN -1000 AND 1000);
ALTER TABLE run ADD COLUMN forked_from INTEGER REFERENCES run (id);
CREATE INDEX run_paused ON run (id) WHERE paused = 1;

-- Labels that an agent must have to get jobs of the run: from its spec.
CREATE TABLE run_need (
    run   INTEGER NOT NULL REFERENCES run (id),
    name  TEXT    NOT NULL,
    value TEXT    NOT NULL,
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;

-- Steps of the experts that an operator added: each row is an end that the run had, or has.
CREATE TABLE extension (
    run   INTEGER NOT NULL REFERENCES run (id),
    steps INTEGER NOT NULL CHECK (steps > 0), -- in all
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (run, steps)
) STRICT, WITHOUT ROWID;

-- The queue of each run: a claim looks at those that its agent may work for.
DROP INDEX job_queue;
CREATE INDEX job_queue ON job (run, priority DESC, id)
    WHERE state = 0 AND ready = 1 AND kind NOT IN (2, 6);

-- May be used to join `uses` times (0: as often as wanted) until expires_ms (0: for ever).
CREATE TABLE invitation (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    token_hash BLOB    NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    owner      TEXT, -- of the agents that join by it
    uses       INTEGER NOT NULL CHECK (uses >= 0),
    used       INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT;

-- drain: 1: gets no new job; 2: and hands over the one that it has. A revoked agent's tokens are
-- good for nothing, and it can't join again.
ALTER TABLE agent ADD COLUMN owner TEXT;
ALTER TABLE agent ADD COLUMN invitation INTEGER REFERENCES invitation (id);
ALTER TABLE agent ADD COLUMN drain INTEGER NOT NULL DEFAULT 0 CHECK (drain IN (0, 1, 2));
ALTER TABLE agent ADD COLUMN revoked_ms INTEGER NOT NULL DEFAULT 0;
CREATE INDEX agent_owner ON agent (owner) WHERE owner IS NOT NULL;
CREATE INDEX agent_name ON agent (name);
CREATE TABLE agent_label (
    agent INTEGER NOT NULL REFERENCES agent (id),
    name  TEXT    NOT NULL,
    value TEXT    NOT NULL,
    PRIMARY KEY (agent, name)
) STRICT, WITHOUT ROWID;

-- Jobs that all agents of an owner may hold at once.
CREATE TABLE quota (
    owner TEXT    PRIMARY KEY,
    jobs  INTEGER NOT NULL CHECK (jobs >= 0)
) STRICT, WITHOUT ROWID;

-- Deleted while cancelled runs refer to it: its shards are gone, its name is free again.
ALTER TABLE dataset ADD COLUMN deleted_ms INTEGER NOT NULL DEFAULT 0;
