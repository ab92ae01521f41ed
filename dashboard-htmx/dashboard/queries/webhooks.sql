-- name: endpoint_traffic
-- What becomes of deliveries at each endpoint (schema/migrations/0018).
SELECT endpoint_id, open, due, oldest_at, next_retry_at, delivered, failed, last_success_at, last_failure_at, median_ms,
       slow_ms
FROM endpoint_traffic(%(bucket)s, {{outbox.tenant}}, %(since_id)s);

-- name: list_deliveries_by_code
-- A page of the delivery log, narrowed to how receivers answered: 0 stands for no answer.
{{outbox.matched_deliveries}},
narrowed AS (
    SELECT id, event_id, event, subject_id, endpoint_id, status, attempts, response_code, created_at, last_attempt_at,
           next_retry_at, matches AND attempts + coalesce(response_code, 0) > 0
               AND coalesce(response_code, 0) >= %(code_from)s AND coalesce(response_code, 0) <= %(code_to)s AS matches
    FROM matched
)
SELECT *
FROM (
    SELECT narrowed.*, row_number() OVER so_far AS walked, count(*) FILTER (WHERE matches) OVER so_far AS nth
    FROM narrowed
    WINDOW so_far AS (ROWS UNBOUNDED PRECEDING)
) AS numbered
WHERE walked = 10000 OR matches
LIMIT %(limit)s;

-- name: delivery_subject
-- What a delivery's event tells of, and the payment behind it, if there is one.
SELECT l.subject_id,
       CASE WHEN left(l.subject_id, 4) = 'pay_' THEN l.subject_id
            ELSE (SELECT r.payment_id FROM refunds r
                  WHERE r.bucket = %(bucket)s AND r.merchant_id = {{outbox.tenant}} AND r.id = l.subject_id)
       END AS payment_id
FROM webhook_logs l
WHERE l.bucket = %(bucket)s AND l.merchant_id = {{outbox.tenant}} AND l.id = %(id)s;

-- name: newest_events
-- A page of events, newest first by their ids, as a reader looks back: not the ledger's own order, in which nothing is
-- ever missed.
WITH walk AS (
    SELECT id, type, subject_id, deliveries, created_at
    FROM events
    WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}}
        --? AND id >= %(id_from)s
        --? AND id < %(id_to)s
        --? AND id < %(after)s
        --? AND id > %(before)s
    ORDER BY id DESC
    LIMIT 10000
),
matched AS (
    SELECT walk.*, true
        --? AND type = %(type)s
        --? AND starts_with(type, %(family)s)
        --? AND subject_id = %(subject)s
        --? AND created_at >= %(created_from)s
        --? AND created_at < %(created_to)s
        AS matches
    FROM walk
)
SELECT *
FROM (
    SELECT matched.*, row_number() OVER so_far AS walked, count(*) FILTER (WHERE matches) OVER so_far AS nth
    FROM matched
    WINDOW so_far AS (ROWS UNBOUNDED PRECEDING)
) AS numbered
WHERE walked = 10000 OR matches
LIMIT %(limit)s;
