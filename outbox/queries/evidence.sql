-- name: evidence_secrets
-- Every secret that signs for a merchant, and those that were replaced, with the endpoint that a question is about: the
-- named one, else the one that the named delivery went to, else the default. A merchant has 50 endpoints at most.
SELECT e.id AS endpoint_id, e.sealed_secret, e.sealed_previous_secret, e.previous_secret_expires_at,
       e.id IS NOT DISTINCT FROM coalesce(
           %(endpoint_id)s::text,
           (SELECT d.endpoint_id FROM webhook_logs d
            WHERE d.bucket = %(bucket)s AND d.merchant_id = {{outbox.tenant}} AND d.id = %(delivery_id)s::text),
           (SELECT f.id FROM endpoints f
            WHERE f.bucket = %(bucket)s AND f.merchant_id = {{outbox.tenant}} AND f.is_default)) AS own
FROM endpoints e
WHERE e.bucket = %(bucket)s AND e.merchant_id = {{outbox.tenant}}
ORDER BY e.id;

-- name: evidence_event
-- The bytes of an event.
SELECT body FROM events WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND id = %(id)s;

-- name: evidence_timestamps
-- When an event's attempts were signed: a delivery's id is its event's but for the last two characters.
SELECT a.request_headers::json ->> 'webhook-timestamp' AS signed_at
FROM delivery_attempts a
WHERE a.bucket = %(bucket)s AND a.merchant_id = {{outbox.tenant}}
    AND a.delivery_id >= 'dlv_' || substr(%(id)s, 5, 24) || '00' AND a.delivery_id <= 'dlv_' || substr(%(id)s, 5, 24) || 'zz'
ORDER BY a.delivery_id, a.claim
LIMIT 100;
