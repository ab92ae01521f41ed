-- fragment: lease_due
-- Lease the rows of a CTE `due (bucket, merchant_id, id, due_at)`.
UPDATE outbox o
SET claims = o.claims + 1, leased_by = %(dispatcher)s,
    next_retry_at = statement_timestamp() + %(lease)s::float8 * interval '1 second'
FROM due d
WHERE o.bucket = ANY(ARRAY[d.bucket]) AND o.merchant_id = d.merchant_id AND o.id = d.id
RETURNING o.bucket, o.merchant_id, o.id, o.event_id, o.event_type, o.endpoint_id, o.attempts, o.claims, o.created_at,
          d.due_at, set_config('synchronous_commit', 'off', true)

-- name: claim_due
-- Lease what is due, oldest first in each bucket; SKIP LOCKED lets dispatchers share a bucket.
-- `floors` bound the walk from below: a due row older than its bucket's floor waits for the next full sweep, so that
-- a pinned snapshot (a long transaction elsewhere) does not make every claim walk the dead entries of a day.
-- `< 'infinity'` opens the partial index `outbox_due` to this walk, and to no look-up by key.
-- `= ANY(ARRAY[…])` is an `=` that no merge join could use: with a plain one the planner reads the whole queue in key
-- order and looks each row up in the batch, once ANALYZE has seen the queue empty (docs/decisions/0005).
-- The lease is a due time too: when it runs out, the work is simply due again. The commit does not wait for the disk:
-- a claim that a crash forgets is claimed again.
WITH due AS MATERIALIZED (
    SELECT w.*
    FROM unnest(%(buckets)s::smallint[], %(floors)s::timestamptz[]) AS b (bucket, floor)
    CROSS JOIN LATERAL (
        SELECT o.bucket, o.merchant_id, o.id, o.next_retry_at AS due_at
        FROM outbox o
        WHERE o.bucket = b.bucket AND o.kind = %(kind)s
            AND o.next_retry_at >= b.floor AND o.next_retry_at <= statement_timestamp()
            AND o.next_retry_at < 'infinity'
        ORDER BY o.next_retry_at
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ) w
    LIMIT %(limit)s
)
{{outbox.lease_due}};

-- name: claim_lines
-- Lease what is due in buckets where somebody's backlog stands: not in the order of due times, in which that backlog
-- comes first, but from endpoint to endpoint, of each as many as it may start now. The walk over the endpoints is a
-- loose one, a look into the index for each endpoint with open work, 1,000 of them at most; it begins after the one that
-- was served last, so that a full claim favours nobody.
WITH RECURSIVE line AS (
    SELECT b.bucket, (SELECT o.endpoint_id FROM outbox o
                      WHERE o.bucket = b.bucket AND o.kind = %(kind)s AND o.endpoint_id > b.turn
                      ORDER BY o.endpoint_id LIMIT 1) AS endpoint_id
    FROM unnest(%(buckets)s::smallint[], %(turns)s::text[]) AS b (bucket, turn)
    UNION ALL
    SELECT l.bucket, (SELECT o.endpoint_id FROM outbox o
                      WHERE o.bucket = l.bucket AND o.kind = %(kind)s AND o.endpoint_id > l.endpoint_id
                      ORDER BY o.endpoint_id LIMIT 1)
    FROM line l
    WHERE l.endpoint_id IS NOT NULL
),
share AS (
    SELECT l.bucket, l.endpoint_id, coalesce((k.known ->> 'room')::int, %(room)s) AS room,
           coalesce((k.known ->> 'floor')::timestamptz, 'epoch') AS floor
    FROM line l
    CROSS JOIN LATERAL (SELECT %(lines)s::jsonb -> l.endpoint_id AS known) k
    WHERE l.endpoint_id IS NOT NULL
    LIMIT 1000
),
due AS MATERIALIZED (
    SELECT w.*
    FROM share s
    CROSS JOIN LATERAL (
        SELECT o.bucket, o.merchant_id, o.id, o.next_retry_at AS due_at
        FROM outbox o
        WHERE o.bucket = s.bucket AND o.kind = %(kind)s AND o.endpoint_id = s.endpoint_id
            AND o.next_retry_at >= s.floor AND o.next_retry_at <= statement_timestamp()
        ORDER BY o.next_retry_at
        LIMIT s.room
        FOR UPDATE SKIP LOCKED
    ) w
    LIMIT %(limit)s
)
{{outbox.lease_due}};

-- name: claim_heads
-- Lease the heads of the lines that keep their order: of each endpoint its oldest open delivery, if that is due. One
-- that waits for its next attempt, or is under way, holds up its own line and no other. The head is chosen before it is
-- locked: a locked one must not be skipped in favour of the next.
WITH RECURSIVE line AS (
    SELECT b.bucket, (SELECT o.endpoint_id FROM outbox o
                      WHERE o.bucket = b.bucket AND o.kind = 'webhook.ordered' AND o.endpoint_id > ''
                      ORDER BY o.endpoint_id, o.id LIMIT 1) AS endpoint_id
    FROM unnest(%(buckets)s::smallint[]) AS b (bucket)
    UNION ALL
    SELECT l.bucket, (SELECT o.endpoint_id FROM outbox o
                      WHERE o.bucket = l.bucket AND o.kind = 'webhook.ordered' AND o.endpoint_id > l.endpoint_id
                      ORDER BY o.endpoint_id, o.id LIMIT 1)
    FROM line l
    WHERE l.endpoint_id IS NOT NULL
),
head AS MATERIALIZED (
    SELECT h.*
    FROM line l
    CROSS JOIN LATERAL (
        SELECT o.bucket, o.merchant_id, o.id, o.next_retry_at
        FROM outbox o
        WHERE o.bucket = l.bucket AND o.kind = 'webhook.ordered' AND o.endpoint_id = l.endpoint_id
        ORDER BY o.id
        LIMIT 1
    ) h
    WHERE h.next_retry_at <= statement_timestamp()
    LIMIT %(limit)s
),
due AS MATERIALIZED (
    SELECT o.bucket, o.merchant_id, o.id, o.next_retry_at AS due_at
    FROM head h
    JOIN outbox o ON o.bucket = ANY(ARRAY[h.bucket]) AND o.merchant_id = h.merchant_id AND o.id = h.id
    WHERE o.next_retry_at <= statement_timestamp()
    FOR UPDATE OF o SKIP LOCKED
)
{{outbox.lease_due}};

-- name: release
-- Give work back at once: what a stopping dispatcher could not begin or end, or what must wait for another.
-- Fenced like a settle, so that it cannot end another's lease. The commit does not wait for the disk: what a crash
-- forgets of it is due again when the lease ends.
UPDATE outbox o
SET leased_by = NULL, next_retry_at = statement_timestamp() + r.delay * interval '1 second'
FROM json_to_recordset(%(batch)s::json) AS r (bucket smallint, merchant_id text, id text, claims int, delay float8)
WHERE o.bucket = ANY(ARRAY[r.bucket]) AND o.merchant_id = r.merchant_id AND o.id = r.id
    AND o.claims = r.claims AND o.leased_by = %(dispatcher)s
RETURNING o.id, set_config('synchronous_commit', 'off', true);

-- fragment: hold_finished
-- Take done work out of the outbox, if the lease under which it was done still stands; the rest of a settling
-- statement joins `held`, so that a late answer of a lost lease changes nothing.
-- Reads a CTE `outcome (n, bucket, merchant_id, work_id, claims, …)`.
held AS (
    DELETE FROM outbox o
    USING outcome i
    WHERE o.bucket = ANY(ARRAY[i.bucket]) AND o.merchant_id = i.merchant_id AND o.id = i.work_id
        AND o.claims = i.claims AND o.leased_by = %(dispatcher)s
    RETURNING i.*
)

-- fragment: tally_work
-- Count finished work by second and by minute, in the statement that finishes it.
-- Reads a CTE `finished (failed)`. Only this dispatcher updates its rows; ordered, so that two of its own settling
-- statements cannot lock them crosswise.
tallied AS (
    INSERT INTO work_tally AS t (span, starts_at, writer, completed, failed)
    SELECT s.span, date_trunc(s.span, statement_timestamp()), %(writer)s,
           count(*) FILTER (WHERE NOT f.failed), count(*) FILTER (WHERE f.failed)
    FROM finished f CROSS JOIN (VALUES ('minute'), ('second')) AS s (span)
    GROUP BY s.span
    ORDER BY s.span
    ON CONFLICT (span, starts_at, writer)
        DO UPDATE SET completed = t.completed + EXCLUDED.completed, failed = t.failed + EXCLUDED.failed
)

-- name: status
-- Open work counted now, finished work of the last 24 hours to the second (schema/migrations/0008).
SELECT pending, processing, completed, failed, running FROM work_status();
