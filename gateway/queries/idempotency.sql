-- fragment: prior_answers
-- The stored answers of keys that are known. Reads a CTE `request (n, bucket, merchant_id, idempotency_key, created_at)`.
prior AS (
    SELECT r.n, k.request_hash AS stored_hash, k.status AS stored_status, k.body AS stored_body
    FROM request r
    JOIN idempotency_keys k ON k.bucket = r.bucket AND k.merchant_id = r.merchant_id AND k.key = r.idempotency_key
        AND k.created_at > r.created_at - interval '24 hours'
)

-- fragment: claim_keys
-- Store the answer under its key, in the statement of the effect. A concurrent duplicate waits here on the unique
-- index until the first one has committed, and then gets no row. An expired key is taken over in place.
-- Reads a CTE `answer (bucket, merchant_id, idempotency_key, request_hash, status, body, created_at)`; sorted, so that
-- two batches cannot wait for each other's keys crosswise.
claimed AS (
    INSERT INTO idempotency_keys AS k (bucket, merchant_id, key, request_hash, status, body, created_at)
    SELECT bucket, merchant_id, idempotency_key, request_hash, status, body, created_at
    FROM answer
    WHERE idempotency_key IS NOT NULL
    ORDER BY bucket, merchant_id, idempotency_key
    ON CONFLICT (bucket, merchant_id, key) DO UPDATE
        SET request_hash = EXCLUDED.request_hash, status = EXCLUDED.status, body = EXCLUDED.body, sealed_body = NULL,
            created_at = EXCLUDED.created_at
        WHERE k.created_at <= EXCLUDED.created_at - interval '24 hours'
    RETURNING bucket, merchant_id, key
)

-- name: read_answer
-- The rare second statement: a concurrent duplicate waited for a row that its own snapshot could not see.
SELECT request_hash, status, body, sealed_body
FROM idempotency_keys
WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND key = %(key)s;

-- name: claim_key
-- Take a key for the rest of the transaction, whose effect will have an answer; an expired one is taken over in place.
-- No row for a key that has an answer; a concurrent duplicate waits here first.
INSERT INTO idempotency_keys AS k (bucket, merchant_id, key, request_hash, status, body, created_at)
SELECT %(bucket)s, {{outbox.tenant}}, %(key)s, %(request_hash)s, 102, '', statement_timestamp()
ON CONFLICT (bucket, merchant_id, key) DO UPDATE
    SET request_hash = EXCLUDED.request_hash, status = EXCLUDED.status, body = EXCLUDED.body, sealed_body = NULL,
        created_at = EXCLUDED.created_at
    WHERE k.created_at <= EXCLUDED.created_at - interval '24 hours'
RETURNING key;

-- name: store_answer
-- The answer of the effect that the key was claimed for, in its transaction.
UPDATE idempotency_keys SET status = %(status)s, body = %(body)s, sealed_body = %(sealed_body)s
WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND key = %(key)s;

-- name: forget_expired_keys
-- Keys past 24 hours may be used anew already; this takes their rows away, a bounded number at a time.
DELETE FROM idempotency_keys
WHERE (bucket, merchant_id, key) IN (
    SELECT bucket, merchant_id, key FROM idempotency_keys
    WHERE bucket = ANY(%(buckets)s::smallint[]) AND created_at < statement_timestamp() - interval '25 hours'
    LIMIT %(limit)s);
