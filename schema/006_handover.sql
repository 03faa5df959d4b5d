-- What a preempted agent handed over: model and state of a job that it left half done, from which
-- whoever gets the job next goes on. Newest step alone; gone once the job is done.
CREATE TABLE job_save (
    job           INTEGER PRIMARY KEY REFERENCES job (id),
    step          INTEGER NOT NULL CHECK (step > 0),
    agent         INTEGER REFERENCES agent (id), -- whose it was
    since_ms      INTEGER NOT NULL,
    model         BLOB    NOT NULL CHECK (length(model) = 32), -- blobs, as outputs are
    model_content BLOB    NOT NULL CHECK (length(model_content) = 32),
    model_bytes   INTEGER NOT NULL CHECK (model_bytes > 0),
    state         BLOB    NOT NULL CHECK (length(state) = 32),
    state_content BLOB    NOT NULL CHECK (length(state_content) = 32),
    state_bytes   INTEGER NOT NULL CHECK (state_bytes > 0)
) STRICT;
