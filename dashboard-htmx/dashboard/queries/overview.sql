-- name: overview_figures
-- The figures of a range, added up between bounds: what was folded, and what was committed since, counted here, in one
-- snapshot, so that nothing is missing and nothing is there twice. `n` is the number of bounds that a row's half hour
-- does not precede. Of what was not folded yet, 2,000 events at most are counted; `fresh` says how many these were. What is
-- added up is a subquery: a CTE that names the tenant is written out first, 15,000 rows of it.
WITH place AS MATERIALIZED (
    SELECT coalesce(p.xact_id, '0') AS xact_id, coalesce(p.event_id, '') AS event_id, coalesce(p.from_id, '') AS from_id
    FROM (SELECT) AS one
    LEFT JOIN figure_places p ON p.bucket = %(bucket)s AND p.merchant_id = {{outbox.tenant}}
),
walk AS MATERIALIZED (
    SELECT bucket, merchant_id, type, subject_id, deliveries, body, created_at
    FROM events
    WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}}
        AND id >= (SELECT from_id FROM place)
        AND (xact_id, id) > (SELECT xact_id, event_id FROM place)
    ORDER BY xact_id, id
    LIMIT 2000
),
{{gateway.counted}}
SELECT width_bucket(slot, %(bounds)s::timestamptz[]) AS n, currency, method, sum(events)::bigint AS events,
       sum(deliveries)::bigint AS deliveries, sum(created)::bigint AS created, sum(succeeded)::bigint AS succeeded,
       sum(failed)::bigint AS failed, sum(volume)::bigint AS volume, sum(captures)::bigint AS captures,
       sum(captured)::bigint AS captured, sum(refunds)::bigint AS refunds,
       sum(refunds_processed)::bigint AS refunds_processed, sum(refunds_failed)::bigint AS refunds_failed,
       sum(refunded)::bigint AS refunded
FROM (
    SELECT slot, currency, method, events, deliveries, created, succeeded, failed, volume, captures, captured, refunds,
           refunds_processed, refunds_failed, refunded
    FROM figures
    WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND slot >= (%(bounds)s::timestamptz[])[1]
    UNION ALL
    SELECT slot, currency, method, events, deliveries, created, succeeded, failed, volume, captures, captured, refunds,
           refunds_processed, refunds_failed, refunded
    FROM counted
    WHERE slot >= (%(bounds)s::timestamptz[])[1]
) AS known
GROUP BY width_bucket(slot, %(bounds)s::timestamptz[]), currency, method
UNION ALL
SELECT NULL, '', '', count(*), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM walk;

-- name: overview_place
-- Up to when the ledger was folded; no row for a merchant that is new.
SELECT counted_at FROM figure_places WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}};

-- name: overview_ends
-- What became of deliveries, by spans of ids (schema/migrations/0018).
SELECT n, failed, pending FROM delivery_ends(%(bucket)s, {{outbox.tenant}}, %(lows)s, %(highs)s) ORDER BY n;

-- name: overview_open
-- A merchant's open work by kind (schema/migrations/0018).
SELECT kind, open, due, under_way, retrying, oldest_at FROM open_work(%(bucket)s, {{outbox.tenant}});
