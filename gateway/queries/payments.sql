-- name: create_payments
-- The write path: keys claimed, orders checked or opened, payments, events, deliveries and the processing work, and
-- the answers stored: one statement, one round trip, one commit for as many requests as come in one batch.
-- A payment's JSON is put together here, since its amount may be the order's: head, amount, currency, then the rest,
-- whose UPI link names the amount once more in rupees.
-- An order that two requests open at the same moment fails the second one's INSERT on `orders_pkey`; nothing of that
-- statement remains, and the caller runs it once more.
WITH request AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(batch)s::json) AS r (
        n int, bucket smallint, merchant_id text, id text, order_id text, amount bigint, currency text, method text,
        vpa text, flow text, card_brand text, card_last4 text, sealed_instrument text, notes text,
        created_at timestamptz, idempotency_key text, request_hash text,
        head text, middle text, tail text, created_event text, pending_event text, event_time bigint)
    WHERE r.merchant_id = {{outbox.tenant}}
),
{{gateway.prior_answers}},
judged AS MATERIALIZED (
    SELECT r.*, o.id IS NULL AS opens, coalesce(o.amount, r.amount) AS due, coalesce(o.currency, r.currency) AS unit,
           CASE WHEN p.n IS NOT NULL THEN 'replayed'
                WHEN o.id IS NULL AND (r.amount IS NULL OR r.currency IS NULL) THEN 'order_unknown'
                WHEN o.status = 'paid' THEN 'order_paid'
                WHEN r.amount <> o.amount THEN 'amount_differs'
                WHEN r.currency <> o.currency THEN 'currency_differs'
                WHEN r.method = 'upi' AND coalesce(o.currency, r.currency) <> 'INR' THEN 'currency_not_upi'
                ELSE 'accepted' END AS verdict,
           p.stored_hash, p.stored_status, p.stored_body
    FROM request r
    LEFT JOIN prior p ON p.n = r.n
    LEFT JOIN orders o ON o.bucket = r.bucket AND o.merchant_id = r.merchant_id AND o.id = r.order_id
),
answer AS MATERIALIZED (
    SELECT j.*, 201 AS status,
           head || due || ',"currency":"' || unit || '"' || middle
               || CASE WHEN tail <> '' THEN due / 100 || '.' || lpad((due %% 100)::text, 2, '0') || tail ELSE '' END
               AS body
    FROM judged j WHERE verdict = 'accepted'
),
{{gateway.claim_keys}},
accepted AS MATERIALIZED (
    SELECT a.* FROM answer a
    LEFT JOIN claimed c ON c.bucket = a.bucket AND c.merchant_id = a.merchant_id AND c.key = a.idempotency_key
    WHERE a.idempotency_key IS NULL OR c.key IS NOT NULL
),
opened AS (
    INSERT INTO orders (bucket, merchant_id, id, amount, currency, created_at, updated_at)
    SELECT bucket, merchant_id, order_id, due, unit, created_at, created_at FROM accepted WHERE opens
),
started AS (
    INSERT INTO payments (bucket, merchant_id, id, order_id, amount, currency, method, vpa, flow, card_brand,
                          card_last4, sealed_instrument, notes, created_at, updated_at)
    SELECT bucket, merchant_id, id, order_id, due, unit, method, vpa, flow, card_brand,
           card_last4, decode(sealed_instrument, 'base64'), notes, created_at, created_at
    FROM accepted
),
facts AS MATERIALIZED (
    SELECT a.bucket, a.merchant_id, e.event_id, e.type, a.id AS subject_id, a.created_at,
           '{"id":"' || e.event_id || '","event":"' || e.type || '","timestamp":' || a.event_time
               || ',"data":{"payment":' || a.body || '}}' AS body
    FROM accepted a
    CROSS JOIN LATERAL (VALUES (a.created_event, 'payment.created'), (a.pending_event, 'payment.pending'))
        AS e (event_id, type)
),
{{outbox.append_events}},
queued AS (
    INSERT INTO outbox (bucket, merchant_id, id, kind, next_retry_at, created_at)
    SELECT bucket, merchant_id, id, 'payment.process', statement_timestamp(), created_at FROM accepted
)
SELECT j.n,
       CASE WHEN a.n IS NOT NULL THEN 'created' WHEN j.verdict = 'accepted' THEN 'raced' ELSE j.verdict END AS verdict,
       coalesce(j.stored_body, a.body) AS body, coalesce(j.stored_status, a.status) AS status, j.stored_hash
FROM judged j
LEFT JOIN accepted a ON a.n = j.n;

-- name: get_payment
-- One payment of one merchant.
SELECT id, order_id, amount, currency, method, vpa, flow, card_brand, card_last4, notes, status, amount_captured,
       amount_refunded, error_code, error_description, version, created_at, updated_at
FROM payments
WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND id = %(id)s;

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
        --? AND created_at >= %(created_from)s
        --? AND created_at < %(created_to)s
        AS matches
    FROM walk
)
{{outbox.page_of_walk}};

-- name: list_pending_payments
-- The same for the pending ones. Their work is exactly the rows of that kind in the outbox (schema/queries), so that
-- a few pending ones are found among millions without an index that each change of a status would have to keep.
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
        --? AND method = %(method)s
        --? AND created_at >= %(created_from)s
        --? AND created_at < %(created_to)s
        AS matches
    FROM walk
)
{{outbox.page_of_walk}};

-- name: begin_processing
-- Before the processor is called: what it is asked, and whether it may be. Of the payments of an order that is paid
-- once, one at a time holds the order (`paying_payment_id`), so that two can never both take money; the holder's work
-- stays in the outbox until it is settled, so the place cannot leak.
WITH work AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(batch)s::json) AS r (n int, bucket smallint, merchant_id text, id text)
),
wanted AS MATERIALIZED (
    SELECT w.n, p.*, o.reusable, o.status AS order_status, o.receipt, o.notes AS order_notes,
           o.created_at AS order_created_at,
           row_number() OVER (PARTITION BY p.bucket, p.merchant_id, p.order_id
                              ORDER BY o.paying_payment_id IS NOT DISTINCT FROM p.id DESC, p.id) AS turn
    FROM work w
    JOIN payments p ON p.bucket = w.bucket AND p.merchant_id = w.merchant_id AND p.id = w.id
    JOIN orders o ON o.bucket = p.bucket AND o.merchant_id = p.merchant_id AND o.id = p.order_id
),
locked AS MATERIALIZED (
    SELECT o.bucket, o.merchant_id, o.id
    FROM orders o
    WHERE (o.bucket, o.merchant_id, o.id) IN (
        SELECT bucket, merchant_id, order_id FROM wanted WHERE NOT reusable AND turn = 1 AND status = 'pending')
    ORDER BY o.bucket, o.merchant_id, o.id
    FOR UPDATE
),
held_order AS (
    UPDATE orders o
    SET paying_payment_id = w.id
    FROM locked l, wanted w
    WHERE o.bucket = l.bucket AND o.merchant_id = l.merchant_id AND o.id = l.id
        AND w.bucket = l.bucket AND w.merchant_id = l.merchant_id AND w.order_id = l.id AND w.turn = 1
        AND o.status <> 'paid' AND (o.paying_payment_id IS NULL OR o.paying_payment_id = w.id)
    -- The newest row's, which may be newer than what this statement's snapshot saw before it had the lock.
    RETURNING w.n, o.attempts, o.version
)
SELECT w.n, w.order_id, w.amount, w.currency, w.method, w.vpa, w.flow, w.card_brand, w.card_last4, w.sealed_instrument,
       w.notes, w.status, w.version, w.created_at, w.reusable, w.order_status, w.receipt, w.order_notes,
       h.attempts AS order_attempts, h.version AS order_version, w.order_created_at,
       w.reusable OR h.n IS NOT NULL AS may_charge
FROM wanted w
LEFT JOIN held_order h ON h.n = w.n;

-- name: settle_payments
-- After the processor answered: the payment moves, its order counts it, the events say so and are owed to endpoints,
-- and the work is done: one statement, under the lease it was done with. What the processor needed is erased.
WITH outcome AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(batch)s::json) AS r (
        n int, bucket smallint, merchant_id text, work_id text, claims int, status text, error_code text,
        error_description text, processor_ref text, settled_at timestamptz, facts json)
),
{{outbox.hold_finished}},
moved AS (
    UPDATE payments p
    SET status = i.status, error_code = i.error_code, error_description = i.error_description,
        processor_ref = i.processor_ref, sealed_instrument = NULL, version = p.version + 1, updated_at = i.settled_at
    FROM held i
    WHERE p.bucket = i.bucket AND p.merchant_id = i.merchant_id AND p.id = i.work_id AND p.status = 'pending'
    RETURNING i.n, p.bucket, p.merchant_id, p.order_id, p.id, p.status, p.amount, i.settled_at, i.facts
),
counted AS MATERIALIZED (
    SELECT bucket, merchant_id, order_id, count(*) AS attempts, max(settled_at) AS settled_at,
           coalesce(sum(amount) FILTER (WHERE status = 'success'), 0)::bigint AS paid, array_agg(id) AS payment_ids
    FROM moved GROUP BY bucket, merchant_id, order_id
),
locked AS MATERIALIZED (
    SELECT o.bucket, o.merchant_id, o.id
    FROM orders o
    WHERE (o.bucket, o.merchant_id, o.id) IN (SELECT bucket, merchant_id, order_id FROM counted)
    ORDER BY o.bucket, o.merchant_id, o.id
    FOR UPDATE
),
ordered AS (
    UPDATE orders o
    SET attempts = o.attempts + c.attempts, amount_paid = o.amount_paid + c.paid,
        status = CASE WHEN NOT o.reusable AND o.amount_paid + c.paid = o.amount THEN 'paid' ELSE 'attempted' END,
        paying_payment_id = CASE WHEN o.paying_payment_id = ANY(c.payment_ids) THEN NULL ELSE o.paying_payment_id END,
        version = o.version + 1, updated_at = c.settled_at
    FROM locked l, counted c
    WHERE o.bucket = l.bucket AND o.merchant_id = l.merchant_id AND o.id = l.id
        AND c.bucket = l.bucket AND c.merchant_id = l.merchant_id AND c.order_id = l.id
),
facts AS MATERIALIZED (
    SELECT m.bucket, m.merchant_id, f.event_id, f.type, f.subject_id, f.body, m.settled_at AS created_at
    FROM moved m
    CROSS JOIN LATERAL json_to_recordset(m.facts) AS f (event_id text, type text, subject_id text, body text)
),
{{outbox.append_events}},
finished AS (
    SELECT false AS failed FROM held
),
{{outbox.tally_work}}
SELECT n FROM held;
