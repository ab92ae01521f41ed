-- name: note_audit
-- Somebody did something. In the transaction that did it.
INSERT INTO audit_log (bucket, merchant_id, id, at, user_id, actor, action, object, detail, address)
SELECT %(bucket)s, {{outbox.tenant}}, %(id)s, statement_timestamp(), %(user_id)s, %(actor)s, %(action)s, %(object)s,
       %(detail)s, %(address)s;

-- name: list_audit
-- What was done for a merchant, the newest first: a walk down the primary key.
SELECT id, at, user_id, actor, action, object, detail, address
FROM audit_log
WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}}
--? AND id < %(after)s
--? AND user_id = %(user_id)s
--? AND action LIKE %(action)s
ORDER BY id DESC
LIMIT %(limit)s;

-- name: end_audit
-- Of all merchants, by whoever owns the tables: what is past its retention. A few at a time, so that nothing else waits.
DELETE FROM audit_log WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM audit_log WHERE at < statement_timestamp() - %(days)s * interval '1 day' LIMIT 10000));
