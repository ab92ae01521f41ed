-- name: lock_checkout
-- Whoever pays this order from the checkout waits for whoever is just doing so: the next statement sees what that made.
-- A lock by name, since the API may not lock an order's row, which dispatchers settle.
SELECT pg_advisory_xact_lock(4, hashtext(%(place)s));

-- name: get_checkout
-- What the checkout shows of an order, and where it may be shown.
SELECT o.id, o.amount, o.currency, o.reusable, o.status, m.name, m.checkout_origins
FROM orders o
JOIN merchants m ON m.id = o.merchant_id
WHERE o.bucket = %(bucket)s AND o.merchant_id = {{outbox.tenant}} AND o.id = %(id)s;

-- name: get_deciding_payment
-- The payment that says how an order stands that is paid once: the one that paid it, else the one that is in flight.
-- What failed decides nothing. The newest 200 tries are looked at; the checkout itself has one in flight at a time.
WITH tries AS (
    SELECT id, order_id, amount, currency, method, vpa, flow, card_brand, card_last4, notes, status, amount_captured,
           amount_refunded, error_code, error_description, version, created_at, updated_at
    FROM payments
    WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND order_id = %(order_id)s
    ORDER BY id DESC
    LIMIT 200
)
SELECT * FROM tries WHERE status <> 'failed' ORDER BY status = 'success' DESC, id DESC LIMIT 1;

-- name: count_declined_cards
-- How many of the newest 200 tries at an order were cards that failed, within the hour: where many did, somebody finds
-- out which of his cards are good.
SELECT count(*) AS declined
FROM (
    SELECT method, status, created_at
    FROM payments
    WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND order_id = %(order_id)s
    ORDER BY id DESC
    LIMIT 200
) AS tries
WHERE method = 'card' AND status = 'failed' AND created_at > statement_timestamp() - interval '1 hour';

-- name: get_payment_statuses
-- How all payments stand that somebody waits for, of any merchant: `watched` is JSON of {n, bucket, merchant_id, id}.
SELECT n, status FROM payment_statuses(%(watched)s);

-- name: get_checkout_origins
-- Where a merchant's pages may show the checkout in a frame.
SELECT checkout_origins FROM merchants WHERE id = {{outbox.tenant}};

-- name: set_checkout_origins
-- From now on the checkout may be shown in frames there and nowhere else.
UPDATE merchants SET checkout_origins = %(origins)s WHERE id = {{outbox.tenant}} RETURNING checkout_origins;
