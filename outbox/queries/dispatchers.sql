-- name: beat
-- Tell that this dispatcher lives, and hear who else does: the live ones share out the buckets.
WITH mine AS (
    INSERT INTO dispatchers AS d (id, host, pid, version, delivered, processed, in_flight, started_at, seen_at)
    VALUES (%(id)s, %(host)s, %(pid)s, %(version)s, %(delivered)s, %(processed)s, %(in_flight)s,
            statement_timestamp(), statement_timestamp())
    ON CONFLICT (id) DO UPDATE SET seen_at = EXCLUDED.seen_at, delivered = EXCLUDED.delivered,
        processed = EXCLUDED.processed, in_flight = EXCLUDED.in_flight
    RETURNING id, set_config('synchronous_commit', 'off', true)
)
SELECT id FROM mine
UNION
SELECT id FROM dispatchers WHERE seen_at > statement_timestamp() - interval '5 seconds';

-- name: leave
-- A dispatcher that stopped in order is gone from the list at once.
DELETE FROM dispatchers WHERE id = %(id)s;

-- name: tidy
-- Forget dispatchers that died a day ago, and tallies that no count of 24 hours can need.
WITH gone AS (
    DELETE FROM dispatchers WHERE seen_at < statement_timestamp() - interval '1 day'
)
DELETE FROM work_tally
WHERE (span, starts_at, writer) IN (
    SELECT span, starts_at, writer FROM work_tally
    WHERE starts_at < statement_timestamp() - interval '25 hours' LIMIT 10000);
