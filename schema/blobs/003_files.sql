-- apart: the blob's bytes are in a file of its own, blobs/ID.blob beside this database, and not in
-- chunk: large ones, which went to the disk twice where they went through a log. What older versions
-- have stored stays where it is.
ALTER TABLE blob ADD COLUMN apart INTEGER NOT NULL DEFAULT 0 CHECK (apart IN (0, 1));
