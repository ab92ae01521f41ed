-- name: list_key_uses
-- A merchant's keys with what one asks of them: those that open something first, then the revoked ones, newest first.
SELECT id, name, scopes, created_at, created_by, last_used_at, revoked_at
FROM api_keys
WHERE merchant_id = {{outbox.tenant}}
ORDER BY revoked_at IS NOT NULL, created_at DESC, id DESC
LIMIT %(limit)s;
