-- name: find_key
-- The merchant behind an API key, and what the key may do; no row for a key that is revoked or was never there.
SELECT key_id, secret_hash, scopes, merchant_id, bucket, name FROM find_api_key(%(key_id)s);

-- name: add_merchant
-- A new account; the same account again changes nothing.
INSERT INTO merchants (id, bucket, name, created_at)
VALUES (%(id)s, %(bucket)s, %(name)s, statement_timestamp())
ON CONFLICT (id) DO NOTHING;

-- name: add_key
-- A new API key; the same key again changes nothing.
INSERT INTO api_keys (id, merchant_id, secret_hash, scopes, created_at)
VALUES (%(id)s, %(merchant_id)s, %(secret_hash)s, %(scopes)s, statement_timestamp())
ON CONFLICT (id) DO NOTHING;

-- name: revoke_key
-- From now on this key opens nothing; processes that believed it forget it within seconds.
UPDATE api_keys SET revoked_at = statement_timestamp()
WHERE id = %(id)s AND merchant_id = %(merchant_id)s AND revoked_at IS NULL;
