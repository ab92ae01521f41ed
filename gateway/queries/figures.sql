-- fragment: counted
-- What events of a ledger add up to, by half hour, currency and method. Reads a CTE `walk (bucket, merchant_id, type,
-- subject_id, deliveries, body, created_at)`. Only what has an amount is looked into; a test event (its subject is an
-- endpoint) counts as an event and as nothing else. A refund's currency and method are its payment's.
counted AS (
    SELECT w.bucket, w.merchant_id, date_bin('30 minutes', w.created_at, 'epoch') AS slot,
           coalesce(p.currency, r.currency, '') AS currency, coalesce(p.method, r.method, '') AS method,
           count(*) AS events, sum(w.deliveries)::bigint AS deliveries,
           count(*) FILTER (WHERE w.fact = 'payment.created') AS created,
           count(*) FILTER (WHERE w.fact = 'payment.success') AS succeeded,
           count(*) FILTER (WHERE w.fact = 'payment.failed') AS failed,
           coalesce(sum(p.amount) FILTER (WHERE w.fact = 'payment.success'), 0)::bigint AS volume,
           count(*) FILTER (WHERE w.fact = 'payment.captured') AS captures,
           coalesce(sum(p.amount_captured) FILTER (WHERE w.fact = 'payment.captured'), 0)::bigint AS captured,
           count(*) FILTER (WHERE w.fact = 'refund.created') AS refunds,
           count(*) FILTER (WHERE w.fact = 'refund.processed') AS refunds_processed,
           count(*) FILTER (WHERE w.fact = 'refund.failed') AS refunds_failed,
           coalesce(sum(r.amount) FILTER (WHERE w.fact = 'refund.processed'), 0)::bigint AS refunded
    FROM (
        SELECT walk.*, CASE WHEN left(subject_id, 5) <> 'whep_' THEN type END AS fact
        FROM walk
        OFFSET 0
    ) w
    LEFT JOIN LATERAL (
        SELECT s.*
        FROM json_to_record(
            CASE WHEN w.fact IN ('payment.created', 'payment.success', 'payment.failed', 'payment.captured')
                THEN w.body::json #> ARRAY['data', 'payment'] END
        ) AS s (amount bigint, amount_captured bigint, currency text, method text)
    ) p ON true
    LEFT JOIN LATERAL (
        SELECT s.amount, y.currency, y.method
        FROM json_to_record(
            CASE WHEN w.fact IN ('refund.created', 'refund.processed', 'refund.failed')
                THEN w.body::json #> ARRAY['data', 'refund'] END
        ) AS s (payment_id text, amount bigint)
        -- In the order of the key, or where the table was never analysed any index that begins alike looks as good, and
        -- all of a merchant's payments are read for each event.
        CROSS JOIN LATERAL (
            SELECT q.currency, q.method
            FROM payments q
            WHERE q.bucket = w.bucket AND q.merchant_id = w.merchant_id AND q.id >= s.payment_id AND q.id <= s.payment_id
            ORDER BY q.id
            LIMIT 1
        ) y
    ) r ON true
    GROUP BY w.bucket, w.merchant_id, date_bin('30 minutes', w.created_at, 'epoch'),
             coalesce(p.currency, r.currency, ''), coalesce(p.method, r.method, '')
)

-- name: begin_figures
-- Merchants that nothing was counted of yet; their ledgers are counted from the beginning.
INSERT INTO figure_places (bucket, merchant_id)
SELECT m.bucket, m.id
FROM merchants m
WHERE NOT EXISTS (SELECT FROM figure_places p WHERE p.bucket = m.bucket AND p.merchant_id = m.id)
ON CONFLICT DO NOTHING;

-- name: fold_figures
-- Count on, for merchants in the order of their keys from a place on: what was committed since, up to the oldest
-- transaction that still writes. Figures and place move in one commit, so that each event is counted once. Whoever
-- counts for a merchant holds its place; others pass by. Old partitions are left behind when nothing in them waits to be
-- counted; whoever writes events with old ids puts `from_id` back with them (gateway/growth). A row for each merchant that was looked at: where it stands in
-- the order, and how many events it had. The commit does not wait for the disk: a crash forgets both or neither.
WITH turn AS MATERIALIZED (
    SELECT p.*
    FROM figure_places p
    WHERE (p.bucket, p.merchant_id) > (%(after_bucket)s::smallint, %(after_merchant)s::text)
    ORDER BY p.bucket, p.merchant_id
    LIMIT %(merchants)s
    FOR UPDATE SKIP LOCKED
),
walk AS MATERIALIZED (
    SELECT t.bucket, t.merchant_id, v.*
    FROM turn t
    CROSS JOIN LATERAL (
        SELECT e.id, e.type, e.subject_id, e.deliveries, e.body, e.created_at, e.xact_id
        FROM events e
        WHERE e.bucket = t.bucket AND e.merchant_id = t.merchant_id AND e.id >= t.from_id
            AND (e.xact_id, e.id) > (t.xact_id, t.event_id) AND e.xact_id < events_horizon()
        ORDER BY e.xact_id, e.id
        LIMIT %(limit)s
    ) v
),
{{gateway.counted}},
folded AS (
    INSERT INTO figures AS f (bucket, merchant_id, slot, currency, method, events, deliveries, created, succeeded, failed,
                              volume, captures, captured, refunds, refunds_processed, refunds_failed, refunded)
    SELECT * FROM counted
    ON CONFLICT (bucket, merchant_id, slot, currency, method) DO UPDATE
        SET events = f.events + EXCLUDED.events, deliveries = f.deliveries + EXCLUDED.deliveries,
            created = f.created + EXCLUDED.created, succeeded = f.succeeded + EXCLUDED.succeeded,
            failed = f.failed + EXCLUDED.failed, volume = f.volume + EXCLUDED.volume,
            captures = f.captures + EXCLUDED.captures, captured = f.captured + EXCLUDED.captured,
            refunds = f.refunds + EXCLUDED.refunds, refunds_processed = f.refunds_processed + EXCLUDED.refunds_processed,
            refunds_failed = f.refunds_failed + EXCLUDED.refunds_failed, refunded = f.refunded + EXCLUDED.refunded
),
passed AS (
    SELECT DISTINCT ON (bucket, merchant_id) bucket, merchant_id, xact_id, id,
           count(*) OVER (PARTITION BY bucket, merchant_id) AS events
    FROM walk
    ORDER BY bucket, merchant_id, xact_id DESC, id DESC
),
moved AS (
    UPDATE figure_places t
    SET xact_id = p.xact_id, event_id = p.id, counted_at = statement_timestamp(),
        from_id = CASE
            WHEN p.events = %(limit)s THEN t.from_id
            WHEN EXISTS (SELECT FROM events e
                         WHERE e.bucket = t.bucket AND e.merchant_id = t.merchant_id AND e.xact_id >= events_horizon()
                             AND e.id >= t.from_id AND e.id < %(from_id)s) THEN t.from_id
            ELSE greatest(t.from_id, %(from_id)s) END
    FROM passed p
    WHERE t.bucket = p.bucket AND t.merchant_id = p.merchant_id
)
SELECT t.bucket, t.merchant_id, coalesce(p.events, 0) AS events, set_config('synchronous_commit', 'off', true)
FROM turn t
LEFT JOIN passed p ON p.bucket = t.bucket AND p.merchant_id = t.merchant_id
ORDER BY t.bucket, t.merchant_id;

-- name: prune_figures
-- Figures of half hours before one, merchant by merchant as their key has them; so many rows at most.
DELETE FROM figures
WHERE ctid = ANY(ARRAY(
    SELECT old.at
    FROM figure_places p
    CROSS JOIN LATERAL (
        SELECT f.ctid AS at
        FROM figures f
        WHERE f.bucket = p.bucket AND f.merchant_id = p.merchant_id AND f.slot < %(before)s
        ORDER BY f.slot
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ) old
    LIMIT %(limit)s
));

-- name: figures_behind
-- Whether somebody's ledger holds more than was counted of it, up to where it is complete.
SELECT EXISTS (
    SELECT
    FROM figure_places t
    CROSS JOIN LATERAL (
        SELECT
        FROM events e
        WHERE e.bucket = t.bucket AND e.merchant_id = t.merchant_id AND e.id >= t.from_id
            AND (e.xact_id, e.id) > (t.xact_id, t.event_id) AND e.xact_id < events_horizon()
        ORDER BY e.xact_id, e.id  -- so that it begins where it was left, not at the oldest
        LIMIT 1
    ) more
) AS behind;
