-- What the ledger says, counted by half hours: what pages show of 30 days without reading 30 days. Folded from the
-- events behind the writers' backs, in the order of commits, which nothing is ever committed behind: so each event is
-- counted once, however late it came, and no commit of a payment waits for a counter (docs/decisions/0016).
CREATE TABLE figures (
    bucket            smallint NOT NULL,
    merchant_id       text COLLATE "C" NOT NULL,
    slot              timestamptz NOT NULL,          -- the half hour's begin; days of India begin in the middle of hours
    currency          text COLLATE "C" NOT NULL,     -- '' for what has none
    method            text COLLATE "C" NOT NULL,     -- '' for what has none
    events            bigint NOT NULL,
    deliveries        bigint NOT NULL,               -- that these events were owed to endpoints at once
    created           bigint NOT NULL,               -- payments
    succeeded         bigint NOT NULL,
    failed            bigint NOT NULL,
    volume            bigint NOT NULL,               -- of those that succeeded, in minor units
    captures          bigint NOT NULL,
    captured          bigint NOT NULL,               -- minor units
    refunds           bigint NOT NULL,               -- asked for
    refunds_processed bigint NOT NULL,
    refunds_failed    bigint NOT NULL,
    refunded          bigint NOT NULL,               -- by those that were processed, in minor units
    PRIMARY KEY (bucket, merchant_id, slot, currency, method),
    CONSTRAINT figures_bucket CHECK (bucket BETWEEN 0 AND 63)
) WITH (fillfactor = 70);

-- Up to where each merchant's ledger is counted. `from_id` keeps the walk out of old partitions.
CREATE TABLE figure_places (
    bucket      smallint NOT NULL,
    merchant_id text COLLATE "C" NOT NULL,
    xact_id     xid8 NOT NULL DEFAULT '0',
    event_id    text COLLATE "C" NOT NULL DEFAULT '',
    from_id     text COLLATE "C" NOT NULL DEFAULT '',
    counted_at  timestamptz,
    PRIMARY KEY (bucket, merchant_id),
    CONSTRAINT figure_places_bucket CHECK (bucket BETWEEN 0 AND 63)
) WITH (fillfactor = 70);

ALTER TABLE figures ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON figures TO ledgate_api USING (merchant_id IS NOT DISTINCT FROM tenant());
CREATE POLICY all_tenants ON figures TO ledgate_dispatcher USING (true);
ALTER TABLE figure_places ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON figure_places TO ledgate_api USING (merchant_id IS NOT DISTINCT FROM tenant());
CREATE POLICY all_tenants ON figure_places TO ledgate_dispatcher USING (true);
GRANT SELECT ON figures, figure_places TO ledgate_api;
GRANT SELECT, INSERT, UPDATE ON figures, figure_places TO ledgate_dispatcher;
