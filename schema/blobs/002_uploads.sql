-- A partial upload goes on at once: the state of its running digest is kept with it. hash_kind says
-- whose state it is, since another version of the library may not be able to read it. touched_ms:
-- when bytes last came.
ALTER TABLE blob ADD COLUMN hash BLOB;
ALTER TABLE blob ADD COLUMN hash_kind TEXT;
ALTER TABLE blob ADD COLUMN touched_ms INTEGER NOT NULL DEFAULT 0;
