-- name: read_delivery
-- One delivery, open or finished, with the bytes that are sent, where they go, and its newest attempts, in one look:
-- it may be on its way between outbox and history. While it is leased, `next_retry_at` is the end of the lease, which
-- is nobody's business. Sub-selects, not joins: planned while the tables were empty, a join looks events up by their
-- merchant alone, and a sub-select by their whole key (docs/decisions/0005).
SELECT d.id, d.event_id, d.event_type AS event, d.endpoint_id, d.status, d.attempts, d.created_at, d.last_attempt_at,
       d.response_code,
       (SELECT e.url FROM endpoints e
        WHERE e.bucket = d.bucket AND e.merchant_id = d.merchant_id AND e.id = d.endpoint_id) AS endpoint_url,
       (SELECT v.body FROM events v
        WHERE v.bucket = d.bucket AND v.merchant_id = d.merchant_id AND v.id = d.event_id) AS body,
       (SELECT o.next_retry_at FROM outbox o
        WHERE o.bucket = d.bucket AND o.merchant_id = d.merchant_id AND o.id = d.id
            AND (o.leased_by IS NULL OR o.next_retry_at <= statement_timestamp())) AS next_retry_at,
       (SELECT coalesce(json_agg(h ORDER BY h.claim DESC), '[]')::text
        FROM (
            SELECT a.claim, a.attempt AS number, a.started_at, a.duration_ms, a.request_headers, a.response_code,
                   a.response_headers, encode(a.response_body, 'hex') AS response_body, a.error
            FROM delivery_attempts a
            WHERE a.bucket = d.bucket AND a.merchant_id = d.merchant_id AND a.delivery_id = d.id
            ORDER BY a.claim DESC
            LIMIT %(limit)s
        ) h) AS history
FROM webhook_logs d
WHERE d.bucket = %(bucket)s AND d.merchant_id = {{outbox.tenant}} AND d.id = %(id)s;

-- name: retry_delivery
-- Send again now, attempts start over. A finished delivery moves back from the history to the outbox, in one commit:
-- it is never in both, and never in neither. `claims` goes on counting, so that the fence holds and the attempts of
-- before keep their keys. An open one is due at once. One with an attempt under way keeps its lease and is told apart
-- (`starts_over`). The SET looks at the row as it is once it is locked, so a claim in between changes nothing.
-- A row without `taken` lost a race with a move of the same delivery, and is asked again.
-- Somebody waits for it, so an open circuit is half open now: this delivery may be the probe.
WITH delivery AS MATERIALIZED (
    SELECT d.endpoint_id,
           CASE
               WHEN NOT EXISTS (SELECT FROM events v
                                WHERE v.bucket = d.bucket AND v.merchant_id = d.merchant_id AND v.id = d.event_id)
                   THEN 'event_gone'
               ELSE coalesce(
                   (SELECT CASE WHEN e.enabled THEN 'ok' ELSE 'endpoint_disabled' END FROM endpoints e
                    WHERE e.bucket = d.bucket AND e.merchant_id = d.merchant_id AND e.id = d.endpoint_id),
                   'endpoint_gone')
           END AS verdict,
           CASE WHEN (SELECT e.ordered FROM endpoints e
                      WHERE e.bucket = d.bucket AND e.merchant_id = d.merchant_id AND e.id = d.endpoint_id)
                THEN 'webhook.ordered' ELSE 'webhook.deliver' END AS kind
    FROM webhook_logs d
    WHERE d.bucket = %(bucket)s AND d.merchant_id = {{outbox.tenant}} AND d.id = %(id)s
),
unfinished AS (
    DELETE FROM deliveries d
    WHERE d.bucket = %(bucket)s AND d.merchant_id = {{outbox.tenant}} AND d.id = %(id)s
        AND EXISTS (SELECT FROM delivery WHERE verdict = 'ok')
    RETURNING d.*
),
moved AS (
    INSERT INTO outbox (bucket, merchant_id, id, kind, event_id, event_type, subject_id, endpoint_id, claims,
                        next_retry_at, created_at, last_attempt_at, response_code)
    SELECT bucket, merchant_id, id, (SELECT kind FROM delivery), event_id, event_type, subject_id, endpoint_id, claims,
           statement_timestamp(), created_at, last_attempt_at, response_code
    FROM unfinished
    RETURNING id
),
hastened AS (
    UPDATE outbox o
    SET attempts = CASE WHEN o.leased_by IS NULL OR o.next_retry_at <= statement_timestamp() THEN 0 ELSE o.attempts END,
        kind = CASE o.kind WHEN 'webhook.retry' THEN 'webhook.deliver' ELSE o.kind END,
        starts_over = o.leased_by IS NOT NULL AND o.next_retry_at > statement_timestamp(),
        next_retry_at = CASE WHEN o.leased_by IS NULL OR o.next_retry_at <= statement_timestamp()
                             THEN statement_timestamp() ELSE o.next_retry_at END,
        leased_by = CASE WHEN o.next_retry_at > statement_timestamp() THEN o.leased_by END
    WHERE o.bucket = %(bucket)s AND o.merchant_id = {{outbox.tenant}} AND o.id = %(id)s AND o.event_id IS NOT NULL
        AND EXISTS (SELECT FROM delivery WHERE verdict = 'ok')
    RETURNING id
),
probing AS (
    UPDATE endpoint_health
    SET open_until = statement_timestamp()
    WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}}
        AND endpoint_id = (SELECT d.endpoint_id FROM delivery d WHERE d.verdict = 'ok')
        AND open_until > statement_timestamp()
)
SELECT verdict, EXISTS (SELECT FROM moved) OR EXISTS (SELECT FROM hastened) AS taken FROM delivery;

-- name: append_test_event
-- A test event and its one delivery, to one endpoint, whatever that endpoint's filter says; on its way at once,
-- whatever its schedule says. Its subject is the endpoint, so that no list of a payment shows it. An open circuit is half
-- open now: somebody asks whether the endpoint works again, and this may be the probe.
WITH probing AS (
    UPDATE endpoint_health
    SET open_until = statement_timestamp()
    WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND endpoint_id = %(endpoint_id)s
        AND open_until > statement_timestamp()
),
told AS (
    INSERT INTO events (bucket, merchant_id, id, type, subject_id, deliveries, body, created_at)
    SELECT %(bucket)s, {{outbox.tenant}}, %(event_id)s, %(type)s, %(endpoint_id)s, 1, %(body)s, %(created_at)s
)
INSERT INTO outbox (bucket, merchant_id, id, kind, event_id, event_type, subject_id, endpoint_id, next_retry_at,
                    created_at)
SELECT %(bucket)s, {{outbox.tenant}}, %(id)s, 'webhook.deliver', %(event_id)s, %(type)s, %(endpoint_id)s,
       %(endpoint_id)s, statement_timestamp(), %(created_at)s;
