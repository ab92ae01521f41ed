ALTER TABLE endpoint_health DROP CONSTRAINT endpoint_health_circuit;
ALTER TABLE endpoint_health DROP CONSTRAINT endpoint_health_failed;
ALTER TABLE endpoint_health DROP COLUMN warned_at;
