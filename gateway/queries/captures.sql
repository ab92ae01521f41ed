-- name: read_before_capture
-- What a capture is judged by before anything is written: the stored answer of its key, and the payment.
-- Always one row; without `id` there is no such payment.
WITH request AS MATERIALIZED (
    SELECT 0 AS n, %(bucket)s::smallint AS bucket, {{outbox.tenant}} AS merchant_id, %(id)s::text AS payment_id,
           %(key)s::text AS idempotency_key, %(now)s::timestamptz AS created_at
),
{{gateway.prior_answers}}
SELECT k.stored_hash, k.stored_status, k.stored_body,
       p.id, p.order_id, p.amount, p.currency, p.method, p.vpa, p.flow, p.card_brand, p.card_last4, p.notes, p.status,
       p.amount_captured, p.amount_refunded, p.error_code, p.error_description, p.version, p.created_at, p.updated_at
FROM request r
LEFT JOIN prior k ON k.n = r.n
LEFT JOIN payments p ON p.bucket = r.bucket AND p.merchant_id = r.merchant_id AND p.id = r.payment_id;

-- name: capture_payment
-- Take the money that a successful payment set aside: under the row's lock it is checked once more that nobody
-- captured it and that no refund went above it, then the key is claimed, the payment moves, its event is written and
-- the answer stored: one commit. Only refunds can have changed what the payment shows since it was read, so their sum
-- and the version are put into the JSON here. No row: somebody was first, and the caller reads again.
WITH request AS MATERIALIZED (
    SELECT * FROM json_to_record(%(request)s::json) AS r (
        bucket smallint, merchant_id text, id text, amount bigint, created_at timestamptz, idempotency_key text,
        request_hash text, head text, middle text, tail text, event_id text, event_time bigint)
    WHERE r.merchant_id = {{outbox.tenant}}
),
answer AS MATERIALIZED (
    SELECT r.*, 200 AS status,
           r.head || p.amount_refunded || r.middle || p.version + 1 || r.tail AS body
    FROM request r
    JOIN payments p ON p.bucket = r.bucket AND p.merchant_id = r.merchant_id AND p.id = r.id
    WHERE p.status = 'success' AND p.amount_captured = 0 AND p.amount_refunded <= r.amount
        AND p.amount_refunded < p.amount
    FOR NO KEY UPDATE OF p
),
{{gateway.claim_keys}},
accepted AS MATERIALIZED (
    SELECT a.* FROM answer a
    LEFT JOIN claimed c ON c.bucket = a.bucket AND c.merchant_id = a.merchant_id AND c.key = a.idempotency_key
    WHERE a.idempotency_key IS NULL OR c.key IS NOT NULL
),
captured AS (
    UPDATE payments p
    SET amount_captured = a.amount, version = p.version + 1, updated_at = a.created_at
    FROM accepted a
    WHERE p.bucket = a.bucket AND p.merchant_id = a.merchant_id AND p.id = a.id
),
facts AS MATERIALIZED (
    SELECT bucket, merchant_id, event_id, 'payment.captured' AS type, id AS subject_id, created_at,
           '{"id":"' || event_id || '","event":"payment.captured","timestamp":' || event_time
               || ',"data":{"payment":' || body || '}}' AS body
    FROM accepted
),
{{outbox.append_events}}
SELECT status, body FROM accepted;
