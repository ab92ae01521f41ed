-- fragment: tenant
-- The merchant that a statement speaks for, named to the database's row security in passing. A table's condition reads
-- `merchant_id = {{outbox.tenant}}`: it is evaluated before the table's first row is looked at.
(SELECT set_config('ledgate.tenant', %(merchant_id)s, true))

-- fragment: endpoint_shown
-- An endpoint as merchants see it: neither its secret nor the values of its headers.
id, url, event_types AS events, description, retry_schedule, rate, ordered, header_names, enabled, disabled_reason,
disabled_at, is_default AS "default", version, created_at, updated_at

-- fragment: endpoint_meant
-- One endpoint of the merchant: the named one, or the default without a name. A merchant has 50 at most, so that the
-- walk over them costs no more than a key.
bucket = %(bucket)s AND merchant_id = {{outbox.tenant}}
    AND CASE WHEN %(id)s::text IS NULL THEN is_default ELSE id = %(id)s END

-- name: lock_endpoints
-- Who adds an endpoint waits for whoever adds one to the same merchant now: the bound is counted by the next statement.
SELECT pg_advisory_xact_lock(1, hashtext(%(merchant_id)s));

-- name: count_endpoints
-- How many a merchant has.
SELECT count(*) AS n FROM endpoints WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}};

-- name: list_endpoints
-- All endpoints of a merchant, the oldest first.
SELECT {{outbox.endpoint_shown}}, {{outbox.health_shown}} AS health
FROM endpoints
WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}}
ORDER BY id;

-- name: get_endpoint
-- One endpoint; the default without an id.
SELECT {{outbox.endpoint_shown}}, {{outbox.health_shown}} AS health
FROM endpoints
WHERE {{outbox.endpoint_meant}};

-- name: endpoints_by_key
-- Endpoints of any merchants, as a dispatcher needs them that is about to tell of them.
SELECT endpoints.bucket, endpoints.merchant_id, {{outbox.endpoint_shown}}, {{outbox.health_shown}} AS health,
       statement_timestamp() AS now
FROM json_to_recordset(%(batch)s::json) AS r (bucket smallint, merchant_id text, endpoint_id text)
JOIN endpoints
    ON endpoints.bucket = r.bucket AND endpoints.merchant_id = r.merchant_id AND endpoints.id = r.endpoint_id;

-- name: save_default_endpoint
-- The merchant's one default endpoint: made, or pointed elsewhere; its secret stays unless there was none. One that is
-- turned off keeps the reason for which it may have been off before; one that is turned on, or moved, starts afresh.
WITH fresh AS (
    DELETE FROM endpoint_health
    WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND endpoint_id = (
        SELECT id FROM endpoints
        WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND is_default
            AND (url <> %(url)s OR %(enabled)s AND NOT enabled))
    RETURNING endpoint_id
)
INSERT INTO endpoints (bucket, merchant_id, id, url, event_types, sealed_secret, is_default, enabled, disabled_at,
                       created_at, updated_at)
SELECT %(bucket)s, {{outbox.tenant}}, %(id)s, %(url)s, %(event_types)s, %(sealed_secret)s, true, %(enabled)s,
       CASE WHEN NOT %(enabled)s THEN statement_timestamp() END, statement_timestamp(), statement_timestamp()
WHERE (SELECT count(*) FROM fresh) IS NOT NULL
ON CONFLICT (bucket, merchant_id) WHERE is_default
    DO UPDATE SET url = EXCLUDED.url, event_types = EXCLUDED.event_types, enabled = EXCLUDED.enabled,
                  disabled_reason = CASE WHEN NOT EXCLUDED.enabled THEN endpoints.disabled_reason END,
                  disabled_at = CASE WHEN NOT EXCLUDED.enabled
                                     THEN coalesce(endpoints.disabled_at, EXCLUDED.disabled_at) END,
                  version = endpoints.version + 1, updated_at = EXCLUDED.updated_at
RETURNING {{outbox.endpoint_shown}},
          CASE WHEN NOT EXISTS (SELECT FROM fresh) THEN {{outbox.health_shown}} END AS health;

-- name: add_endpoint
-- One more endpoint of a merchant.
INSERT INTO endpoints (bucket, merchant_id, id, url, event_types, sealed_secret, retry_schedule, rate, ordered,
                       description, sealed_headers, header_names, enabled, disabled_at, created_at, updated_at)
SELECT %(bucket)s, {{outbox.tenant}}, %(id)s, %(url)s, %(event_types)s, %(sealed_secret)s, %(retry_schedule)s,
       %(rate)s, %(ordered)s, %(description)s, %(sealed_headers)s, %(header_names)s, %(enabled)s,
       CASE WHEN NOT %(enabled)s THEN statement_timestamp() END, statement_timestamp(), statement_timestamp();

-- name: change_endpoint
-- Change what was given; what may be set to nothing says by a flag of its own whether it was given. Enabled again, an
-- endpoint has no reason to be off any more. Who enables it, or moves it elsewhere, says that it is mended: what was
-- known of its health is forgotten, its circuit is closed. Health is locked first, as by everybody.
WITH fresh AS (
    DELETE FROM endpoint_health
    WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}} AND endpoint_id = (
        SELECT id FROM endpoints WHERE {{outbox.endpoint_meant}} AND (%(enabled)s::boolean OR url <> %(url)s))
    RETURNING endpoint_id
)
UPDATE endpoints
SET url = coalesce(%(url)s, url),
    event_types = coalesce(%(event_types)s::text[], event_types),
    description = CASE WHEN %(sets_description)s THEN %(description)s ELSE description END,
    retry_schedule = CASE WHEN %(sets_retry_schedule)s THEN %(retry_schedule)s::int[] ELSE retry_schedule END,
    rate = CASE WHEN %(sets_rate)s THEN %(rate)s::int ELSE rate END,
    ordered = coalesce(%(ordered)s::boolean, ordered),
    sealed_headers = CASE WHEN %(sets_headers)s THEN %(sealed_headers)s ELSE sealed_headers END,
    header_names = CASE WHEN %(sets_headers)s THEN %(header_names)s::text[] ELSE header_names END,
    enabled = coalesce(%(enabled)s::boolean, enabled),
    disabled_reason = CASE WHEN NOT coalesce(%(enabled)s::boolean, enabled) THEN disabled_reason END,
    disabled_at = CASE WHEN NOT coalesce(%(enabled)s::boolean, enabled)
                       THEN coalesce(disabled_at, statement_timestamp()) END,
    version = version + 1,
    updated_at = statement_timestamp()
WHERE {{outbox.endpoint_meant}} AND (SELECT count(*) FROM fresh) IS NOT NULL
RETURNING {{outbox.endpoint_shown}},
          CASE WHEN NOT EXISTS (SELECT FROM fresh) THEN {{outbox.health_shown}} END AS health;

-- name: remove_endpoint
-- Forget an endpoint and its health; what it still was owed ends as failed when it is claimed.
WITH forgotten AS (
    DELETE FROM endpoint_health
    WHERE bucket = %(bucket)s AND merchant_id = {{outbox.tenant}}
        AND endpoint_id = (SELECT id FROM endpoints WHERE {{outbox.endpoint_meant}})
    RETURNING endpoint_id
)
DELETE FROM endpoints WHERE {{outbox.endpoint_meant}} AND (SELECT count(*) FROM forgotten) IS NOT NULL RETURNING id;

-- name: rotate_secret
-- A new secret; the one before signs too until the overlap ends, and the one before that no longer.
UPDATE endpoints
SET sealed_secret = %(sealed_secret)s,
    sealed_previous_secret = CASE WHEN %(overlap)s::int > 0 THEN sealed_secret END,
    previous_secret_expires_at =
        CASE WHEN %(overlap)s::int > 0 THEN statement_timestamp() + %(overlap)s::int * interval '1 second' END,
    version = version + 1,
    updated_at = statement_timestamp()
WHERE {{outbox.endpoint_meant}}
RETURNING previous_secret_expires_at AS previous_expires_at;

-- name: read_secret
-- The secret that signs now, sealed, and until when the one before signs too.
SELECT sealed_secret,
       CASE WHEN previous_secret_expires_at > statement_timestamp() THEN previous_secret_expires_at END
           AS previous_expires_at
FROM endpoints
WHERE {{outbox.endpoint_meant}};
