-- What lists of merchants read (docs/decisions/0007): each index is written by every settled delivery, so there are two.

-- The deliveries of a payment, refund or order.
CREATE INDEX deliveries_by_subject ON deliveries (bucket, merchant_id, subject_id, id);
-- Failures are few, and looked for; successes are found by walking the log. This takes the place of an index that every
-- delivery was in.
CREATE INDEX deliveries_by_failure ON deliveries (bucket, merchant_id, id) WHERE status = 'failed';
DROP INDEX deliveries_by_status;

-- Orders by the merchant's own reference; orders that payments open have none, and pay nothing for it.
CREATE INDEX orders_by_receipt ON orders (bucket, merchant_id, receipt, created_at, id) WHERE receipt IS NOT NULL;

-- Transactions count anew on a server that a dump was restored to. What restored events reach beyond that count is
-- added to it for new ones (`schema/restored.py`), so that the ledger goes on after them; 0 everywhere else.
CREATE FUNCTION events_shift() RETURNS bigint LANGUAGE sql IMMUTABLE RETURN 0::bigint;
-- xid8 knows no arithmetic.
ALTER TABLE events ALTER COLUMN xact_id SET DEFAULT (pg_current_xact_id()::text::bigint + events_shift())::text::xid8;
-- Events of transactions older than this are complete: every transaction that could add one has ended.
CREATE FUNCTION events_horizon() RETURNS xid8 LANGUAGE sql STABLE
RETURN (pg_snapshot_xmin(pg_current_snapshot())::text::bigint + events_shift())::text::xid8;
