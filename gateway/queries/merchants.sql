-- name: find_key
-- The merchant behind an API key, and what the key may do; no row for a key that is revoked or was never there.
SELECT key_id, secret_hash, scopes, merchant_id, bucket, name FROM find_api_key(%(key_id)s);

-- name: mark_keys_used
-- These keys, of whichever merchants, were used just now.
SELECT mark_keys_used(%(used)s);

-- name: add_merchant
-- A new account; the same account again changes nothing.
INSERT INTO merchants (id, bucket, name, created_at)
VALUES (%(id)s, %(bucket)s, %(name)s, statement_timestamp())
ON CONFLICT (id) DO NOTHING;

-- name: add_key
-- A new API key; the same key again changes nothing.
INSERT INTO api_keys (id, merchant_id, secret_hash, scopes, name, created_at)
VALUES (%(id)s, %(merchant_id)s, %(secret_hash)s, %(scopes)s, %(name)s, statement_timestamp())
ON CONFLICT (id) DO NOTHING;

-- name: revoke_key
-- From now on this key opens nothing; processes that believed it forget it within seconds.
UPDATE api_keys SET revoked_at = statement_timestamp()
WHERE id = %(id)s AND merchant_id = %(merchant_id)s AND revoked_at IS NULL;

-- name: lock_keys
-- Who makes or revokes a key waits for whoever does so for the same merchant: the next statement counts what is there.
SELECT pg_advisory_xact_lock(2, hashtext(%(merchant_id)s));

-- name: judge_new_key
-- How many active keys a merchant has, and whether the caller's own still is one: a process may believe a revoked key
-- for some seconds, and in these it must not make itself a successor.
SELECT count(*) AS active, count(*) FILTER (WHERE id = %(caller)s) > 0 AS caller_active
FROM api_keys
WHERE merchant_id = {{outbox.tenant}} AND revoked_at IS NULL;

-- name: create_key
-- A new API key of the merchant that calls.
INSERT INTO api_keys (id, merchant_id, secret_hash, scopes, name, created_at, created_by)
SELECT %(id)s, {{outbox.tenant}}, %(secret_hash)s, %(scopes)s, %(name)s, statement_timestamp(), %(created_by)s
RETURNING id, name, scopes, created_at;

-- name: list_keys
-- A merchant's keys: those that open something first, then what was revoked; the newest first in each.
SELECT id, name, scopes, created_at, revoked_at
FROM api_keys
WHERE merchant_id = {{outbox.tenant}}
ORDER BY revoked_at IS NOT NULL, created_at DESC, id DESC
LIMIT %(limit)s;

-- name: revoke_own_key
-- From now on this key opens nothing; one that was revoked before keeps the time of that.
UPDATE api_keys SET revoked_at = coalesce(revoked_at, statement_timestamp())
WHERE merchant_id = {{outbox.tenant}} AND id = %(id)s
RETURNING id, name, scopes, created_at, revoked_at;
