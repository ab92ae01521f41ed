ALTER TABLE endpoint_health DROP COLUMN warned_at;
