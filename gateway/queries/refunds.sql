-- name: create_refund
-- Promise money back: the payment's row is locked and judged as it is then, the key claimed, what is left made less,
-- the refund and its event written, the work queued, the answer stored: one statement, one round trip, one commit.
-- Whoever races waits at the lock and is judged by what the one before has left; `payments_refunded` is the last word
-- for any writer that would not ask. A full refund's amount is known under the lock only, so its JSON is put together
-- here: head, amount, tail.
-- First the payment, then the key, as captures do: two requests cannot wait for each other crosswise.
WITH request AS MATERIALIZED (
    SELECT * FROM json_to_record(%(request)s::json) AS r (
        n int, bucket smallint, merchant_id text, id text, payment_id text, amount bigint, reason text,
        created_at timestamptz, idempotency_key text, request_hash text, head text, tail text, event_id text,
        event_time bigint)
    WHERE r.merchant_id = {{outbox.tenant}}
),
{{gateway.prior_answers}},
held AS MATERIALIZED (
    SELECT r.n, p.status AS payment_status,
           CASE WHEN p.amount_captured > 0 THEN p.amount_captured ELSE p.amount END - p.amount_refunded AS remaining
    FROM request r
    JOIN payments p ON p.bucket = r.bucket AND p.merchant_id = r.merchant_id AND p.id = r.payment_id
    WHERE NOT EXISTS (SELECT FROM prior)
    FOR NO KEY UPDATE OF p
),
judged AS MATERIALIZED (
    SELECT r.*, h.remaining, coalesce(r.amount, h.remaining) AS due,
           CASE WHEN k.n IS NOT NULL THEN 'replayed'
                WHEN h.n IS NULL THEN 'payment_unknown'
                WHEN h.payment_status <> 'success' THEN 'payment_not_successful'
                WHEN h.remaining = 0 THEN 'fully_refunded'
                WHEN r.amount > h.remaining THEN 'amount_too_large'
                ELSE 'accepted' END AS verdict,
           k.stored_hash, k.stored_status, k.stored_body
    FROM request r
    LEFT JOIN prior k ON k.n = r.n
    LEFT JOIN held h ON h.n = r.n
),
answer AS MATERIALIZED (
    SELECT j.*, 201 AS status, head || due || tail AS body FROM judged j WHERE verdict = 'accepted'
),
{{gateway.claim_keys}},
accepted AS MATERIALIZED (
    SELECT a.* FROM answer a
    LEFT JOIN claimed c ON c.bucket = a.bucket AND c.merchant_id = a.merchant_id AND c.key = a.idempotency_key
    WHERE a.idempotency_key IS NULL OR c.key IS NOT NULL
),
promised AS (
    UPDATE payments p
    SET amount_refunded = p.amount_refunded + a.due, version = p.version + 1, updated_at = a.created_at
    FROM accepted a
    WHERE p.bucket = a.bucket AND p.merchant_id = a.merchant_id AND p.id = a.payment_id
),
written AS (
    INSERT INTO refunds (bucket, merchant_id, id, payment_id, amount, reason, created_at)
    SELECT bucket, merchant_id, id, payment_id, due, reason, created_at FROM accepted
),
facts AS MATERIALIZED (
    SELECT bucket, merchant_id, event_id, 'refund.created' AS type, id AS subject_id, created_at,
           '{"id":"' || event_id || '","event":"refund.created","timestamp":' || event_time
               || ',"data":{"refund":' || body || '}}' AS body
    FROM accepted
),
{{outbox.append_events}},
queued AS (
    INSERT INTO outbox (bucket, merchant_id, id, kind, next_retry_at, created_at)
    SELECT bucket, merchant_id, id, 'refund.process', statement_timestamp(), created_at FROM accepted
)
SELECT CASE WHEN a.n IS NOT NULL THEN 'created' WHEN j.verdict = 'accepted' THEN 'raced' ELSE j.verdict END AS verdict,
       coalesce(j.stored_body, a.body) AS body, coalesce(j.stored_status, a.status) AS status, j.stored_hash,
       j.remaining
FROM judged j
LEFT JOIN accepted a ON a.n = j.n;

-- name: get_refund
-- One refund of one merchant.
SELECT id, payment_id, amount, reason, status, error_code, error_description, version, created_at, processed_at
FROM refunds
WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND id = %(id)s;

-- name: begin_refunds
-- Before the processor is called: what it is asked to pay back, and from which payment.
WITH work AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(batch)s::json) AS r (n int, bucket smallint, merchant_id text, id text)
)
SELECT w.n, r.id, r.payment_id, r.amount, r.reason, r.status, r.version, r.created_at, p.currency, p.processor_ref
FROM work w
JOIN refunds r ON r.bucket = w.bucket AND r.merchant_id = w.merchant_id AND r.id = w.id
JOIN payments p ON p.bucket = r.bucket AND p.merchant_id = r.merchant_id AND p.id = r.payment_id;

-- name: settle_refunds
-- After the processor answered: the refund moves, one that failed gives its amount back to the payment, the events say
-- so and are owed to endpoints, and the work is done: one statement, under the lease it was done with.
-- Failed refunds of one payment are added up first, since a statement can update a row once only.
WITH outcome AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(batch)s::json) AS r (
        n int, bucket smallint, merchant_id text, work_id text, claims int, status text, error_code text,
        error_description text, processor_ref text, settled_at timestamptz, facts json)
),
{{outbox.hold_finished}},
moved AS (
    UPDATE refunds r
    SET status = i.status, error_code = i.error_code, error_description = i.error_description,
        processor_ref = i.processor_ref, version = r.version + 1, processed_at = i.settled_at
    FROM held i
    WHERE r.bucket = i.bucket AND r.merchant_id = i.merchant_id AND r.id = i.work_id AND r.status = 'pending'
    RETURNING r.bucket, r.merchant_id, r.payment_id, r.status, r.amount, i.settled_at, i.facts
),
given_back AS MATERIALIZED (
    SELECT bucket, merchant_id, payment_id, sum(amount)::bigint AS amount, max(settled_at) AS settled_at
    FROM moved WHERE status = 'failed'
    GROUP BY bucket, merchant_id, payment_id
),
locked AS MATERIALIZED (
    SELECT p.bucket, p.merchant_id, p.id
    FROM payments p
    WHERE (p.bucket, p.merchant_id, p.id) IN (SELECT bucket, merchant_id, payment_id FROM given_back)
    ORDER BY p.bucket, p.merchant_id, p.id
    FOR NO KEY UPDATE
),
restored AS (
    UPDATE payments p
    SET amount_refunded = p.amount_refunded - g.amount, version = p.version + 1, updated_at = g.settled_at
    FROM locked l, given_back g
    WHERE p.bucket = l.bucket AND p.merchant_id = l.merchant_id AND p.id = l.id
        AND g.bucket = l.bucket AND g.merchant_id = l.merchant_id AND g.payment_id = l.id
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
