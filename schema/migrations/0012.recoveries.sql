-- Recovery jobs: a merchant asks for a range of time to be sent again, and a dispatcher walks through it.

-- The walk is work like any other: one row of the queue under the recovery's id, leased for a step at a time.
ALTER TABLE outbox DROP CONSTRAINT outbox_kind;
ALTER TABLE outbox ADD CONSTRAINT outbox_kind CHECK (kind IN (
    'webhook.deliver', 'webhook.retry', 'webhook.ordered', 'payment.process', 'refund.process', 'recovery.run'));

CREATE TABLE recoveries (
    bucket           smallint    NOT NULL,
    merchant_id      text COLLATE "C" NOT NULL,
    id               text COLLATE "C" NOT NULL,
    endpoint_id      text COLLATE "C",                -- of this endpoint only
    event            text COLLATE "C",                -- of this type only, or `payment.*`
    recovers         text[] COLLATE "C" NOT NULL,     -- what of deliveries: `failed`, `success`, `missed`
    since            timestamptz NOT NULL,
    until            timestamptz NOT NULL,
    up_to_now        boolean     NOT NULL,            -- `until` was not given: it is when the recovery was asked for
    rate             integer     NOT NULL,            -- deliveries a second, at most
    state            text COLLATE "C" NOT NULL DEFAULT 'running',
    total            bigint      NOT NULL,            -- that were counted when it began
    total_is_exact   boolean     NOT NULL,
    scheduled        bigint      NOT NULL DEFAULT 0,
    skipped          bigint      NOT NULL DEFAULT 0,
    place            text COLLATE "C" NOT NULL,       -- the last delivery, or event, that the walk has passed
    xact_id          xid8        NOT NULL DEFAULT (pg_current_xact_id()::text::bigint + events_shift())::text::xid8,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    finished_at      timestamptz,
    PRIMARY KEY (bucket, merchant_id, id),
    CONSTRAINT recoveries_bucket CHECK (bucket BETWEEN 0 AND 63),
    CONSTRAINT recoveries_recovers CHECK (recovers <@ ARRAY['failed', 'success', 'missed'] AND cardinality(recovers) > 0),
    CONSTRAINT recoveries_range CHECK (since <= until),
    CONSTRAINT recoveries_rate CHECK (rate BETWEEN 1 AND 1000),
    CONSTRAINT recoveries_state CHECK (state IN ('running', 'paused', 'done', 'cancelled')),
    CONSTRAINT recoveries_finished CHECK ((state IN ('done', 'cancelled')) = (finished_at IS NOT NULL)),
    CONSTRAINT recoveries_counts CHECK (total >= 0 AND scheduled >= 0 AND skipped >= 0)
);
-- A merchant has few that are under way, and they are counted before another begins.
CREATE INDEX recoveries_open ON recoveries (bucket, merchant_id) WHERE state IN ('running', 'paused');

GRANT SELECT, INSERT ON recoveries TO ledgate_api;
GRANT UPDATE (state, updated_at, finished_at) ON recoveries TO ledgate_api;
GRANT SELECT, UPDATE ON recoveries TO ledgate_dispatcher;
-- A step moves finished deliveries back to the queue, as a manual retry does.
GRANT DELETE ON deliveries TO ledgate_dispatcher;
ALTER TABLE recoveries ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON recoveries TO ledgate_api USING (merchant_id IS NOT DISTINCT FROM tenant());
CREATE POLICY all_tenants ON recoveries TO ledgate_dispatcher USING (true);
