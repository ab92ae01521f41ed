-- Who is told: events are facts, endpoints want them, the outbox is what still has to be done.
-- Hot and cold are apart: `outbox` holds open work only and stays small; the histories are append-only, partitioned
-- by their time-ordered ids, and end by dropping partitions (schema/partitions.py makes these ahead of time).

CREATE TABLE endpoints (
    bucket                    smallint    NOT NULL,
    merchant_id               text COLLATE "C" NOT NULL,
    id                        text COLLATE "C" NOT NULL,
    url                       text        NOT NULL,
    event_types               text[]      NOT NULL DEFAULT '{*}',   -- `payment.success`, `payment.*` or `*`
    sealed_secret             bytea       NOT NULL,
    sealed_previous_secret    bytea,                                -- signs too, until it expires
    previous_secret_expires_at timestamptz,
    retry_schedule            integer[],                            -- seconds before each attempt; NULL is the default
    is_default                boolean     NOT NULL DEFAULT false,
    enabled                   boolean     NOT NULL DEFAULT true,
    disabled_reason           text,
    version                   bigint      NOT NULL DEFAULT 1,
    created_at                timestamptz NOT NULL,
    updated_at                timestamptz NOT NULL,
    PRIMARY KEY (bucket, merchant_id, id),
    CONSTRAINT endpoints_bucket CHECK (bucket BETWEEN 0 AND 63),
    CONSTRAINT endpoints_url CHECK (length(url) BETWEEN 1 AND 2048),
    CONSTRAINT endpoints_event_types CHECK (cardinality(event_types) BETWEEN 1 AND 50),
    CONSTRAINT endpoints_previous_secret CHECK ((sealed_previous_secret IS NULL) = (previous_secret_expires_at IS NULL)),
    CONSTRAINT endpoints_retry_schedule CHECK (cardinality(retry_schedule) BETWEEN 1 AND 20),
    CONSTRAINT endpoints_disabled CHECK (NOT enabled OR disabled_reason IS NULL)
);
CREATE UNIQUE INDEX endpoints_one_default ON endpoints (bucket, merchant_id) WHERE is_default;

CREATE TABLE events (
    bucket       smallint    NOT NULL,
    merchant_id  text COLLATE "C" NOT NULL,
    id           text COLLATE "C" NOT NULL,     -- ends in `00`: its deliveries' ids are derived from it
    type         text COLLATE "C" NOT NULL,
    subject_id   text COLLATE "C" NOT NULL,     -- the payment, refund or order that it tells of
    deliveries   smallint    NOT NULL,          -- endpoints that wanted it; 0 says that nobody did
    body         text        NOT NULL,          -- the very bytes that every attempt sends
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (bucket, merchant_id, id),
    CONSTRAINT events_bucket CHECK (bucket BETWEEN 0 AND 63),
    CONSTRAINT events_deliveries CHECK (deliveries BETWEEN 0 AND 1023)
) PARTITION BY RANGE (id);
CREATE TABLE events_default PARTITION OF events DEFAULT;

-- Open work. Inserted once, updated by each claim, deleted when done: vacuum must keep up with that, and does since
-- the table is small. `claims` is the fence: it grows with every claim and never starts over, so a late answer of a
-- lost lease matches no row. All times here are the database's own clock.
CREATE TABLE outbox (
    bucket           smallint    NOT NULL,
    merchant_id      text COLLATE "C" NOT NULL,
    id               text COLLATE "C" NOT NULL,     -- a delivery's own id; else the id of the payment or refund
    kind             text COLLATE "C" NOT NULL,
    event_id         text COLLATE "C",
    event_type       text COLLATE "C",
    subject_id       text COLLATE "C",
    endpoint_id      text COLLATE "C",
    attempts         smallint    NOT NULL DEFAULT 0,  -- that came to an end
    claims           integer     NOT NULL DEFAULT 0,
    leased_by        text COLLATE "C",
    next_retry_at    timestamptz NOT NULL,            -- due from then on; while leased, the end of the lease
    created_at       timestamptz NOT NULL,
    last_attempt_at  timestamptz,
    response_code    smallint,
    PRIMARY KEY (bucket, merchant_id, id),
    CONSTRAINT outbox_bucket CHECK (bucket BETWEEN 0 AND 63),
    CONSTRAINT outbox_next_retry_at CHECK (next_retry_at < 'infinity'),
    CONSTRAINT outbox_kind CHECK (kind IN ('webhook.deliver', 'payment.process', 'refund.process')),
    CONSTRAINT outbox_delivery CHECK ((kind = 'webhook.deliver') = (
        event_id IS NOT NULL AND event_type IS NOT NULL AND subject_id IS NOT NULL AND endpoint_id IS NOT NULL))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000,
        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000);
-- Partial, though every row is in it: only a statement that says `next_retry_at < 'infinity'` may use it. Statistics
-- that were taken of an empty queue make both indexes look equal, and a row looked up by its key through this one costs
-- a walk over its whole bucket.
CREATE INDEX outbox_due ON outbox (bucket, kind, next_retry_at) WHERE next_retry_at < 'infinity';

CREATE TABLE deliveries (
    bucket           smallint    NOT NULL,
    merchant_id      text COLLATE "C" NOT NULL,
    id               text COLLATE "C" NOT NULL,
    event_id         text COLLATE "C" NOT NULL,
    event_type       text COLLATE "C" NOT NULL,
    subject_id       text COLLATE "C" NOT NULL,
    endpoint_id      text COLLATE "C" NOT NULL,
    status           text COLLATE "C" NOT NULL,
    attempts         smallint    NOT NULL,
    claims           integer     NOT NULL,
    response_code    smallint,
    created_at       timestamptz NOT NULL,
    last_attempt_at  timestamptz,
    finished_at      timestamptz NOT NULL,
    PRIMARY KEY (bucket, merchant_id, id),
    CONSTRAINT deliveries_bucket CHECK (bucket BETWEEN 0 AND 63),
    CONSTRAINT deliveries_status CHECK (status IN ('success', 'failed'))
) PARTITION BY RANGE (id);
CREATE INDEX deliveries_by_status ON deliveries (bucket, merchant_id, status, id);
CREATE TABLE deliveries_default PARTITION OF deliveries DEFAULT;

CREATE TABLE delivery_attempts (
    bucket            smallint    NOT NULL,
    merchant_id       text COLLATE "C" NOT NULL,
    delivery_id       text COLLATE "C" NOT NULL,
    claim             integer     NOT NULL,        -- unique over manual retries, after which `attempt` starts over
    attempt           smallint    NOT NULL,
    started_at        timestamptz NOT NULL,
    duration_ms       integer     NOT NULL,
    request_headers   text        NOT NULL,        -- JSON
    response_code     smallint,                    -- NULL: no answer, `error` says why
    response_headers  text,                        -- JSON
    response_body     bytea,                       -- first 16 KiB
    error             text,
    PRIMARY KEY (bucket, merchant_id, delivery_id, claim),
    CONSTRAINT delivery_attempts_bucket CHECK (bucket BETWEEN 0 AND 63),
    CONSTRAINT delivery_attempts_response_body CHECK (length(response_body) <= 16384),
    CONSTRAINT delivery_attempts_outcome CHECK (response_code IS NOT NULL OR error IS NOT NULL)
) PARTITION BY RANGE (delivery_id);
CREATE TABLE delivery_attempts_default PARTITION OF delivery_attempts DEFAULT;

-- What merchants read: open and finished deliveries in one.
CREATE VIEW webhook_logs AS
    SELECT bucket, merchant_id, id, event_id, event_type, subject_id, endpoint_id, 'pending' AS status, attempts,
           response_code, created_at, last_attempt_at, next_retry_at, NULL::timestamptz AS finished_at
    FROM outbox WHERE kind = 'webhook.deliver'
    UNION ALL
    SELECT bucket, merchant_id, id, event_id, event_type, subject_id, endpoint_id, status, attempts,
           response_code, created_at, last_attempt_at, NULL, finished_at
    FROM deliveries;
