-- fragment: tenant
-- The merchant that a statement speaks for, named to the database's row security in passing. A table's condition reads
-- `merchant_id = {{outbox.tenant}}`: it is evaluated before the table's first row is looked at.
(SELECT set_config('ledgate.tenant', %(merchant_id)s, true))

-- name: save_default_endpoint
-- The merchant's one default endpoint: made, or pointed elsewhere; its secret stays unless there was none.
INSERT INTO endpoints (bucket, merchant_id, id, url, event_types, sealed_secret, is_default, created_at, updated_at)
VALUES (%(bucket)s, %(merchant_id)s, %(id)s, %(url)s, %(event_types)s, %(sealed_secret)s, true,
        statement_timestamp(), statement_timestamp())
ON CONFLICT (bucket, merchant_id) WHERE is_default
    DO UPDATE SET url = EXCLUDED.url, event_types = EXCLUDED.event_types, enabled = true, disabled_reason = NULL,
                  version = endpoints.version + 1, updated_at = EXCLUDED.updated_at
RETURNING id;

-- name: add_endpoint
-- One more endpoint of a merchant.
INSERT INTO endpoints (bucket, merchant_id, id, url, event_types, sealed_secret, retry_schedule, created_at, updated_at)
VALUES (%(bucket)s, %(merchant_id)s, %(id)s, %(url)s, %(event_types)s, %(sealed_secret)s, %(retry_schedule)s,
        statement_timestamp(), statement_timestamp());
