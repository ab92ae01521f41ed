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
CREATE POLICY one_tenant ON figures TO ledgate_api
    USING (merchant_id IS NOT DISTINCT FROM (SELECT tenant()));  -- asked once, not of each of thousands of rows
CREATE POLICY all_tenants ON figures TO ledgate_dispatcher USING (true);
ALTER TABLE figure_places ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON figure_places TO ledgate_api
    USING (merchant_id IS NOT DISTINCT FROM (SELECT tenant()));  -- asked once, not of each of thousands of rows
CREATE POLICY all_tenants ON figure_places TO ledgate_dispatcher USING (true);
GRANT SELECT ON figures, figure_places TO ledgate_api;
GRANT SELECT, INSERT, UPDATE ON figures, figure_places TO ledgate_dispatcher;
GRANT DELETE ON figures TO ledgate_dispatcher;  -- what is past its retention

-- What became of a merchant's deliveries, by spans of ids: failures are counted in their own index, and what is open in
-- the queue, 2,000 of a span at most. Not those that recoveries made (from `g0` on), which are none of what their events
-- were owed. As the owner, since row security asks of each row whose it is, which costs more than to count it; whose
-- rows may be counted is asked once, and is the answer that row security would give.
CREATE FUNCTION delivery_ends(of_bucket smallint, of_merchant text, lows text[], highs text[])
RETURNS TABLE (n bigint, failed bigint, pending bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 30 SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF of_merchant IS DISTINCT FROM tenant() THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT s.n,
           (SELECT count(*) FROM (SELECT d.id FROM deliveries d
                                  WHERE d.bucket = of_bucket AND d.merchant_id = of_merchant AND d.status = 'failed'
                                      AND d.id >= s.low AND d.id < s.high
                                  LIMIT 2000) f WHERE substr(f.id, 29) < 'g0'),
           (SELECT count(*) FROM (SELECT o.id FROM outbox o
                                  WHERE o.bucket = of_bucket AND o.merchant_id = of_merchant
                                      AND o.id >= s.low AND o.id < s.high
                                  LIMIT 2000) f WHERE substr(f.id, 29) < 'g0')
    FROM unnest(lows, highs) WITH ORDINALITY AS s (low, high, n);
END $$;

-- A merchant's open work by kind, in the same way: how much, up to 10,001 of each, what of it is due, under way or was
-- tried before, and the oldest of it.
CREATE FUNCTION open_work(of_bucket smallint, of_merchant text)
RETURNS TABLE (kind text, open bigint, due bigint, under_way bigint, retrying bigint, oldest_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 4 SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF of_merchant IS DISTINCT FROM tenant() THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT k.kind, w.*
    FROM (VALUES ('delivery', 'dlv_', 'dlv`'), ('payment', 'pay_', 'pay`'), ('refund', 'rfnd_', 'rfnd`'),
                 ('recovery', 'rcv_', 'rcv`')) AS k (kind, low, high)
    CROSS JOIN LATERAL (
        SELECT count(*), count(*) FILTER (WHERE o.next_retry_at <= statement_timestamp()),
               count(*) FILTER (WHERE o.leased_by IS NOT NULL AND o.next_retry_at > statement_timestamp()),
               count(*) FILTER (WHERE o.attempts > 0), min(o.created_at)
        FROM (
            SELECT q.created_at, q.next_retry_at, q.leased_by, q.attempts
            FROM outbox q
            WHERE q.bucket = of_bucket AND q.merchant_id = of_merchant AND q.id > k.low AND q.id < k.high
            ORDER BY q.id
            LIMIT 10001
        ) o
    ) w;
END $$;
-- What becomes of a merchant's deliveries at each of its endpoints, in the same way: open ones, 1,000 of an endpoint at
-- most; the newest 2,000 finished ones since an id, by how they ended; and how long the newest 200 of these took.
CREATE FUNCTION endpoint_traffic(of_bucket smallint, of_merchant text, since_id text)
RETURNS TABLE (endpoint_id text, open bigint, due bigint, oldest_at timestamptz, next_retry_at timestamptz,
               delivered bigint, failed bigint, last_success_at timestamptz, last_failure_at timestamptz,
               median_ms float8, slow_ms float8)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10 SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF of_merchant IS DISTINCT FROM tenant() THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH newest AS MATERIALIZED (
        SELECT d.id, d.endpoint_id, d.status, d.last_attempt_at
        FROM deliveries d
        WHERE d.bucket = of_bucket AND d.merchant_id = of_merchant AND d.id >= since_id
        ORDER BY d.id DESC
        LIMIT 2000
    ),
    ended AS (
        SELECT w.endpoint_id, count(*) FILTER (WHERE w.status = 'success') AS delivered,
               count(*) FILTER (WHERE w.status = 'failed') AS failed,
               max(w.last_attempt_at) FILTER (WHERE w.status = 'success') AS last_success_at,
               max(w.last_attempt_at) FILTER (WHERE w.status = 'failed') AS last_failure_at
        FROM newest w
        GROUP BY w.endpoint_id
    ),
    took AS (
        SELECT w.endpoint_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY a.duration_ms) AS median_ms,
               percentile_cont(0.95) WITHIN GROUP (ORDER BY a.duration_ms) AS slow_ms
        FROM (SELECT n.id, n.endpoint_id FROM newest n LIMIT 200) w
        CROSS JOIN LATERAL (
            SELECT t.duration_ms
            FROM delivery_attempts t
            WHERE t.bucket = of_bucket AND t.merchant_id = of_merchant AND t.delivery_id = w.id
            ORDER BY t.claim DESC
            LIMIT 5
        ) a
        GROUP BY w.endpoint_id
    )
    SELECT e.id, o.open, o.due, o.oldest_at, o.next_retry_at, coalesce(g.delivered, 0), coalesce(g.failed, 0),
           g.last_success_at, g.last_failure_at, k.median_ms, k.slow_ms
    FROM endpoints e
    CROSS JOIN LATERAL (
        SELECT count(*) AS open, count(*) FILTER (WHERE q.next_retry_at <= statement_timestamp()) AS due,
               min(q.created_at) AS oldest_at,
               min(q.next_retry_at) FILTER (WHERE q.next_retry_at > statement_timestamp() AND q.leased_by IS NULL)
                   AS next_retry_at
        FROM (
            SELECT b.*
            FROM (VALUES ('webhook.deliver'), ('webhook.retry'), ('webhook.ordered')) AS v (kind)
            CROSS JOIN LATERAL (
                SELECT l.created_at, l.next_retry_at, l.leased_by
                FROM outbox l
                WHERE l.bucket = of_bucket AND l.kind = v.kind AND l.endpoint_id = e.id
                ORDER BY l.next_retry_at
                LIMIT 1000
            ) b
            LIMIT 1000
        ) q
    ) o
    LEFT JOIN ended g ON g.endpoint_id = e.id
    LEFT JOIN took k ON k.endpoint_id = e.id
    WHERE e.bucket = of_bucket AND e.merchant_id = of_merchant
    ORDER BY e.id;
END $$;
REVOKE ALL ON FUNCTION delivery_ends(smallint, text, text[], text[]), open_work(smallint, text),
    endpoint_traffic(smallint, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delivery_ends(smallint, text, text[], text[]), open_work(smallint, text),
    endpoint_traffic(smallint, text, text) TO ledgate_api;

CREATE POLICY every_tenant ON figures FOR SELECT TO ledgate_operator USING (true);
CREATE POLICY every_tenant ON figure_places FOR SELECT TO ledgate_operator USING (true);
GRANT SELECT ON figures, figure_places TO ledgate_operator;
DO $$
BEGIN
    -- The texts of others' statements, for the operators' page; without it the page says that it may not see them.
    GRANT pg_read_all_stats TO ledgate_operator;
EXCEPTION WHEN insufficient_privilege OR unique_violation OR object_in_use THEN NULL;
END $$;
