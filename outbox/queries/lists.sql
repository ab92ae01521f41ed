-- fragment: page_of_walk
-- The tail of every list: of the rows that were walked, those that match, and the last one if the walk came to its end
-- before the page was full, so that the reader can go on from there (gateway/listing.py).
-- Reads a CTE `matched (id, …, matches)` in the list's order; a window without an order of its own numbers the rows as
-- they come. Nothing sorts here, so reading stops with the page.
SELECT *
FROM (
    SELECT matched.*, row_number() OVER so_far AS walked, count(*) FILTER (WHERE matches) OVER so_far AS nth
    FROM matched
    WINDOW so_far AS (ROWS UNBOUNDED PRECEDING)
) AS numbered
WHERE walked = 10000
    --? + %(offset)s
    OR matches
    --? AND nth > %(offset)s
LIMIT %(limit)s

-- fragment: count_of_walk
-- How many match, of how many that were looked at: exact when these are fewer than the walk may be long.
SELECT count(*) FILTER (WHERE matches) AS total, count(*) AS walked FROM matched

-- fragment: matched_deliveries
-- A walk through a merchant's deliveries, open and finished ones as `webhook_logs` has them, newest first. Written out,
-- since each of the two must come in order: the view's are put in one only after one of them was read and sorted.
-- A status is a word of the text: it opens the index that only failures are in. Of a subject, all open deliveries in
-- the range are looked at; there is no index for it that every claim would have to keep.
WITH walk AS (
    (SELECT id, event_id, event_type AS event, subject_id, endpoint_id, 'pending' AS status, attempts, response_code,
            created_at, last_attempt_at, CASE WHEN leased_by IS NULL THEN next_retry_at END AS next_retry_at
     FROM outbox
     WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}}
         AND id > 'dlv_' AND id < 'dlv`'
         --? AND NOT %(success)s
         --? AND NOT %(failed)s
         --? AND subject_id = %(subject)s
         --? AND id >= %(id_from)s
         --? AND id < %(id_to)s
         --? AND id < %(after)s
         --? AND id > %(before)s
     ORDER BY id DESC
     LIMIT 10000
     --? + %(offset)s
    )
    UNION ALL
    (SELECT id, event_id, event_type, subject_id, endpoint_id, status, attempts, response_code, created_at,
            last_attempt_at, NULL
     FROM deliveries
     WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}}
         --? AND NOT %(pending)s
         --? AND status = 'failed' AND %(failed)s
         --? AND subject_id = %(subject)s
         --? AND id >= %(id_from)s
         --? AND id < %(id_to)s
         --? AND id < %(after)s
         --? AND id > %(before)s
     ORDER BY id DESC
     LIMIT 10000
     --? + %(offset)s
    )
    ORDER BY id DESC
    LIMIT 10000
    --? + %(offset)s
),
matched AS (
    SELECT walk.*, true
        --? AND status = 'success' AND %(success)s
        --? AND event = %(event)s
        --? AND endpoint_id = %(endpoint)s
        --? AND created_at >= %(created_from)s
        --? AND created_at < %(created_to)s
        AS matches
    FROM walk
)

-- name: list_deliveries
-- A page of the delivery log.
{{outbox.matched_deliveries}}
{{outbox.page_of_walk}};

-- name: count_deliveries
-- How many the list has, counted as far as one walk goes.
{{outbox.matched_deliveries}}
{{outbox.count_of_walk}};

-- name: list_events
-- The ledger from a place on, oldest first: in the order of the transactions that wrote it, and only what is older than
-- every transaction that still writes, so that nothing can be committed behind a reader's back.
WITH walk AS (
    SELECT id, type, subject_id, deliveries, body, created_at
    FROM events
    WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}}
        AND xact_id < events_horizon()
        --? AND (xact_id, id) > ({{outbox.event_place}} AND id = %(after)s)
    ORDER BY xact_id, id
    LIMIT 10000
),
matched AS (
    SELECT walk.*, true
        --? AND type = %(type)s
        AS matches
    FROM walk
)
{{outbox.page_of_walk}};

-- fragment: event_place
-- Where an event stands in the ledger; no row for an unknown one.
SELECT xact_id, id FROM events WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}}

-- name: get_event
-- One event of one merchant.
SELECT id, type, subject_id, deliveries, body, created_at
FROM events
WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND id = %(id)s;
