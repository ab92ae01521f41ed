-- name: list_refunds
-- A page of a merchant's refunds, newest first: over the primary key, or over the payment's index.
WITH walk AS (
    SELECT id, payment_id, amount, reason, status, error_code, error_description, version, created_at, processed_at
    FROM refunds
    WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}}
        --? AND payment_id = %(payment_id)s
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
        --? AND created_at >= %(created_from)s
        --? AND created_at < %(created_to)s
        AS matches
    FROM walk
)
{{outbox.page_of_walk}};

-- name: list_pending_refunds
-- The same for the pending ones, from their work in the outbox (see list_pending_payments).
WITH walk AS (
    SELECT r.id, r.payment_id, r.amount, r.reason, r.status, r.error_code, r.error_description, r.version,
           r.created_at, r.processed_at
    FROM outbox o
    JOIN refunds r ON r.bucket = o.bucket AND r.merchant_id = o.merchant_id AND r.id = o.id
    WHERE o.bucket = %(bucket)s AND o.merchant_id = {{outbox.tenant}} AND o.kind = 'refund.process'
        AND o.id > 'rfnd_' AND o.id < 'rfnd`'
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
        --? AND payment_id = %(payment_id)s
        --? AND created_at >= %(created_from)s
        --? AND created_at < %(created_to)s
        AS matches
    FROM walk
)
{{outbox.page_of_walk}};
