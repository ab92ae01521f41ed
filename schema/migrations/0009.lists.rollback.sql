DROP FUNCTION events_horizon();
ALTER TABLE events ALTER COLUMN xact_id SET DEFAULT pg_current_xact_id();
DROP FUNCTION events_shift();
DROP INDEX orders_by_receipt;
CREATE INDEX deliveries_by_status ON deliveries (bucket, merchant_id, status, id);
DROP INDEX deliveries_by_failure;
DROP INDEX deliveries_by_subject;
