-- What operators ask, across merchants (gateway/cli/operators/). An operator's login owns the tables, so these name no
-- tenant. They go by the same keys as the merchants' own statements: walk the merchants, which are few, and go into
-- each one's key range (a LATERAL with a LIMIT of its own), so that the cost is merchants times rows shown, whatever
-- the history. A bare id has no bucket: it is looked up once for each merchant, about 10 µs each.

-- name: operator_merchants
-- Merchants in the order of their ids, with what an operator looks for first.
SELECT m.id, m.name, m.bucket, m.created_at,
       (SELECT count(*) FROM api_keys k WHERE k.merchant_id = m.id AND k.revoked_at IS NULL) AS active_keys,
       (SELECT count(*) FROM endpoints e WHERE e.bucket = m.bucket AND e.merchant_id = m.id) AS endpoints,
       (SELECT count(*) FROM endpoints e WHERE e.bucket = m.bucket AND e.merchant_id = m.id AND NOT e.enabled)
           AS endpoints_disabled,
       (SELECT p.created_at FROM payments p WHERE p.bucket = m.bucket AND p.merchant_id = m.id
        ORDER BY p.id DESC LIMIT 1) AS last_payment_at
FROM merchants m
WHERE true
    --? AND m.id = %(merchant_id)s
    --? AND m.id > %(after)s
ORDER BY m.id
LIMIT %(limit)s;

-- name: operator_open_work
-- How much of a merchant's work is open, counted up to 10,000.
SELECT count(*) AS open_work
FROM (SELECT FROM outbox WHERE bucket = %(bucket)s AND merchant_id = %(merchant_id)s LIMIT 10000) o;

-- name: operator_keys
-- A merchant's API keys, the oldest first; their secrets are nowhere.
SELECT id, name, scopes, created_at, revoked_at
FROM api_keys
WHERE merchant_id = %(merchant_id)s
ORDER BY created_at, id
LIMIT %(limit)s;

-- name: operator_key
-- Whose an API key is.
SELECT id, merchant_id, revoked_at FROM api_keys WHERE id = %(id)s;

-- name: operator_endpoints
-- Endpoints of one merchant or of all, or one by its id; never a secret.
SELECT m.id AS merchant_id, m.name AS merchant, m.bucket, e.*
FROM merchants m
CROSS JOIN LATERAL (
    SELECT e.id, e.url, e.event_types AS events, e.retry_schedule, e.rate, e.ordered, e.enabled, e.disabled_reason,
           e.disabled_at, e.is_default AS "default", e.previous_secret_expires_at, e.created_at, e.updated_at,
           CASE WHEN h.open_until > statement_timestamp() THEN 'open' WHEN h.open_until IS NOT NULL THEN 'half_open'
                ELSE 'closed' END AS circuit,
           coalesce(h.failures, 0) AS failures, h.failing_since, h.last_failure_at, h.last_error, h.open_until AS probe_at
    FROM endpoints e
    LEFT JOIN endpoint_health h ON h.bucket = e.bucket AND h.merchant_id = e.merchant_id AND h.endpoint_id = e.id
    WHERE e.bucket = m.bucket AND e.merchant_id = m.id
        --? AND e.id = %(id)s
    ORDER BY e.id
    LIMIT %(limit)s
) e
WHERE true
    --? AND m.id = %(merchant_id)s
ORDER BY m.id, e.id
LIMIT %(limit)s;

-- name: operator_switch_endpoint
-- Turn an endpoint on or off; off with the reason that its merchant sees. Turned on it starts afresh, as if its merchant
-- had done it.
WITH {{outbox.forget_health}}
UPDATE endpoints
SET enabled = %(enabled)s, disabled_reason = %(reason)s::text,
    disabled_at = CASE WHEN NOT %(enabled)s THEN coalesce(disabled_at, statement_timestamp()) END,
    version = version + 1, updated_at = statement_timestamp()
WHERE bucket = %(bucket)s AND merchant_id = %(merchant_id)s AND id = %(id)s
    AND (SELECT count(*) FROM forgotten) IS NOT NULL
RETURNING id;

-- name: operator_payments
-- The newest payments of one merchant or of all.
SELECT m.id AS merchant_id, m.name AS merchant, p.*
FROM merchants m
CROSS JOIN LATERAL (
    SELECT p.id, p.order_id, p.amount, p.currency, p.method, p.flow, p.card_brand, p.card_last4, p.status,
           p.amount_captured, p.amount_refunded, p.error_code, p.created_at
    FROM payments p
    WHERE p.bucket = m.bucket AND p.merchant_id = m.id
        --? AND p.status = %(status)s
        --? AND p.id >= %(from_id)s
    ORDER BY p.id DESC
    LIMIT %(limit)s
) p
WHERE true
    --? AND m.id = %(merchant_id)s
ORDER BY p.id DESC
LIMIT %(limit)s;

-- name: operator_pending_payments
-- The newest payments that wait for the processor: each has its work in the queue, which is short.
SELECT m.id AS merchant_id, m.name AS merchant, p.*
FROM merchants m
CROSS JOIN LATERAL (
    SELECT p.id, p.order_id, p.amount, p.currency, p.method, p.flow, p.card_brand, p.card_last4, p.status,
           p.amount_captured, p.amount_refunded, p.error_code, p.created_at
    FROM outbox o
    JOIN payments p ON p.bucket = o.bucket AND p.merchant_id = o.merchant_id AND p.id = o.id
    WHERE o.bucket = m.bucket AND o.merchant_id = m.id AND o.id > 'pay_' AND o.id < 'pay`'
        AND o.kind = 'payment.process' AND p.status = 'pending'
        --? AND o.id >= %(from_id)s
    ORDER BY o.id DESC
    LIMIT %(limit)s
) p
WHERE true
    --? AND m.id = %(merchant_id)s
ORDER BY p.id DESC
LIMIT %(limit)s;

-- name: operator_find_payment
-- Whose a payment is: a look into each merchant's key range.
SELECT m.id AS merchant_id, m.name AS merchant, m.bucket
FROM merchants m
JOIN payments p ON p.bucket = m.bucket AND p.merchant_id = m.id AND p.id = %(id)s
LIMIT 1;

-- name: operator_payment_work
-- What is still to be done for these payments and refunds: work carries the id of what it works on.
SELECT id, kind, attempts, claims, leased_by, next_retry_at, next_retry_at <= statement_timestamp() AS due
FROM outbox
WHERE bucket = %(bucket)s AND merchant_id = %(merchant_id)s AND id = ANY(%(ids)s)
ORDER BY id;

-- name: operator_payment_refunds
-- What went back of a payment, the oldest first.
SELECT id, amount, reason, status, error_code, error_description, created_at, processed_at
FROM refunds
WHERE bucket = %(bucket)s AND merchant_id = %(merchant_id)s AND payment_id = %(payment_id)s
ORDER BY id
LIMIT 1000;

-- name: operator_payment_events
-- The events of a payment, its order and its refunds. No key leads from a payment to its events: the merchant's events
-- are walked in the spans of time in which something is known to have happened, each up to a bound. A span's last row
-- at the bound comes along (`walked`), to say that the rest was not looked at.
SELECT e.id, e.type, e.subject_id, e.created_at, e.walked
FROM unnest(%(lows)s::text[], %(highs)s::text[]) AS span (low, high)
CROSS JOIN LATERAL (
    SELECT w.*, row_number() OVER () AS walked
    FROM (
        SELECT v.id, v.type, v.subject_id, v.created_at
        FROM events v
        WHERE v.bucket = %(bucket)s AND v.merchant_id = %(merchant_id)s AND v.id >= span.low AND v.id < span.high
        ORDER BY v.id
        LIMIT %(limit)s
    ) w
) e
WHERE e.subject_id = ANY(%(subjects)s) OR e.walked = %(limit)s
ORDER BY e.id;

-- name: operator_event_deliveries
-- What was made of events: a delivery's id is its event's but for the last two characters. The LIMITs are above what an
-- event can have; without them the planner would read all of a merchant's deliveries, once for all events.
SELECT d.*, e.url AS endpoint_url
FROM unnest(%(event_ids)s::text[]) AS v (id)
CROSS JOIN LATERAL (
    (
        SELECT o.bucket, o.merchant_id, o.id, o.event_id, o.endpoint_id, 'pending' AS status, o.attempts,
               o.response_code, o.created_at, o.last_attempt_at,
               CASE WHEN o.leased_by IS NULL OR o.next_retry_at <= statement_timestamp() THEN o.next_retry_at END
                   AS next_retry_at,
               NULL::timestamptz AS finished_at
        FROM outbox o
        WHERE o.bucket = %(bucket)s AND o.merchant_id = %(merchant_id)s
            AND o.id >= 'dlv_' || substr(v.id, 5, 24) || '00' AND o.id <= 'dlv_' || substr(v.id, 5, 24) || 'zz'
            AND o.event_id = v.id
        ORDER BY o.id
        LIMIT 1024
    )
    UNION ALL
    (
        SELECT f.bucket, f.merchant_id, f.id, f.event_id, f.endpoint_id, f.status, f.attempts,
               f.response_code, f.created_at, f.last_attempt_at, NULL, f.finished_at
        FROM deliveries f
        WHERE f.bucket = %(bucket)s AND f.merchant_id = %(merchant_id)s
            AND f.id >= 'dlv_' || substr(v.id, 5, 24) || '00' AND f.id <= 'dlv_' || substr(v.id, 5, 24) || 'zz'
            AND f.event_id = v.id
        ORDER BY f.id
        LIMIT 1024
    )
) d
LEFT JOIN endpoints e ON e.bucket = d.bucket AND e.merchant_id = d.merchant_id AND e.id = d.endpoint_id
ORDER BY d.id
LIMIT 2000;

-- name: operator_deliveries
-- The newest deliveries of one merchant or of all, open ones from the queue, finished ones from the history. `failed` is
-- written out, so that the index of failures serves.
SELECT m.id AS merchant_id, m.name AS merchant, d.*
FROM merchants m
CROSS JOIN LATERAL (
    (
        SELECT o.id, o.event_id, o.event_type AS event, o.subject_id, o.endpoint_id, 'pending' AS status, o.attempts,
               o.response_code, o.created_at, o.last_attempt_at,
               CASE WHEN o.leased_by IS NULL OR o.next_retry_at <= statement_timestamp() THEN o.next_retry_at END
                   AS next_retry_at,
               NULL::timestamptz AS finished_at
        FROM outbox o
        WHERE o.bucket = m.bucket AND o.merchant_id = m.id AND o.event_id IS NOT NULL
            --? AND NOT %(success)s
            --? AND NOT %(failed)s
            --? AND o.endpoint_id = %(endpoint_id)s
            --? AND o.event_type = %(event)s
            --? AND o.id >= %(from_id)s
        ORDER BY o.id DESC
        LIMIT %(limit)s
    )
    UNION ALL
    (
        SELECT f.id, f.event_id, f.event_type, f.subject_id, f.endpoint_id, f.status, f.attempts,
               f.response_code, f.created_at, f.last_attempt_at, NULL, f.finished_at
        FROM deliveries f
        WHERE f.bucket = m.bucket AND f.merchant_id = m.id
            --? AND NOT %(pending)s
            --? AND f.status = 'success' AND %(success)s
            --? AND f.status = 'failed' AND %(failed)s
            --? AND f.endpoint_id = %(endpoint_id)s
            --? AND f.event_type = %(event)s
            --? AND f.id >= %(from_id)s
        ORDER BY f.id DESC
        LIMIT %(limit)s
    )
) d
WHERE true
    --? AND m.id = %(merchant_id)s
ORDER BY d.id DESC
LIMIT %(limit)s;

-- name: operator_find_delivery
-- One delivery, whosever it is, with its endpoint's address and the bytes that are sent. It has no next time while an
-- attempt is under way.
SELECT m.id AS merchant_id, m.name AS merchant, m.bucket, l.id, l.event_id, l.event_type AS event, l.subject_id,
       l.endpoint_id, e.url AS endpoint_url, e.enabled AS endpoint_enabled, l.status, l.attempts, l.response_code,
       l.created_at, l.last_attempt_at, l.finished_at, v.body,
       CASE WHEN o.leased_by IS NULL OR o.next_retry_at <= statement_timestamp() THEN o.next_retry_at END
           AS next_retry_at
FROM merchants m
JOIN webhook_logs l ON l.bucket = m.bucket AND l.merchant_id = m.id AND l.id = %(id)s
LEFT JOIN endpoints e ON e.bucket = l.bucket AND e.merchant_id = l.merchant_id AND e.id = l.endpoint_id
LEFT JOIN events v ON v.bucket = l.bucket AND v.merchant_id = l.merchant_id AND v.id = l.event_id
LEFT JOIN outbox o ON o.bucket = l.bucket AND o.merchant_id = l.merchant_id AND o.id = l.id
LIMIT 1;

-- name: operator_attempts
-- The newest attempts of a delivery; a delivery that was sent again by hand has more than its schedule.
SELECT attempt, claim, started_at, duration_ms, request_headers, response_code, response_headers, response_body, error
FROM delivery_attempts
WHERE bucket = %(bucket)s AND merchant_id = %(merchant_id)s AND delivery_id = %(id)s
ORDER BY claim DESC
LIMIT %(limit)s;

-- name: operator_horizon
-- Up to where the ledger is complete: no transaction before this one can still add an event.
SELECT events_horizon()::text AS horizon;

-- name: operator_newest_events
-- The end of the ledger, in the order of (xact_id, id) that no late commit can slip into; the oldest of them first.
-- `from_id` keeps the walk out of old partitions.
SELECT *
FROM (
    SELECT m.id AS merchant_id, m.name AS merchant, e.*
    FROM merchants m
    CROSS JOIN LATERAL (
        SELECT v.id, v.type, v.subject_id, v.deliveries, v.body, v.created_at, v.xact_id
        FROM events v
        WHERE v.bucket = m.bucket AND v.merchant_id = m.id AND v.xact_id < %(horizon)s::xid8
            --? AND v.type = %(type)s
            --? AND starts_with(v.type, %(group)s)
        ORDER BY v.xact_id DESC, v.id DESC
        LIMIT %(limit)s
    ) e
    WHERE true
        --? AND m.id = %(merchant_id)s
    ORDER BY e.xact_id DESC, e.id DESC
    LIMIT %(limit)s
) newest
ORDER BY newest.xact_id, newest.id;

-- name: operator_events_after
-- The ledger from a place on: what stands after (xact_id, id) and before the horizon.
SELECT m.id AS merchant_id, m.name AS merchant, e.*
FROM merchants m
CROSS JOIN LATERAL (
    SELECT v.id, v.type, v.subject_id, v.deliveries, v.body, v.created_at, v.xact_id
    FROM events v
    WHERE v.bucket = m.bucket AND v.merchant_id = m.id AND v.id >= %(from_id)s
        AND (v.xact_id, v.id) > (%(after_xact)s::xid8, %(after_id)s) AND v.xact_id < %(horizon)s::xid8
        --? AND v.type = %(type)s
        --? AND starts_with(v.type, %(group)s)
    ORDER BY v.xact_id, v.id
    LIMIT %(limit)s
) e
WHERE true
    --? AND m.id = %(merchant_id)s
ORDER BY e.xact_id, e.id
LIMIT %(limit)s;

-- name: operator_event_place
-- Where an event stands in the ledger.
SELECT v.xact_id::text AS xact_id, v.id, v.created_at
FROM merchants m
JOIN events v ON v.bucket = m.bucket AND v.merchant_id = m.id AND v.id = %(id)s
LIMIT 1;

-- name: operator_queue
-- Open work by kind and by merchant in one pass over the queue: due now, waiting for its time, under a lease. A lease
-- that has run out is due again. The only statement of these that reads a whole table: the one that stays small.
SELECT g.*, m.name AS merchant
FROM (
    SELECT kind, merchant_id, count(*) AS open,
           count(*) FILTER (WHERE next_retry_at <= statement_timestamp()) AS due,
           count(*) FILTER (WHERE next_retry_at > statement_timestamp() AND leased_by IS NULL) AS waiting,
           count(*) FILTER (WHERE next_retry_at > statement_timestamp() AND leased_by IS NOT NULL) AS leased,
           coalesce(extract(epoch FROM statement_timestamp()
               - min(next_retry_at) FILTER (WHERE next_retry_at <= statement_timestamp())), 0)::float8 AS overdue_s,
           extract(epoch FROM statement_timestamp() - min(created_at))::float8 AS oldest_s
    FROM outbox
    GROUP BY GROUPING SETS ((kind), (merchant_id))
    ORDER BY kind IS NULL, count(*) DESC, kind, merchant_id
    LIMIT %(limit)s
) g
LEFT JOIN merchants m ON m.id = g.merchant_id
ORDER BY g.kind IS NULL, g.open DESC, g.kind, g.merchant_id;

-- name: operator_dispatchers
-- Dispatchers that were seen within a day, the live ones first.
SELECT id, host, pid, version, delivered, processed, in_flight, started_at, seen_at,
       extract(epoch FROM statement_timestamp() - seen_at)::float8 AS seen_s,
       seen_at > statement_timestamp() - interval '5 seconds' AS live
FROM dispatchers
ORDER BY seen_at DESC, id
LIMIT 100;

-- name: operator_recoveries
-- The newest recoveries of one merchant or of all, or the one of an id.
SELECT m.id AS merchant_id, m.name AS merchant, m.bucket, r.*
FROM merchants m
CROSS JOIN LATERAL (
    SELECT {{outbox.recovery_shown}}
    FROM recoveries
    WHERE bucket = m.bucket AND merchant_id = m.id
        --? AND id = %(id)s
    ORDER BY id DESC
    LIMIT %(limit)s
) r
WHERE true
    --? AND m.id = %(merchant_id)s
ORDER BY r.id DESC
LIMIT %(limit)s;
