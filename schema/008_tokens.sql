-- A join that the network delivers twice makes two tokens, and the answer that arrives may be the
-- first one's: both are good. The one before goes with the next join.
ALTER TABLE agent ADD COLUMN token_hash_before BLOB
    CHECK (length(token_hash_before) = 32); -- NULL: it joined once
CREATE INDEX agent_token_before ON agent (token_hash_before) WHERE token_hash_before IS NOT NULL;
