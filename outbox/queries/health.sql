-- fragment: circuit_opens
-- Whether a failure opens the circuit: the last one of a row of them, or the probe's.
CASE WHEN h.open_until IS NULL THEN h.failures + EXCLUDED.failures >= %(trip_after)s::int
     ELSE h.open_until <= statement_timestamp() END

-- fragment: keep_health
-- What attempts say of their endpoints, within the statement that writes them down: any success ends an endpoint's
-- trouble, failures alone add to it. Reads a CTE `settled (n, bucket, merchant_id, endpoint_id, status, started_at,
-- response_code, error, unasked)`. An endpoint that works has no row and costs one look at an index. Those in trouble
-- are taken one after the other in one order before anything is done to their rows: rows come and go, so that locks on
-- them alone would let two dispatchers wait for each other crosswise.
judged AS MATERIALIZED (
    SELECT bucket, merchant_id, endpoint_id, bool_or(status = 'success') AS works, count(*) AS attempts,
           (array_agg(left(coalesce(error, 'HTTP ' || response_code, 'no answer'), 200) ORDER BY n DESC)
               FILTER (WHERE status <> 'success'))[1] AS last_error
    FROM settled
    WHERE started_at IS NOT NULL AND unasked IS NOT TRUE
    GROUP BY bucket, merchant_id, endpoint_id
),
troubled AS MATERIALIZED (
    SELECT t.*, pg_advisory_xact_lock(3, t.place)
    FROM (
        SELECT j.*, hashtext(j.endpoint_id) AS place
        FROM judged j
        LEFT JOIN endpoint_health h
            ON h.bucket = j.bucket AND h.merchant_id = j.merchant_id AND h.endpoint_id = j.endpoint_id
        WHERE NOT j.works OR h.endpoint_id IS NOT NULL
        ORDER BY place
        OFFSET 0
    ) t
),
recovered AS (
    DELETE FROM endpoint_health h
    USING troubled t
    WHERE t.works AND h.bucket = t.bucket AND h.merchant_id = t.merchant_id AND h.endpoint_id = t.endpoint_id
),
failing AS (
    INSERT INTO endpoint_health AS h (bucket, merchant_id, endpoint_id, failures, failing_since, last_failure_at,
                                      last_error, open_until, trips)
    SELECT j.bucket, j.merchant_id, j.endpoint_id, j.attempts, statement_timestamp(), statement_timestamp(),
           j.last_error,
           CASE WHEN j.attempts >= %(trip_after)s::int
                THEN statement_timestamp() + %(open_base)s::float8 * interval '1 second' END,
           (j.attempts >= %(trip_after)s::int)::int
    FROM troubled j
    JOIN endpoints e ON e.bucket = j.bucket AND e.merchant_id = j.merchant_id AND e.id = j.endpoint_id
    WHERE NOT j.works
    ON CONFLICT (bucket, merchant_id, endpoint_id) DO UPDATE
        SET failures = h.failures + EXCLUDED.failures, last_error = EXCLUDED.last_error,
            last_failure_at = greatest(h.last_failure_at, EXCLUDED.last_failure_at),  -- who waited began earlier
            open_until = CASE WHEN {{outbox.circuit_opens}}
                THEN statement_timestamp()
                    + least(%(open_base)s::float8 * 2 ^ least(h.trips, 30), %(open_max)s::float8) * interval '1 second'
                ELSE h.open_until END,
            trips = h.trips + ({{outbox.circuit_opens}})::int,
            probed_by = CASE WHEN NOT {{outbox.circuit_opens}} THEN h.probed_by END,
            probe_until = CASE WHEN NOT {{outbox.circuit_opens}} THEN h.probe_until END
    RETURNING h.endpoint_id
)

-- name: begin_probes
-- Win the one probe of each half-open circuit; a probe of which nothing was heard in its time is another's to send.
-- A row that somebody holds is being settled or probed at this moment, and is asked for again.
WITH wanted AS MATERIALIZED (
    SELECT DISTINCT ON (r.bucket, r.merchant_id, r.endpoint_id) r.bucket, r.merchant_id, r.endpoint_id, r.work_id
    FROM json_to_recordset(%(batch)s::json) AS r (
        n int, bucket smallint, merchant_id text, endpoint_id text, work_id text)
    ORDER BY r.bucket, r.merchant_id, r.endpoint_id, r.n
),
free AS MATERIALIZED (
    SELECT h.bucket, h.merchant_id, h.endpoint_id, w.work_id
    FROM wanted w
    JOIN endpoint_health h ON h.bucket = w.bucket AND h.merchant_id = w.merchant_id AND h.endpoint_id = w.endpoint_id
    WHERE h.open_until <= statement_timestamp()
        AND (h.probe_until IS NULL OR h.probe_until <= statement_timestamp())
    FOR UPDATE OF h SKIP LOCKED
)
UPDATE endpoint_health h
SET probed_by = %(dispatcher)s, probe_until = statement_timestamp() + %(lease)s::float8 * interval '1 second'
FROM free f
WHERE h.bucket = f.bucket AND h.merchant_id = f.merchant_id AND h.endpoint_id = f.endpoint_id
RETURNING f.work_id, set_config('synchronous_commit', 'off', true);

-- fragment: health_shown
-- What is known of an endpoint in trouble, NULL for one that works. Stands where `endpoints` is at hand, whose row says
-- whose it is.
(SELECT json_build_object(
            'state', 'failing',
            'circuit', CASE WHEN h.open_until IS NULL THEN 'closed'
                            WHEN h.open_until > statement_timestamp() THEN 'open' ELSE 'half_open' END,
            'failures', h.failures, 'failing_since', h.failing_since, 'last_failure_at', h.last_failure_at,
            'last_error', h.last_error, 'probe_at', h.open_until, 'warnings', h.warnings, 'warned_at', h.warned_at)
 FROM endpoint_health h
 WHERE h.bucket = endpoints.bucket AND h.merchant_id = endpoints.merchant_id AND h.endpoint_id = endpoints.id)

-- name: failing_endpoints
-- Endpoints of which a merchant is due to hear. `steps`: seconds of nothing but failures after which the first warning
-- is due, the next ones, and the end, which also keeps its distance from the last warning; without a last step there is
-- no end. Reads the whole table: no endpoint that works is in it.
SELECT endpoints.bucket, endpoints.merchant_id, {{outbox.endpoint_shown}}, {{outbox.health_shown}} AS health,
       t.warned_at, statement_timestamp() AS now
FROM endpoint_health t
JOIN endpoints
    ON endpoints.bucket = t.bucket AND endpoints.merchant_id = t.merchant_id AND endpoints.id = t.endpoint_id
WHERE endpoints.enabled
    AND extract(epoch FROM t.last_failure_at - t.failing_since) >= (%(steps)s::float8[])[t.warnings + 1]
    AND (t.warnings < cardinality(%(steps)s::float8[]) - 1
         OR t.warned_at <= statement_timestamp() - %(pause)s::float8 * interval '1 second')
ORDER BY t.failing_since
LIMIT %(limit)s;

-- name: tell_of_failing
-- Warn of a failing endpoint or disable it, and tell the merchant's other endpoints, if it still is as it was found:
-- two dispatchers that found it tell once, and a success that came in between is the end of the matter. Both rows are
-- held, health first as everybody does, before either is changed.
WITH failing AS MATERIALIZED (
    SELECT h.bucket, h.merchant_id, h.endpoint_id
    FROM endpoint_health h
    WHERE h.bucket = %(bucket)s AND h.merchant_id = %(merchant_id)s AND h.endpoint_id = %(id)s
        AND h.failing_since = %(failing_since)s AND h.warnings = %(warned)s
    FOR UPDATE
),
held AS MATERIALIZED (
    SELECT e.bucket, e.merchant_id, e.id
    FROM failing f
    JOIN endpoints e ON e.bucket = f.bucket AND e.merchant_id = f.merchant_id AND e.id = f.endpoint_id
    WHERE e.enabled AND e.version = %(version)s
    FOR UPDATE OF e
),
warned AS (
    UPDATE endpoint_health h
    SET warnings = %(warnings)s, warned_at = %(warned_at)s
    FROM held t
    WHERE h.bucket = t.bucket AND h.merchant_id = t.merchant_id AND h.endpoint_id = t.id
),
moved AS (
    UPDATE endpoints e
    SET enabled = %(enabled)s, disabled_reason = %(disabled_reason)s, disabled_at = %(disabled_at)s,
        updated_at = %(updated_at)s, version = e.version + 1
    FROM held t
    WHERE e.bucket = t.bucket AND e.merchant_id = t.merchant_id AND e.id = t.id
),
facts AS MATERIALIZED (
    SELECT t.bucket, t.merchant_id, %(event_id)s AS event_id, %(type)s AS type, t.id AS subject_id, %(body)s AS body,
           %(created_at)s::timestamptz AS created_at
    FROM held t
),
{{outbox.append_events}}
SELECT id FROM held;

-- name: forget_orphaned_health
-- An attempt that ended while its endpoint was being deleted may leave a row behind.
DELETE FROM endpoint_health h
WHERE NOT EXISTS (
    SELECT FROM endpoints e WHERE e.bucket = h.bucket AND e.merchant_id = h.merchant_id AND e.id = h.endpoint_id);

-- fragment: forget_health
-- A fresh start for an endpoint that an operator turns on; its row is locked before the endpoint's, as by everybody.
forgotten AS (
    DELETE FROM endpoint_health
    WHERE %(enabled)s AND bucket = %(bucket)s AND merchant_id = %(merchant_id)s AND endpoint_id = %(id)s
    RETURNING endpoint_id
)
