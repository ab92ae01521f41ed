-- name: newest_facts
-- A mark that changes whenever something happens to a merchant's payments: the ids of the newest 20 events, since one
-- that is committed late may not be the newest.
SELECT md5(coalesce(string_agg(id, ' '), '')) AS mark
FROM (
    SELECT id FROM events WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} ORDER BY id DESC LIMIT 20
) newest;

-- name: payments_again
-- Payments that a page shows, as they are by now.
SELECT id, order_id, amount, currency, method, vpa, flow, card_brand, card_last4, notes, status, amount_captured,
       amount_refunded, error_code, error_description, version, created_at, updated_at
FROM payments
WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND id = ANY(%(ids)s);

-- name: payment_mark
-- A mark that changes when a payment does, one of its refunds, or one of the open deliveries that its page shows.
SELECT md5(p.version || ' '
           || coalesce((SELECT string_agg(r.id || r.version, ' ' ORDER BY r.id) FROM refunds r
                        WHERE r.bucket = p.bucket AND r.merchant_id = {{outbox.tenant}} AND r.payment_id = p.id), '')
           || ' '
           || coalesce((SELECT string_agg(o.id || o.attempts, ' ' ORDER BY o.id) FROM outbox o
                        WHERE o.bucket = %(bucket)s AND o.merchant_id = {{outbox.tenant}} AND o.id = ANY(%(open)s)), ''))
       AS mark
FROM payments p
WHERE p.bucket = %(bucket)s AND p.merchant_id = {{outbox.tenant}} AND p.id = %(id)s;
