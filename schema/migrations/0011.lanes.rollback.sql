DROP TABLE endpoint_health;
ALTER TABLE endpoints DROP COLUMN disabled_at;
ALTER TABLE endpoints DROP COLUMN ordered;
ALTER TABLE endpoints DROP COLUMN rate;
CREATE OR REPLACE VIEW webhook_logs WITH (security_invoker = true) AS
    SELECT bucket, merchant_id, id, event_id, event_type, subject_id, endpoint_id, 'pending' AS status, attempts,
           response_code, created_at, last_attempt_at, next_retry_at, NULL::timestamptz AS finished_at
    FROM outbox WHERE kind = 'webhook.deliver'
    UNION ALL
    SELECT bucket, merchant_id, id, event_id, event_type, subject_id, endpoint_id, status, attempts,
           response_code, created_at, last_attempt_at, NULL, finished_at
    FROM deliveries;
DROP INDEX outbox_ordered;
DROP INDEX outbox_lines;
ALTER TABLE outbox DROP CONSTRAINT outbox_delivery;
ALTER TABLE outbox DROP CONSTRAINT outbox_kind;
UPDATE outbox SET kind = 'webhook.deliver' WHERE kind IN ('webhook.retry', 'webhook.ordered');
ALTER TABLE outbox ADD CONSTRAINT outbox_kind CHECK (kind IN ('webhook.deliver', 'payment.process', 'refund.process'));
ALTER TABLE outbox ADD CONSTRAINT outbox_delivery CHECK ((kind = 'webhook.deliver') = (
    event_id IS NOT NULL AND event_type IS NOT NULL AND subject_id IS NOT NULL AND endpoint_id IS NOT NULL));
