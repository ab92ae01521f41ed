-- name: create_orders
-- Open orders and store each answer under its idempotency key: one statement, one commit.
WITH request AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(batch)s::json) AS r (
        n int, bucket smallint, merchant_id text, id text, amount bigint, currency text, receipt text, notes text,
        reusable boolean, created_at timestamptz, idempotency_key text, request_hash text, body text)
    WHERE r.merchant_id = {{outbox.tenant}}
),
{{gateway.prior_answers}},
answer AS (
    SELECT r.*, 201 AS status FROM request r WHERE NOT EXISTS (SELECT FROM prior p WHERE p.n = r.n)
),
{{gateway.claim_keys}},
accepted AS (
    SELECT a.* FROM answer a
    LEFT JOIN claimed c ON c.bucket = a.bucket AND c.merchant_id = a.merchant_id AND c.key = a.idempotency_key
    WHERE a.idempotency_key IS NULL OR c.key IS NOT NULL
),
opened AS (
    INSERT INTO orders (bucket, merchant_id, id, amount, currency, receipt, notes, reusable, created_at, updated_at)
    SELECT bucket, merchant_id, id, amount, currency, receipt, notes, reusable, created_at, created_at FROM accepted
)
SELECT r.n,
       CASE WHEN p.n IS NOT NULL THEN 'replayed' WHEN a.n IS NOT NULL THEN 'created' ELSE 'raced' END AS verdict,
       coalesce(p.stored_body, a.body) AS body, coalesce(p.stored_status, a.status) AS status, p.stored_hash
FROM request r
LEFT JOIN prior p ON p.n = r.n
LEFT JOIN accepted a ON a.n = r.n;

-- name: get_order
-- One order of one merchant.
SELECT id, amount, amount_paid, currency, receipt, notes, reusable, status, attempts, version, created_at
FROM orders
WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND id = %(id)s;

-- name: list_orders
-- A page of a merchant's orders, newest first. Their ids may be the merchant's own and hold no time, so the place in
-- the list is (created_at, id), and a cursor's row is looked up here. A scan begins at the first bound that is named, or
-- at a tighter one like it; a pair is like no other. So the cursor's time stands before the pair, and both before the
-- range: else a page deep within a range begins at the range's end, and walks to the cursor.
WITH walk AS (
    SELECT id, amount, amount_paid, currency, receipt, notes, reusable, status, attempts, version, created_at
    FROM orders
    WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}}
        --? AND receipt = %(receipt)s
        --? AND created_at <= ({{gateway.order_time}} AND id = %(after)s)
        --? AND created_at >= ({{gateway.order_time}} AND id = %(before)s)
        --? AND (created_at, id) < ({{gateway.order_place}} AND id = %(after)s)
        --? AND (created_at, id) > ({{gateway.order_place}} AND id = %(before)s)
        --? AND created_at >= %(created_from)s
        --? AND created_at < %(created_to)s
    ORDER BY created_at DESC, id DESC
    LIMIT 10000
    --? + %(offset)s
),
matched AS (
    SELECT walk.*, true
        --? AND status = %(status)s
        AS matches
    FROM walk
)
{{outbox.page_of_walk}};

-- fragment: order_place
-- Where an order stands in the list; no row, and so nothing after or before it, for an unknown one.
SELECT created_at, id FROM orders WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}}

-- fragment: order_time
-- The same without the id.
SELECT created_at FROM orders WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}}
