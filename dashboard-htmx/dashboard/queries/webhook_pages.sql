-- name: log_mark
-- Changes when anything in a merchant's log does: by its newest deliveries, and its oldest open ones, among which are
-- those that were made to start over. Asked once a second while somebody looks.
SELECT md5(coalesce(string_agg(concat_ws(' ', id, attempts, response_code, status), ',' ORDER BY place, id), '')) AS mark
FROM (
    (SELECT 1 AS place, id, attempts, response_code, 'pending' AS status
     FROM outbox
     WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND id > %(since_id)s AND id < 'dlv`'
     ORDER BY id DESC
     LIMIT 30)
    UNION ALL
    (SELECT 2, id, attempts, response_code, 'pending'
     FROM outbox
     WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND id > 'dlv_' AND id < 'dlv`'
     ORDER BY id
     LIMIT 30)
    UNION ALL
    (SELECT 3, id, attempts, response_code, status
     FROM deliveries
     WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND id > %(since_id)s AND id < 'dlv`'
     ORDER BY id DESC
     LIMIT 30)
) AS looked;

-- name: delivery_mark
-- Changes with every step of one delivery.
SELECT concat_ws(' ', status, attempts, last_attempt_at, next_retry_at, response_code) AS mark
FROM webhook_logs
WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND id = %(id)s;
