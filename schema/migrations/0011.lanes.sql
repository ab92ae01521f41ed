-- Delivery that is fair: the queue's lanes, an endpoint's own pace, and what is known of endpoints in trouble.

-- First attempts, later ones and those that keep an endpoint's order are three kinds of work: each is claimed by itself
-- and has its own share of a dispatcher, so that new events never wait behind what failed before.
ALTER TABLE outbox DROP CONSTRAINT outbox_kind;
ALTER TABLE outbox DROP CONSTRAINT outbox_delivery;
ALTER TABLE outbox ADD CONSTRAINT outbox_kind CHECK (kind IN (
    'webhook.deliver', 'webhook.retry', 'webhook.ordered', 'payment.process', 'refund.process'));
ALTER TABLE outbox ADD CONSTRAINT outbox_delivery CHECK (
    (kind IN ('webhook.deliver', 'webhook.retry', 'webhook.ordered'))
    = (event_id IS NOT NULL AND event_type IS NOT NULL AND subject_id IS NOT NULL AND endpoint_id IS NOT NULL));

-- Each endpoint's own line, the oldest due first: where one has a backlog, a claim steps from line to line instead of
-- walking through it (docs/decisions/0009).
CREATE INDEX outbox_lines ON outbox (bucket, kind, endpoint_id, next_retry_at) WHERE endpoint_id IS NOT NULL;
-- The heads of the lines that keep their order; no other row is in it.
CREATE INDEX outbox_ordered ON outbox (bucket, endpoint_id, id) WHERE kind = 'webhook.ordered';

CREATE OR REPLACE VIEW webhook_logs WITH (security_invoker = true) AS
    SELECT bucket, merchant_id, id, event_id, event_type, subject_id, endpoint_id, 'pending' AS status, attempts,
           response_code, created_at, last_attempt_at, next_retry_at, NULL::timestamptz AS finished_at
    FROM outbox WHERE kind IN ('webhook.deliver', 'webhook.retry', 'webhook.ordered')
    UNION ALL
    SELECT bucket, merchant_id, id, event_id, event_type, subject_id, endpoint_id, status, attempts,
           response_code, created_at, last_attempt_at, NULL, finished_at
    FROM deliveries;

ALTER TABLE endpoints ADD COLUMN rate integer;                            -- most attempts a second; NULL is no limit
ALTER TABLE endpoints ADD COLUMN ordered boolean NOT NULL DEFAULT false;  -- an event waits for the one before
ALTER TABLE endpoints ADD COLUMN disabled_at timestamptz;
ALTER TABLE endpoints ADD CONSTRAINT endpoints_rate CHECK (rate BETWEEN 1 AND 1000);
UPDATE endpoints SET disabled_at = updated_at WHERE NOT enabled;
ALTER TABLE endpoints ADD CONSTRAINT endpoints_disabled_at CHECK (NOT enabled OR disabled_at IS NULL);

-- Endpoints in trouble. One that works has no row here: a success deletes it, and costs nothing when there is none.
CREATE TABLE endpoint_health (
    bucket           smallint    NOT NULL,
    merchant_id      text COLLATE "C" NOT NULL,
    endpoint_id      text COLLATE "C" NOT NULL,
    failures         bigint      NOT NULL,             -- attempts that failed since the last success
    failing_since    timestamptz NOT NULL,
    last_failure_at  timestamptz NOT NULL,
    last_error       text        NOT NULL,
    open_until       timestamptz,                      -- the circuit is open; from then on one probe may be sent
    trips            integer     NOT NULL DEFAULT 0,   -- times that it opened since the last success
    probed_by        text COLLATE "C",                 -- the dispatcher that may send the probe,
    probe_until      timestamptz,                      -- for so long
    warnings         smallint    NOT NULL DEFAULT 0,   -- how often the merchant was told
    PRIMARY KEY (bucket, merchant_id, endpoint_id),
    CONSTRAINT endpoint_health_bucket CHECK (bucket BETWEEN 0 AND 63),
    CONSTRAINT endpoint_health_probe CHECK ((probed_by IS NULL) = (probe_until IS NULL))
);
GRANT SELECT, DELETE ON endpoint_health TO ledgate_api;
GRANT UPDATE (open_until) ON endpoint_health TO ledgate_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON endpoint_health TO ledgate_dispatcher;
ALTER TABLE endpoint_health ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON endpoint_health TO ledgate_api USING (merchant_id IS NOT DISTINCT FROM tenant());
CREATE POLICY all_tenants ON endpoint_health TO ledgate_dispatcher USING (true);
