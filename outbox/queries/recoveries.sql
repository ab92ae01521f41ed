-- Recoveries walk through what a merchant's endpoints did not get, or got, in a range of time (outbox/recoveries.py).
-- Two walks, each over a primary key from a place on: finished deliveries, and events without a delivery. Counting and
-- stepping share their text, so that what a dry run counts is what a job then finds.

-- fragment: walked_deliveries
-- Finished deliveries from the place on, oldest first, and of those that are meant whether they can be sent again:
-- `ok` is NULL for what is not meant, false where the endpoint is off or gone, or the event past its retention.
-- `failed` is a word of the text: it opens the index that only failures are in.
looked AS MATERIALIZED (
    SELECT d.id, d.event_id, d.event_type, d.endpoint_id, d.status, d.created_at
    FROM deliveries d
    WHERE d.bucket = %(bucket)s AND d.merchant_id = {{outbox.tenant}}
        AND d.id > %(place)s AND d.id < %(end)s
        --? AND d.status = 'failed' AND %(failed)s
    ORDER BY d.id
    LIMIT %(look)s
),
judged AS MATERIALIZED (
    SELECT l.id, l.event_type AS type,
           CASE WHEN l.created_at >= %(since)s AND l.created_at < %(until)s
                    --? AND l.status = 'success' AND %(success)s
                    --? AND l.endpoint_id = %(endpoint)s
                    --? AND l.event_type = %(type)s
                    --? AND split_part(l.event_type, '.', 1) = %(family)s
                THEN EXISTS (SELECT FROM endpoints e
                             WHERE e.bucket = %(bucket)s AND e.merchant_id = {{outbox.tenant}} AND e.id = l.endpoint_id
                                 AND e.enabled)
                    AND EXISTS (SELECT FROM events v
                                WHERE v.bucket = %(bucket)s AND v.merchant_id = {{outbox.tenant}} AND v.id = l.event_id)
           END AS ok
    FROM looked l
)

-- fragment: walked_events
-- Events from the place on, oldest first, and for each the endpoints that want it now and have no delivery of it.
-- A test event was for one endpoint, and news of an endpoint is not for that endpoint itself: nobody else missed them.
looked AS MATERIALIZED (
    SELECT v.id, v.type, v.subject_id, v.created_at,
           'dlv_' || substr(v.id, 5, 24) || '00' AS first_delivery, 'dlv_' || substr(v.id, 5, 24) || 'zz' AS last_delivery
    FROM events v
    WHERE v.bucket = %(bucket)s AND v.merchant_id = {{outbox.tenant}}
        AND v.id > %(place)s AND v.id < %(end)s
    ORDER BY v.id
    LIMIT %(look)s
),
missed AS MATERIALIZED (
    SELECT l.id, l.type, l.subject_id, l.created_at, e.id AS endpoint_id, e.ordered, had.last_made
    FROM looked l
    CROSS JOIN LATERAL (
        SELECT array_agg(d.endpoint_id) AS endpoints, max(substr(d.id, 29, 2)) AS last_made
        FROM (
            (SELECT o.id, o.endpoint_id FROM outbox o
             WHERE o.bucket = %(bucket)s AND o.merchant_id = {{outbox.tenant}}
                 AND o.id >= l.first_delivery AND o.id <= l.last_delivery
             ORDER BY o.id LIMIT 1024)
            UNION ALL
            (SELECT f.id, f.endpoint_id FROM deliveries f
             WHERE f.bucket = %(bucket)s AND f.merchant_id = {{outbox.tenant}}
                 AND f.id >= l.first_delivery AND f.id <= l.last_delivery
             ORDER BY f.id LIMIT 1024)
        ) d
    ) had
    JOIN endpoints e ON e.bucket = %(bucket)s AND e.merchant_id = {{outbox.tenant}} AND e.enabled
        AND e.event_types && ARRAY['*', split_part(l.type, '.', 1) || '.*', l.type]
        AND e.id <> ALL (coalesce(had.endpoints, '{}'))
        AND CASE split_part(l.type, '.', 1) WHEN 'endpoint' THEN e.id <> l.subject_id
                                            ELSE left(l.subject_id, 5) <> 'whep_' END
        --? AND e.id = %(endpoint)s
    WHERE l.created_at >= %(since)s AND l.created_at < %(until)s
        --? AND l.type = %(type)s
        --? AND split_part(l.type, '.', 1) = %(family)s
)

-- name: count_recoverable
-- How many finished deliveries a recovery would send again, by type of event, and how many it would skip; as far as one
-- walk goes. The row without a type says how far that was.
WITH {{outbox.walked_deliveries}}
SELECT type, count(*) FILTER (WHERE ok) AS total, count(*) FILTER (WHERE NOT ok) AS skipped, NULL AS walked
FROM judged WHERE ok IS NOT NULL GROUP BY type
UNION ALL
SELECT NULL, 0, 0, count(*) FROM looked;

-- name: count_missed
-- The same for deliveries that a recovery would make.
WITH {{outbox.walked_events}}
SELECT type, count(*) AS total, 0 AS skipped, NULL AS walked FROM missed GROUP BY type
UNION ALL
SELECT NULL, 0, 0, count(*) FROM looked;

-- fragment: recovery_shown
-- A recovery as merchants see it.
id, state AS status, total, CASE WHEN total_is_exact THEN 'exact' ELSE 'at_least' END AS total_is, scheduled, skipped,
recovers, endpoint_id AS endpoint, event, since, until, rate, created_at, updated_at, finished_at

-- name: recovery_now
-- The clock that ranges are measured by.
SELECT statement_timestamp() AS now;

-- name: lock_recoveries
-- Who starts a recovery waits for whoever starts one of the same merchant now: the bound is counted by the next
-- statement.
SELECT pg_advisory_xact_lock(2, hashtext(%(merchant_id)s));

-- name: count_open_recoveries
-- How many of a merchant's are running or paused.
SELECT count(*) AS n FROM recoveries
WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND state IN ('running', 'paused');

-- name: add_recovery
-- A recovery and its work, due at once.
WITH added AS (
    INSERT INTO recoveries (bucket, merchant_id, id, endpoint_id, event, recovers, since, until, up_to_now, rate, total,
                            total_is_exact, place, created_at, updated_at)
    SELECT %(bucket)s, {{outbox.tenant}}, %(id)s, %(endpoint_id)s, %(event)s, %(recovers)s, %(since)s, %(until)s,
           %(up_to_now)s, %(rate)s, %(total)s, %(total_is_exact)s, %(place)s, %(created_at)s, statement_timestamp()
    RETURNING {{outbox.recovery_shown}}
),
queued AS (
    INSERT INTO outbox (bucket, merchant_id, id, kind, next_retry_at, created_at)
    SELECT %(bucket)s, {{outbox.tenant}}, id, 'recovery.run', statement_timestamp(), statement_timestamp() FROM added
)
SELECT * FROM added;

-- name: get_recovery
-- One recovery as it is now.
SELECT {{outbox.recovery_shown}} FROM recoveries
WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND id = %(id)s;

-- name: list_recoveries
-- A page of a merchant's recoveries, newest first.
WITH matched AS (
    SELECT {{outbox.recovery_shown}}, true AS matches
    FROM recoveries
    WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}}
        --? AND id < %(after)s
        --? AND id > %(before)s
    ORDER BY id DESC
    LIMIT 10000
    --? + %(offset)s
)
{{outbox.page_of_walk}};

-- name: move_recovery
-- Pause, resume or cancel: compare-and-set on the state. A step that is under way holds the row, and is waited for. The
-- work of one that stands still is taken away by the step that finds it so; resumed before that, it still is there.
WITH moved AS (
    UPDATE recoveries
    SET state = %(to)s, updated_at = statement_timestamp(),
        finished_at = CASE WHEN %(to)s = 'cancelled' THEN statement_timestamp() END
    WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND id = %(id)s AND state = ANY(%(from)s)
    RETURNING {{outbox.recovery_shown}}
),
queued AS (
    INSERT INTO outbox (bucket, merchant_id, id, kind, next_retry_at, created_at)
    SELECT %(bucket)s, {{outbox.tenant}}, id, 'recovery.run', statement_timestamp(), statement_timestamp()
    FROM moved WHERE status = 'running'
    ON CONFLICT (bucket, merchant_id, id) DO NOTHING
)
SELECT * FROM moved;

-- name: load_recoveries
-- What claimed recoveries are to do. Only whoever holds the lease moves a place.
SELECT w.n, r.endpoint_id, r.event, r.recovers, r.since, r.until, r.up_to_now, r.rate, r.place, r.created_at
FROM json_to_recordset(%(batch)s::json) AS w (n int, bucket smallint, merchant_id text, id text)
JOIN recoveries r ON r.bucket = w.bucket AND r.merchant_id = w.merchant_id AND r.id = w.id;

-- name: lock_steps
-- Steps of one merchant come one after the other: the next statement's snapshot has every delivery that the step before
-- made, so that two recoveries never make the same one.
SELECT pg_advisory_xact_lock(3, hashtext(%(merchant_id)s));

-- fragment: recovery_held
-- The recovery of a step, locked, if the lease under which it was read still stands; and how much this step may
-- schedule: nothing if it is not running (any more), or while so many of the merchant's recovered and repeated
-- deliveries are due, under way or within a minute of it. (One that was reached through a stale lease may have been
-- queued anew under the same claim number: the place tells.)
-- `settled`: every transaction has ended that may not have seen the endpoints as they were when this was asked for.
job AS MATERIALIZED (
    SELECT r.state, r.rate,
           CASE WHEN r.state = 'running' THEN least(%(chunk)s, greatest(0, %(most_open)s - (
               SELECT count(*)
               FROM (
                   SELECT FROM endpoints e
                   CROSS JOIN (VALUES ('webhook.retry'), ('webhook.ordered')) AS k (kind)
                   CROSS JOIN LATERAL (
                       SELECT FROM outbox w
                       WHERE w.bucket = %(bucket)s AND w.kind = k.kind AND w.endpoint_id = e.id
                           AND w.next_retry_at <= statement_timestamp() + interval '1 minute'
                       LIMIT %(most_open)s
                   ) w
                   WHERE e.bucket = %(bucket)s AND e.merchant_id = {{outbox.tenant}}
                   LIMIT %(most_open)s
               ) AS open
           ))) ELSE 0 END AS chunk,
           r.xact_id < events_horizon() AND o.created_at < statement_timestamp() - interval '1 second' AS settled
    FROM outbox o
    JOIN recoveries r ON r.bucket = %(bucket)s AND r.merchant_id = {{outbox.tenant}} AND r.id = o.id
    WHERE o.bucket = %(bucket)s AND o.merchant_id = {{outbox.tenant}} AND o.id = %(id)s
        AND o.claims = %(claims)s AND o.leased_by = %(dispatcher)s AND r.place = %(place)s
    FOR UPDATE OF o, r
)

-- fragment: recovery_advanced
-- Write a step down: the counts, the place, and when the next one is due. What was scheduled takes its time at the rate,
-- counted from when this step was due, so that a late step is made up for (by one second's worth at most).
-- Reads `job` and `step (scheduled, skipped, place, over)`: `over` says that this walk has come to its end.
advanced AS (
    UPDATE recoveries r
    SET scheduled = r.scheduled + s.scheduled, skipped = r.skipped + s.skipped,
        place = CASE WHEN s.over THEN coalesce(%(next_place)s, s.place) ELSE s.place END,
        state = CASE WHEN s.over AND %(next_place)s::text IS NULL THEN 'done' ELSE r.state END,
        finished_at = CASE WHEN s.over AND %(next_place)s::text IS NULL THEN statement_timestamp() END,
        updated_at = statement_timestamp()
    FROM job j, step s
    WHERE r.bucket = %(bucket)s AND r.merchant_id = {{outbox.tenant}} AND r.id = %(id)s AND j.state = 'running'
    RETURNING r.state, r.total, r.scheduled, r.skipped
),
ended AS (
    DELETE FROM outbox o
    USING job j, step s
    WHERE o.bucket = %(bucket)s AND o.merchant_id = {{outbox.tenant}} AND o.id = %(id)s
        AND (j.state <> 'running' OR (s.over AND %(next_place)s::text IS NULL))
),
goes_on AS (
    UPDATE outbox o
    SET leased_by = NULL,
        next_retry_at = CASE WHEN j.chunk = 0 OR s.held_back THEN statement_timestamp() + interval '0.5 seconds'
                             ELSE greatest(%(due_at)s, statement_timestamp() - interval '1 second')
                                 + s.scheduled * interval '1 second' / j.rate END
    FROM job j, step s
    WHERE o.bucket = %(bucket)s AND o.merchant_id = {{outbox.tenant}} AND o.id = %(id)s
        AND j.state = 'running' AND NOT (s.over AND %(next_place)s::text IS NULL)
)
SELECT j.state AS was, a.state, a.total, a.scheduled, a.skipped
FROM job j LEFT JOIN advanced a ON true

-- name: recover_deliveries
-- One step of the walk over finished deliveries: those that can be sent move back to the queue, in one commit with the
-- place, as a manual retry moves one. `claims` goes on counting. One that somebody else moves at this moment is theirs.
-- Bounds and an array, not a join: no plan can start at the other end.
WITH {{outbox.recovery_held}},
{{outbox.walked_deliveries}},
chosen AS MATERIALIZED (
    SELECT c.id, c.ok
    FROM (SELECT w.id, w.ok, count(*) FILTER (WHERE w.ok) OVER (ORDER BY w.id ROWS UNBOUNDED PRECEDING) AS nth
          FROM judged w) c
    WHERE c.nth - CASE WHEN c.ok THEN 1 ELSE 0 END < (SELECT chunk FROM job)
),
taken AS (
    DELETE FROM deliveries d
    WHERE d.bucket = %(bucket)s AND d.merchant_id = {{outbox.tenant}}
        AND d.id >= (SELECT min(id) FROM chosen WHERE ok) AND d.id <= (SELECT max(id) FROM chosen WHERE ok)
        AND d.id = ANY (ARRAY(SELECT id FROM chosen WHERE ok))
    RETURNING d.*
),
recovered AS (
    INSERT INTO outbox (bucket, merchant_id, id, kind, event_id, event_type, subject_id, endpoint_id, claims,
                        next_retry_at, created_at, last_attempt_at, response_code)
    SELECT t.bucket, t.merchant_id, t.id,
           CASE WHEN (SELECT e.ordered FROM endpoints e
                      WHERE e.bucket = %(bucket)s AND e.merchant_id = {{outbox.tenant}} AND e.id = t.endpoint_id)
                THEN 'webhook.ordered' ELSE 'webhook.retry' END,
           t.event_id, t.event_type, t.subject_id, t.endpoint_id, t.claims, statement_timestamp(), t.created_at,
           t.last_attempt_at, t.response_code
    FROM taken t
),
step AS MATERIALIZED (
    SELECT (SELECT count(*) FROM taken) AS scheduled,
           (SELECT count(*) FROM chosen WHERE NOT ok) AS skipped,
           coalesce((SELECT max(id) FROM chosen), %(place)s) AS place,
           (SELECT count(*) FROM looked) < %(look)s
               AND (SELECT count(*) FROM chosen) = (SELECT count(*) FROM looked) AS over,
           false AS held_back
),
{{outbox.recovery_advanced}};

-- name: recover_missed
-- One step of the walk over events: for those that an endpoint wants and has no delivery of, one is made. Its id goes on
-- from `g0`, half of what two characters can count; an event's own fan-out begins at `00`. An event is passed with all
-- its deliveries, or not yet.
WITH {{outbox.recovery_held}},
{{outbox.walked_events}},
numbered AS (
    SELECT m.*,
           greatest(512, 1 + 32 * (strpos('0123456789abcdefghjkmnpqrstvwxyz', substr(m.last_made, 1, 1)) - 1)
                           + strpos('0123456789abcdefghjkmnpqrstvwxyz', substr(m.last_made, 2, 1)) - 1)
               + row_number() OVER (PARTITION BY m.id ORDER BY m.endpoint_id)::int - 1 AS ordinal,
           rank() OVER (ORDER BY m.id) AS first_of_event
    FROM missed m
),
chosen AS MATERIALIZED (
    SELECT * FROM numbered WHERE first_of_event <= (SELECT chunk FROM job WHERE settled)
),
made AS (
    INSERT INTO outbox (bucket, merchant_id, id, kind, event_id, event_type, subject_id, endpoint_id, next_retry_at,
                        created_at)
    SELECT %(bucket)s, {{outbox.tenant}},
           'dlv_' || substr(c.id, 5, 24)
               || substr('0123456789abcdefghjkmnpqrstvwxyz', 1 + c.ordinal / 32, 1)
               || substr('0123456789abcdefghjkmnpqrstvwxyz', 1 + c.ordinal %% 32, 1),
           CASE WHEN c.ordered THEN 'webhook.ordered' ELSE 'webhook.retry' END, c.id, c.type, c.subject_id,
           c.endpoint_id, statement_timestamp(), c.created_at
    FROM chosen c
    WHERE c.ordinal < 1024
    RETURNING id
),
step AS MATERIALIZED (
    SELECT (SELECT count(*) FROM made) AS scheduled,
           (SELECT count(*) FROM chosen WHERE ordinal >= 1024) AS skipped,
           CASE WHEN j.chunk = 0 OR NOT j.settled THEN %(place)s
                WHEN (SELECT count(*) FROM chosen) = (SELECT count(*) FROM missed)
                    THEN coalesce((SELECT max(id) FROM looked), %(place)s)
                ELSE (SELECT max(id) FROM chosen) END AS place,
           j.settled AND j.chunk > 0 AND (SELECT count(*) FROM looked) < %(look)s
               AND (SELECT count(*) FROM chosen) = (SELECT count(*) FROM missed) AS over,
           NOT j.settled AS held_back
    FROM job j
),
{{outbox.recovery_advanced}};
