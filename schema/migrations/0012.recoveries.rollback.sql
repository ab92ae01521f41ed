REVOKE DELETE ON deliveries FROM ledgate_dispatcher;
DROP TABLE recoveries;
DELETE FROM outbox WHERE kind = 'recovery.run';
ALTER TABLE outbox DROP CONSTRAINT outbox_kind;
ALTER TABLE outbox ADD CONSTRAINT outbox_kind CHECK (kind IN (
    'webhook.deliver', 'webhook.retry', 'webhook.ordered', 'payment.process', 'refund.process'));
