-- name: load_deliveries
-- What an attempt needs: the event's bytes and the endpoint as it is now. An open circuit holds it up until the probe;
-- one that is under way may end any moment, so that it is asked about again within a second.
SELECT w.n, v.body, e.url, e.sealed_secret,
       CASE WHEN e.previous_secret_expires_at > statement_timestamp() THEN e.sealed_previous_secret END
           AS sealed_previous_secret,
       e.retry_schedule, coalesce(e.enabled, false) AS enabled, e.sealed_headers, e.rate,
       coalesce(e.ordered, false) AS ordered, h.endpoint_id IS NOT NULL AS failing,
       CASE WHEN h.open_until > statement_timestamp()
                THEN extract(epoch FROM h.open_until - statement_timestamp())::float8
            WHEN h.probe_until > statement_timestamp()
                THEN least(extract(epoch FROM h.probe_until - statement_timestamp())::float8, 1)
            WHEN h.open_until IS NOT NULL THEN 0 END AS held_for
FROM json_to_recordset(%(batch)s::json)
    AS w (n int, bucket smallint, merchant_id text, event_id text, endpoint_id text)
LEFT JOIN events v ON v.bucket = w.bucket AND v.merchant_id = w.merchant_id AND v.id = w.event_id
LEFT JOIN endpoints e ON e.bucket = w.bucket AND e.merchant_id = w.merchant_id AND e.id = w.endpoint_id
LEFT JOIN endpoint_health h ON h.bucket = w.bucket AND h.merchant_id = w.merchant_id AND h.endpoint_id = w.endpoint_id;

-- name: settle_deliveries
-- Write down what became of attempts: an ended delivery moves from the outbox to the history, one that goes on gets
-- its next time; a receiver that answered 410 gets nothing more, and the merchant's others are told. All of it only
-- under the lease it was done with.
-- A failure of a delivery that was asked to start over meanwhile does so at once. Before a last failure ends a delivery
-- its row is locked for that question: asked of the snapshot, a wish that comes in between would go unheard. (Such a
-- failure has no delay, and constraints are checked of the row as the snapshot had it first: hence the `coalesce`.)
-- `= ANY(ARRAY[…])` keeps the planner from starting at the queue (docs/decisions/0005): no merge join could use it.
-- What was handed in comes along in RETURNING: joining it once more by `n` is quadratic, two thirds of the time at 200.
-- The commit does not wait for the disk: what a crash forgets is sent again, with the same webhook-id.
WITH outcome AS MATERIALIZED (
    SELECT r.n, r.bucket, r.merchant_id, r.work_id, r.claims, r.delay, r.attempt, r.started_at, r.duration_ms,
           r.request_headers, r.response_code, r.response_headers, r.response_body, r.error, r.disable, r.fact,
           r.endpoint_id, r.unasked,
           CASE WHEN r.status = 'failed' AND r.disable IS NULL AND r.started_at IS NOT NULL AND (
                    SELECT o.starts_over FROM outbox o
                    WHERE o.bucket = ANY(ARRAY[r.bucket]) AND o.merchant_id = r.merchant_id AND o.id = r.work_id
                        AND o.claims = r.claims AND o.leased_by = %(dispatcher)s
                    FOR UPDATE)
                THEN 'retry' ELSE r.status END AS status
    FROM json_to_recordset(%(batch)s::json) AS r (
        n int, bucket smallint, merchant_id text, work_id text, claims int, status text, delay float8, attempt smallint,
        started_at timestamptz, duration_ms int, request_headers text, response_code smallint, response_headers text,
        response_body text, error text, disable text, fact json, endpoint_id text, unasked boolean)
),
ended AS (
    DELETE FROM outbox o
    USING outcome i
    WHERE i.status <> 'retry' AND o.bucket = ANY(ARRAY[i.bucket]) AND o.merchant_id = i.merchant_id AND o.id = i.work_id
        AND o.claims = i.claims AND o.leased_by = %(dispatcher)s
    RETURNING i.*, o.event_id, o.event_type, o.subject_id, o.created_at, o.attempts AS attempts_before,
              o.last_attempt_at AS attempted_before, o.response_code AS response_before
),
rescheduled AS (
    UPDATE outbox o
    SET attempts = CASE WHEN o.starts_over THEN 0 ELSE i.attempt END, leased_by = NULL, starts_over = false,
        kind = CASE WHEN o.kind = 'webhook.ordered' THEN o.kind WHEN o.starts_over THEN 'webhook.deliver'
                    ELSE 'webhook.retry' END,
        last_attempt_at = i.started_at, response_code = i.response_code,
        next_retry_at = statement_timestamp()
            + CASE WHEN o.starts_over THEN 0 ELSE coalesce(i.delay, 0) END * interval '1 second'
    FROM outcome i
    WHERE i.status = 'retry' AND o.bucket = ANY(ARRAY[i.bucket]) AND o.merchant_id = i.merchant_id AND o.id = i.work_id
        AND o.claims = i.claims AND o.leased_by = %(dispatcher)s
    RETURNING i.*
),
archived AS (
    INSERT INTO deliveries (bucket, merchant_id, id, event_id, event_type, subject_id, endpoint_id, status, attempts,
                            claims, response_code, created_at, last_attempt_at, finished_at)
    SELECT bucket, merchant_id, work_id, event_id, event_type, subject_id, endpoint_id, status,
           CASE WHEN started_at IS NULL THEN attempts_before ELSE attempt END, claims,
           CASE WHEN started_at IS NULL THEN response_before ELSE response_code END, created_at,
           coalesce(started_at, attempted_before), statement_timestamp()
    FROM ended
),
settled AS (
    SELECT n, bucket, merchant_id, work_id, claims, endpoint_id, attempt, started_at, duration_ms, request_headers,
           response_code, response_headers, response_body, error, disable, status, unasked, fact
    FROM ended
    UNION ALL
    SELECT n, bucket, merchant_id, work_id, claims, endpoint_id, attempt, started_at, duration_ms, request_headers,
           response_code, response_headers, response_body, error, disable, status, unasked, fact
    FROM rescheduled
),
recorded AS (
    INSERT INTO delivery_attempts (bucket, merchant_id, delivery_id, claim, attempt, started_at, duration_ms,
                                   request_headers, response_code, response_headers, response_body, error)
    SELECT bucket, merchant_id, work_id, claims, attempt, started_at, duration_ms,
           request_headers, response_code, response_headers, decode(response_body, 'base64'), error
    FROM settled
    WHERE started_at IS NOT NULL
),
{{outbox.keep_health}},
disabled AS (
    UPDATE endpoints e
    SET enabled = false, disabled_reason = i.disable, disabled_at = i.at, updated_at = i.at, version = e.version + 1
    FROM (SELECT DISTINCT ON (bucket, merchant_id, endpoint_id) bucket, merchant_id, endpoint_id, disable, fact,
                 coalesce((fact ->> 'disabled_at')::timestamptz, statement_timestamp()) AS at
          FROM settled WHERE disable IS NOT NULL
          ORDER BY bucket, merchant_id, endpoint_id) i
    WHERE e.bucket = i.bucket AND e.merchant_id = i.merchant_id AND e.id = i.endpoint_id AND e.enabled
        AND (SELECT count(*) FROM failing) IS NOT NULL  -- health before endpoints, as whoever changes them locks them
    RETURNING e.bucket, e.merchant_id, e.id, i.fact, i.at
),
facts AS MATERIALIZED (
    SELECT d.bucket, d.merchant_id, f.event_id, f.type, d.id AS subject_id, f.body, d.at AS created_at
    FROM disabled d
    CROSS JOIN LATERAL json_to_record(d.fact) AS f (event_id text, type text, body text)
    WHERE d.fact IS NOT NULL
),
{{outbox.append_events}},
finished AS (
    SELECT status = 'failed' AS failed FROM ended
),
{{outbox.tally_work}}
SELECT n, set_config('synchronous_commit', 'off', true) FROM settled;
