-- name: list_payments
-- A page of a merchant's payments, newest first: over the primary key, or over the order's index.
WITH walk AS (
    SELECT id, order_id, amount, currency, method, vpa, flow, card_brand, card_last4, notes, status, amount_captured,
           amount_refunded, error_code, error_description, version, created_at, updated_at
    FROM payments
    WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}}
        --? AND order_id = %(order_id)s
        --? AND id >= %(id_from)s
        --? AND id < %(id_to)s
        --? AND id < %(after)s
        --? AND id > %(before)s
    ORDER BY id DESC
    LIMIT 10000
    --? + %(offset)s
),
matched AS (
    SELECT walk.*, true
        --? AND status = %(status)s
        --? AND method = %(method)s
        --? AND currency = %(currency)s
        --? AND amount >= %(amount_from)s
        --? AND amount <= %(amount_to)s
        --? AND created_at >= %(created_from)s
        --? AND created_at < %(created_to)s
        AS matches
    FROM walk
)
{{outbox.page_of_walk}};

-- name: list_pending_payments
-- The same for the pending ones, from their work in the outbox, so that a few are found among millions.
WITH walk AS (
    SELECT p.id, p.order_id, p.amount, p.currency, p.method, p.vpa, p.flow, p.card_brand, p.card_last4, p.notes,
           p.status, p.amount_captured, p.amount_refunded, p.error_code, p.error_description, p.version, p.created_at,
           p.updated_at
    FROM outbox o
    JOIN payments p ON p.bucket = o.bucket AND p.merchant_id = o.merchant_id AND p.id = o.id
    WHERE o.bucket = %(bucket)s AND o.merchant_id = {{outbox.tenant}} AND o.kind = 'payment.process'
        AND o.id > 'pay_' AND o.id < 'pay`'
        --? AND o.id >= %(id_from)s
        --? AND o.id < %(id_to)s
        --? AND o.id < %(after)s
        --? AND o.id > %(before)s
    ORDER BY o.id DESC
    LIMIT 10000
    --? + %(offset)s
),
matched AS (
    SELECT walk.*, status = 'pending'
        --? AND order_id = %(order_id)s
        --? AND coalesce(lower(vpa), card_last4) = %(instrument)s
        --? AND method = %(method)s
        --? AND currency = %(currency)s
        --? AND amount >= %(amount_from)s
        --? AND amount <= %(amount_to)s
        --? AND created_at >= %(created_from)s
        --? AND created_at < %(created_to)s
        AS matches
    FROM walk
)
{{outbox.page_of_walk}};

-- name: list_payments_of_instrument
-- A page of the payments of one UPI address, or of the cards that end alike, newest first. A walk is 1,000 long here, and
-- says so in the number by which `gateway.listing` knows the end of one.
WITH walk AS (
    SELECT p.id, p.order_id, p.amount, p.currency, p.method, p.vpa, p.flow, p.card_brand, p.card_last4, p.notes,
           p.status, p.amount_captured, p.amount_refunded, p.error_code, p.error_description, p.version, p.created_at,
           p.updated_at
    FROM payments_of_instrument(%(bucket)s, {{outbox.tenant}}, %(instrument)s
        --? , before_id => %(after)s
        --? , after_id => %(before)s
    ) i
    JOIN payments p ON p.bucket = %(bucket)s AND p.merchant_id = {{outbox.tenant}} AND p.id = i.id
    ORDER BY p.id DESC
),
matched AS (
    SELECT walk.*, true
        --? AND status = %(status)s
        --? AND order_id = %(order_id)s
        --? AND method = %(method)s
        --? AND currency = %(currency)s
        --? AND amount >= %(amount_from)s
        --? AND amount <= %(amount_to)s
        --? AND id >= %(id_from)s
        --? AND id < %(id_to)s
        --? AND created_at >= %(created_from)s
        --? AND created_at < %(created_to)s
        AS matches
    FROM walk
)
SELECT numbered.*, CASE WHEN place = 1000 THEN 10000 ELSE 0 END AS walked
FROM (
    SELECT matched.*, row_number() OVER so_far AS place, count(*) FILTER (WHERE matches) OVER so_far AS nth
    FROM matched
    WINDOW so_far AS (ROWS UNBOUNDED PRECEDING)
) AS numbered
WHERE place = 1000 OR matches
LIMIT %(limit)s;

-- name: search_handles
-- Payments from UPI addresses that begin like this, the newest of up to 1,000.
SELECT p.id, p.order_id, p.amount, p.currency, p.method, p.vpa, p.flow, p.card_brand, p.card_last4, p.notes,
       p.status, p.amount_captured, p.amount_refunded, p.error_code, p.error_description, p.version, p.created_at,
       p.updated_at
FROM payments_of_instrument(%(bucket)s, {{outbox.tenant}}, %(low)s, %(high)s) i
JOIN payments p ON p.bucket = %(bucket)s AND p.merchant_id = {{outbox.tenant}} AND p.id = i.id
ORDER BY p.id DESC
LIMIT %(limit)s;

-- name: search_receipts
-- The orders of a receipt, the newest first.
SELECT id
FROM orders
WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND receipt = %(receipt)s
ORDER BY created_at DESC, id DESC
LIMIT 10;

-- name: payment_facts
-- What the ledger says of some subjects: the events of deliveries that name them, and those within spans of ids, of
-- which 5,000 are looked at each. `walked` of a span's last row tells that the rest was not. The subjects are a subquery,
-- which is hashed: each row would be compared with each of an array.
SELECT e.id, e.type, e.subject_id, e.deliveries, e.body, e.created_at, e.walked
FROM unnest(%(lows)s::text[], %(highs)s::text[]) AS span (low, high)
CROSS JOIN LATERAL (
    SELECT w.*, row_number() OVER () AS walked
    FROM (
        SELECT v.id, v.type, v.subject_id, v.deliveries, v.body, v.created_at
        FROM events v
        WHERE v.bucket = %(bucket)s AND v.merchant_id = {{outbox.tenant}} AND v.id >= span.low AND v.id < span.high
        ORDER BY v.id
        LIMIT 5000
    ) w
) e
WHERE e.subject_id IN (SELECT s.id FROM unnest(%(subjects)s::text[]) AS s (id)) OR e.walked = 5000;

-- name: payment_told_facts
-- Of some subjects, the events that some endpoint was told of, but for those that are known; found by their deliveries,
-- wherever these lie within bounds of ids, outside of which no day is looked into.
SELECT v.id, v.type, v.subject_id, v.deliveries, v.body, v.created_at, 0 AS walked
FROM unnest(%(subjects)s::text[]) AS s (id)
CROSS JOIN LATERAL (
    SELECT DISTINCT d.event_id
    FROM (
        SELECT event_id
        FROM deliveries
        WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND subject_id = s.id
            AND id >= %(low)s AND id < %(high)s
        ORDER BY id
        LIMIT 500
    ) d
    WHERE d.event_id NOT IN (SELECT k.id FROM unnest(%(known)s::text[]) AS k (id))
) d
JOIN events v ON v.bucket = %(bucket)s AND v.merchant_id = {{outbox.tenant}} AND v.id = d.event_id;

-- name: payment_deliveries
-- What was made of events, with each attempt; a delivery's id is its event's but for the last two characters. The bounds
-- come from outside: what a function makes of a column cannot bound a walk under row security.
SELECT d.*, (SELECT e.url FROM endpoints e WHERE e.bucket = %(bucket)s AND e.merchant_id = {{outbox.tenant}}
                 AND e.id = d.endpoint_id) AS endpoint_url,
       (SELECT coalesce(json_agg(json_build_object('claim', a.claim, 'number', a.attempt, 'started_at', a.started_at,
                            'duration_ms', a.duration_ms, 'response_code', a.response_code, 'error', a.error)
                        ORDER BY a.claim), '[]')::text
        FROM (
            SELECT claim, attempt, started_at, duration_ms, response_code, error
            FROM delivery_attempts
            WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND delivery_id = d.id
            ORDER BY claim DESC
            LIMIT 50
        ) a) AS history
FROM unnest(%(event_ids)s::text[], %(lows)s::text[], %(highs)s::text[]) AS v (id, low, high)
CROSS JOIN LATERAL (
    (
        SELECT id, event_id, event_type AS event, endpoint_id, 'pending' AS status, attempts, response_code, created_at,
               last_attempt_at, CASE WHEN leased_by IS NULL OR next_retry_at <= statement_timestamp()
                                     THEN next_retry_at END AS next_retry_at,
               NULL::timestamptz AS finished_at
        FROM outbox
        WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}}
            AND id >= v.low AND id <= v.high AND event_id = v.id
        ORDER BY id
        LIMIT 100
    )
    UNION ALL
    (
        SELECT id, event_id, event_type, endpoint_id, status, attempts, response_code, created_at, last_attempt_at, NULL,
               finished_at
        FROM deliveries
        WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}}
            AND id >= v.low AND id <= v.high AND event_id = v.id
        ORDER BY id
        LIMIT 100
    )
) d
ORDER BY d.id;

-- name: payment_work
-- What is still to be done for a payment and its refunds: work carries the id of what it works on.
SELECT id, kind, claims, leased_by IS NOT NULL AND next_retry_at > statement_timestamp() AS under_way, next_retry_at,
       created_at
FROM outbox
WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND id = ANY(%(ids)s)
ORDER BY id;

-- name: payment_reference
-- What the processor calls the payment.
SELECT processor_ref FROM payments WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND id = %(id)s;

-- name: payment_calls
-- The keys of calls that were made at some moments and answered with one of some objects, while they are kept: a day.
SELECT key, status, created_at, k.answered
FROM unnest(%(moments)s::timestamptz[]) AS m (at)
CROSS JOIN LATERAL (
    SELECT i.key, i.status, i.created_at, i.body::json ->> 'id' AS answered
    FROM idempotency_keys i
    WHERE i.bucket = %(bucket)s AND i.merchant_id = {{outbox.tenant}} AND i.created_at = m.at
        AND i.sealed_body IS NULL AND i.status IN (200, 201)
    LIMIT 20
) k
WHERE k.answered = ANY(%(ids)s);
