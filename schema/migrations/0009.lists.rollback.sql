DROP FUNCTION events_horizon();
ALTER TABLE events ALTER COLUMN xact_id SET DEFAULT pg_current_xact_id();
DROP FUNCTION events_shift();
CREATE OR REPLACE VIEW webhook_logs WITH (security_invoker = true) AS
    SELECT bucket, merchant_id, id, event_id, event_type, subject_id, endpoint_id, 'pending' AS status, attempts,
           response_code, created_at, last_attempt_at, next_retry_at, NULL::timestamptz AS finished_at
    FROM outbox WHERE kind = 'webhook.deliver'
    UNION ALL
    SELECT bucket, merchant_id, id, event_id, event_type, subject_id, endpoint_id, status, attempts,
           response_code, created_at, last_attempt_at, NULL, finished_at
    FROM deliveries;
DROP INDEX orders_by_receipt;
CREATE INDEX deliveries_by_status ON deliveries (bucket, merchant_id, status, id);
DROP INDEX deliveries_by_failure;
DROP INDEX deliveries_by_subject;
