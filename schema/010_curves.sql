-- The learning curve of a training job: points of 20 bytes, ascending by step, little-endian: step
-- (8), milliseconds since 1970 (8), mean loss of the steps since the point before (float32). A job
-- that goes on from a save writes anew what lies behind it. A model has 1,000 points at most.
CREATE TABLE curve (
    job    INTEGER PRIMARY KEY REFERENCES job (id),
    points BLOB    NOT NULL CHECK (length(points) % 20 = 0)
) STRICT;
