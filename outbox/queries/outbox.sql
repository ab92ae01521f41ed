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
UPDATE outbox o
SET claims = o.claims + 1, leased_by = %(dispatcher)s,
    next_retry_at = statement_timestamp() + %(lease)s::float8 * interval '1 second'
FROM due d
WHERE o.bucket = ANY(ARRAY[d.bucket]) AND o.merchant_id = d.merchant_id AND o.id = d.id
RETURNING o.bucket, o.merchant_id, o.id, o.event_id, o.event_type, o.endpoint_id, o.attempts, o.claims, o.created_at,
          d.due_at, set_config('synchronous_commit', 'off', true);

-- name: release
-- Give work back at once: what a stopping dispatcher could not begin or end, or what must wait for another.
-- Fenced like a settle, so that it cannot end another's lease.
UPDATE outbox o
SET leased_by = NULL, next_retry_at = statement_timestamp() + r.delay * interval '1 second'
FROM json_to_recordset(%(batch)s::json) AS r (bucket smallint, merchant_id text, id text, claims int, delay float8)
WHERE o.bucket = ANY(ARRAY[r.bucket]) AND o.merchant_id = r.merchant_id AND o.id = r.id
    AND o.claims = r.claims AND o.leased_by = %(dispatcher)s
RETURNING o.id;

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
