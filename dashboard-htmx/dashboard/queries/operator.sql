-- What operators see, of all merchants: read as `ledgate_operator`, so that these name no tenant. They go by the same
-- keys as the merchants' own statements, merchant by merchant.

-- name: operator_merchants
-- Merchants in the order of their ids, with what they did in a day and what is open.
SELECT m.id, m.name, m.bucket, m.created_at, f.*, o.open, o.oldest_at,
       (SELECT count(*) FROM endpoints e WHERE e.bucket = m.bucket AND e.merchant_id = m.id
            AND (e.enabled OR e.disabled_reason IS NOT NULL)) AS endpoints,
       (SELECT count(*) FROM endpoints e WHERE e.bucket = m.bucket AND e.merchant_id = m.id
            AND e.disabled_reason IS NOT NULL) AS endpoints_disabled,
       (SELECT count(*) FROM endpoint_health h
        JOIN endpoints e ON e.bucket = h.bucket AND e.merchant_id = h.merchant_id AND e.id = h.endpoint_id
        WHERE h.bucket = m.bucket AND h.merchant_id = m.id AND e.enabled) AS endpoints_failing,
       (SELECT p.created_at FROM payments p WHERE p.bucket = m.bucket AND p.merchant_id = m.id
        ORDER BY p.id DESC LIMIT 1) AS last_payment_at,
       (SELECT p.counted_at FROM figure_places p WHERE p.bucket = m.bucket AND p.merchant_id = m.id) AS counted_to
FROM merchants m
CROSS JOIN LATERAL (
    SELECT coalesce(sum(g.created), 0)::bigint AS payments, coalesce(sum(g.succeeded), 0)::bigint AS succeeded,
           coalesce(sum(g.failed), 0)::bigint AS failed, coalesce(sum(g.deliveries), 0)::bigint AS deliveries,
           coalesce(jsonb_object_agg(g.currency, g.volume) FILTER (WHERE g.currency <> ''), '{}')::text AS volume
    FROM (
        SELECT currency, sum(created) AS created, sum(succeeded) AS succeeded, sum(failed) AS failed,
               sum(deliveries) AS deliveries, sum(volume) AS volume
        FROM figures
        WHERE bucket = m.bucket AND merchant_id = m.id AND slot >= %(since)s
        GROUP BY currency
    ) g
) f
CROSS JOIN LATERAL (
    SELECT count(*) AS open, min(w.created_at) AS oldest_at
    FROM (
        SELECT created_at FROM outbox WHERE bucket = m.bucket AND merchant_id = m.id ORDER BY id LIMIT 1001
    ) w
) o
WHERE true
    --? AND m.id > %(after)s
    --? AND (strpos(lower(m.name), lower(%(search)s)) > 0 OR strpos(m.id, lower(%(search)s)) > 0)
ORDER BY m.id
LIMIT %(limit)s;

-- name: operator_place
-- Where a merchant's rows are.
SELECT bucket, id AS merchant_id, name FROM merchants WHERE id = %(id)s;

-- name: operator_throughput
-- What each lane of each dispatcher finished in the last whole minute, and what of it was given up.
SELECT split_part(writer, '/', 1) AS dispatcher, split_part(writer, '/', 2) AS lane, sum(completed)::bigint AS completed,
       sum(failed)::bigint AS failed
FROM work_tally
WHERE span = 'second' AND starts_at >= date_trunc('second', statement_timestamp()) - interval '60 seconds'
    AND starts_at < date_trunc('second', statement_timestamp())
GROUP BY split_part(writer, '/', 1), split_part(writer, '/', 2);

-- name: operator_ages
-- Open work of one kind by how long it has waited beyond its time, of 20,000 rows of each bucket at most.
SELECT k.kind, count(w.next_retry_at) AS due,
       count(*) FILTER (WHERE w.next_retry_at > statement_timestamp() - interval '10 seconds') AS fresh,
       count(*) FILTER (WHERE w.next_retry_at <= statement_timestamp() - interval '10 seconds'
                            AND w.next_retry_at > statement_timestamp() - interval '1 minute') AS minute,
       count(*) FILTER (WHERE w.next_retry_at <= statement_timestamp() - interval '1 minute'
                            AND w.next_retry_at > statement_timestamp() - interval '1 hour') AS hour,
       count(*) FILTER (WHERE w.next_retry_at <= statement_timestamp() - interval '1 hour') AS older
FROM unnest(%(kinds)s::text[]) AS k (kind)
CROSS JOIN generate_series(0, 63) AS b (bucket)
CROSS JOIN LATERAL (
    SELECT next_retry_at
    FROM outbox
    WHERE bucket = b.bucket AND kind = k.kind AND next_retry_at <= statement_timestamp()
        AND next_retry_at < 'infinity'
    ORDER BY next_retry_at
    LIMIT 20000
) w
GROUP BY k.kind;

-- name: operator_partitions
-- The partitions of the histories with their sizes, the newest day first; the default ones have no day.
SELECT p.relname AS history, c.relname AS name, substring(c.relname FROM '_([0-9]{8})$') AS day,
       greatest(c.reltuples, 0)::bigint AS rows_estimated, pg_total_relation_size(c.oid) AS bytes
FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid
JOIN pg_class p ON p.oid = i.inhparent
WHERE p.relname IN ('events', 'deliveries', 'delivery_attempts') AND p.relnamespace = 'public'::regnamespace
ORDER BY p.relname, day DESC NULLS LAST, c.relname;

-- name: operator_tables
-- Tables that are written in place: how much of them is dead, and when they were last cleaned.
SELECT s.relname AS name, s.n_live_tup AS live, s.n_dead_tup AS dead, pg_total_relation_size(s.relid) AS bytes,
       s.last_autovacuum, s.last_vacuum, s.last_autoanalyze, s.n_tup_upd AS updates, s.n_tup_hot_upd AS hot_updates
FROM pg_stat_user_tables s
WHERE s.schemaname = 'public' AND s.relname !~ '_([0-9]{8}|default)$'
ORDER BY pg_total_relation_size(s.relid) DESC, s.relname
LIMIT 40;

-- name: operator_counted
-- Whether the server counts statements, and whether it tells us those of others.
SELECT to_regclass('pg_stat_statements') IS NOT NULL AS installed,
       pg_has_role('pg_read_all_stats', 'USAGE') AS told;

-- name: operator_running
-- Statements that run now for longer than a moment, and transactions that stand open: a long one holds up cleaning, the
-- ledger's end and the figures.
SELECT pid, application_name AS application, state, left(query, 500) AS query,
       extract(epoch FROM clock_timestamp() - query_start)::float8 AS running_s,
       extract(epoch FROM clock_timestamp() - xact_start)::float8 AS open_s,
       wait_event_type AS waits_for
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
    AND xact_start < clock_timestamp() - interval '0.5 seconds'
ORDER BY xact_start
LIMIT 30;

-- name: operator_migrations
-- Migrations that were applied, the newest first.
SELECT migration_id AS id, applied_at_utc AT TIME ZONE 'UTC' AS applied_at FROM _yoyo_migration ORDER BY migration_id DESC;
