-- fragment: append_events
-- Write facts and owe each to the endpoints that want it, within the statement that made them true.
-- Reads a CTE `facts (bucket, merchant_id, event_id, type, subject_id, body, created_at)`. A delivery's id is its
-- event's with the last two characters counting the endpoints: unique, sorted like the event, and made without a
-- volatile function. The event keeps how many wanted it, so that "no delivery" is a fact and not a gap. What happens to
-- an endpoint is told to the merchant's others.
wanted AS MATERIALIZED (
    SELECT f.bucket, f.merchant_id, f.event_id, f.type, f.subject_id, f.created_at, e.id AS endpoint_id,
           coalesce(e.retry_schedule[1], 0) AS first_delay,
           CASE WHEN e.ordered THEN 'webhook.ordered' ELSE 'webhook.deliver' END AS kind,
           (row_number() OVER (PARTITION BY f.bucket, f.merchant_id, f.event_id ORDER BY e.id) - 1)::int AS ordinal
    FROM facts f
    JOIN endpoints e ON e.bucket = f.bucket AND e.merchant_id = f.merchant_id AND e.enabled
        AND e.event_types && ARRAY['*', split_part(f.type, '.', 1) || '.*', f.type] AND e.id <> f.subject_id
),
appended AS (
    INSERT INTO events (bucket, merchant_id, id, type, subject_id, deliveries, body, created_at)
    SELECT f.bucket, f.merchant_id, f.event_id, f.type, f.subject_id,
           (SELECT count(*) FROM wanted w
            WHERE w.bucket = f.bucket AND w.merchant_id = f.merchant_id AND w.event_id = f.event_id),
           f.body, f.created_at
    FROM facts f
),
fanned_out AS (
    INSERT INTO outbox (bucket, merchant_id, id, kind, event_id, event_type, subject_id, endpoint_id,
                        next_retry_at, created_at)
    SELECT bucket, merchant_id,
           'dlv_' || substr(event_id, 5, 24)
               || substr('0123456789abcdefghjkmnpqrstvwxyz', 1 + ordinal / 32, 1)
               || substr('0123456789abcdefghjkmnpqrstvwxyz', 1 + ordinal %% 32, 1),
           kind, event_id, type, subject_id, endpoint_id,
           statement_timestamp() + first_delay * interval '1 second', created_at
    FROM wanted
)
