-- What lists and look-ups of merchants need.

-- The transaction that appended an event: `GET /events` reads in the order of (xact_id, id) and only what is older than
-- every transaction still open, so a late commit can never slip in behind a reader (docs/decisions/0007).
ALTER TABLE events ADD COLUMN xact_id xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX events_by_commit ON events (bucket, merchant_id, xact_id, id);

ALTER TABLE api_keys ADD COLUMN name text;
ALTER TABLE api_keys ADD CONSTRAINT api_keys_name CHECK (length(name) BETWEEN 1 AND 100);

-- An answer that holds a new secret is kept sealed; `body` is then empty.
ALTER TABLE idempotency_keys ADD COLUMN sealed_body bytea;
