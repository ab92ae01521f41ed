ALTER TABLE idempotency_keys DROP COLUMN sealed_body;
ALTER TABLE api_keys DROP COLUMN name;
DROP INDEX events_by_commit;
ALTER TABLE events DROP COLUMN xact_id;
