CREATE SCHEMA simulator;

CREATE FUNCTION public.delivery_ends(of_bucket smallint, of_merchant text, lows text[], highs text[]) RETURNS TABLE(n bigint, failed bigint, pending bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 30
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    IF of_merchant IS DISTINCT FROM tenant() THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT s.n,
           (SELECT count(*) FROM (SELECT d.id FROM deliveries d
                                  WHERE d.bucket = of_bucket AND d.merchant_id = of_merchant AND d.status = 'failed'
                                      AND d.id >= s.low AND d.id < s.high
                                  LIMIT 2000) f WHERE substr(f.id, 29) < 'g0'),
           (SELECT count(*) FROM (SELECT o.id FROM outbox o
                                  WHERE o.bucket = of_bucket AND o.merchant_id = of_merchant
                                      AND o.id >= s.low AND o.id < s.high
                                  LIMIT 2000) f WHERE substr(f.id, 29) < 'g0')
    FROM unnest(lows, highs) WITH ORDINALITY AS s (low, high, n);
END $$;

CREATE FUNCTION public.endpoint_traffic(of_bucket smallint, of_merchant text, since_id text) RETURNS TABLE(endpoint_id text, open bigint, due bigint, oldest_at timestamp with time zone, next_retry_at timestamp with time zone, delivered bigint, failed bigint, last_success_at timestamp with time zone, last_failure_at timestamp with time zone, median_ms double precision, slow_ms double precision)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    IF of_merchant IS DISTINCT FROM tenant() THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH newest AS MATERIALIZED (
        SELECT d.id, d.endpoint_id, d.status, d.last_attempt_at
        FROM deliveries d
        WHERE d.bucket = of_bucket AND d.merchant_id = of_merchant AND d.id >= since_id
        ORDER BY d.id DESC
        LIMIT 2000
    ),
    ended AS (
        SELECT w.endpoint_id, count(*) FILTER (WHERE w.status = 'success') AS delivered,
               count(*) FILTER (WHERE w.status = 'failed') AS failed,
               max(w.last_attempt_at) FILTER (WHERE w.status = 'success') AS last_success_at,
               max(w.last_attempt_at) FILTER (WHERE w.status = 'failed') AS last_failure_at
        FROM newest w
        GROUP BY w.endpoint_id
    ),
    took AS (
        SELECT w.endpoint_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY a.duration_ms) AS median_ms,
               percentile_cont(0.95) WITHIN GROUP (ORDER BY a.duration_ms) AS slow_ms
        FROM (SELECT n.id, n.endpoint_id FROM newest n LIMIT 200) w
        CROSS JOIN LATERAL (
            SELECT t.duration_ms
            FROM delivery_attempts t
            WHERE t.bucket = of_bucket AND t.merchant_id = of_merchant AND t.delivery_id = w.id
            ORDER BY t.claim DESC
            LIMIT 5
        ) a
        GROUP BY w.endpoint_id
    )
    SELECT e.id, o.open, o.due, o.oldest_at, o.next_retry_at, coalesce(g.delivered, 0), coalesce(g.failed, 0),
           g.last_success_at, g.last_failure_at, k.median_ms, k.slow_ms
    FROM endpoints e
    CROSS JOIN LATERAL (
        SELECT count(*) AS open, count(*) FILTER (WHERE q.next_retry_at <= statement_timestamp()) AS due,
               min(q.created_at) AS oldest_at,
               min(q.next_retry_at) FILTER (WHERE q.next_retry_at > statement_timestamp() AND q.leased_by IS NULL)
                   AS next_retry_at
        FROM (
            SELECT b.*
            FROM (VALUES ('webhook.deliver'), ('webhook.retry'), ('webhook.ordered')) AS v (kind)
            CROSS JOIN LATERAL (
                SELECT l.created_at, l.next_retry_at, l.leased_by
                FROM outbox l
                WHERE l.bucket = of_bucket AND l.kind = v.kind AND l.endpoint_id = e.id
                ORDER BY l.next_retry_at
                LIMIT 1000
            ) b
            LIMIT 1000
        ) q
    ) o
    LEFT JOIN ended g ON g.endpoint_id = e.id
    LEFT JOIN took k ON k.endpoint_id = e.id
    WHERE e.bucket = of_bucket AND e.merchant_id = of_merchant
    ORDER BY e.id;
END $$;

CREATE FUNCTION public.events_shift() RETURNS bigint
    LANGUAGE sql IMMUTABLE
    RETURN (0)::bigint;

CREATE FUNCTION public.events_horizon() RETURNS xid8
    LANGUAGE sql STABLE
    RETURN (((((pg_snapshot_xmin(pg_current_snapshot()))::text)::bigint + public.events_shift()))::text)::xid8;

CREATE FUNCTION public.find_api_key(wanted text) RETURNS TABLE(key_id text, secret_hash bytea, scopes text[], merchant_id text, bucket smallint, name text)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    SELECT k.id, k.secret_hash, k.scopes, m.id, m.bucket, m.name
    FROM api_keys k JOIN merchants m ON m.id = k.merchant_id
    WHERE k.id = wanted AND k.revoked_at IS NULL
$$;

CREATE FUNCTION public.find_session(wanted bytea) RETURNS TABLE(id text, stage text, user_id text, email text, user_name text, operator boolean, second_factor boolean, merchant_id text, bucket smallint, merchant_name text, role text, next_path text, began_at timestamp with time zone, seen_at timestamp with time zone, expires_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    SELECT s.id, s.stage, u.id, u.email, u.name, coalesce(u.operator, false), u.sealed_totp IS NOT NULL,
           m.id, m.bucket, m.name, coalesce(p.role, CASE WHEN u.operator AND m.id IS NOT NULL THEN 'viewer' END),
           s.next_path, s.began_at, s.seen_at, s.expires_at
    FROM sessions s
    LEFT JOIN users u ON u.id = s.user_id
    LEFT JOIN merchants m ON m.id = s.merchant_id
    LEFT JOIN memberships p ON p.merchant_id = s.merchant_id AND p.user_id = s.user_id
    WHERE s.token_hash = wanted AND s.expires_at > statement_timestamp()
        AND (s.user_id IS NULL OR (u.disabled_at IS NULL AND s.began_at >= u.sessions_from))
$$;

CREATE FUNCTION public.mark_keys_used(used text[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    UPDATE api_keys SET last_used_at = statement_timestamp()
    WHERE id IN (
        SELECT k.id FROM api_keys k
        WHERE k.id = ANY (used)
            AND (k.last_used_at IS NULL OR k.last_used_at < statement_timestamp() - interval '20 seconds')
        FOR UPDATE SKIP LOCKED
    )
$$;

CREATE FUNCTION public.memberships_of(wanted text) RETURNS TABLE(merchant_id text, bucket smallint, name text, role text, created_at timestamp with time zone, chosen_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 10
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    SELECT m.id, m.bucket, m.name, p.role, p.created_at, p.chosen_at
    FROM memberships p JOIN merchants m ON m.id = p.merchant_id
    WHERE p.user_id = wanted
    ORDER BY m.name, m.id
    LIMIT 200
$$;

CREATE FUNCTION public.no_tenant() RETURNS text
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'the statement names no tenant' USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE FUNCTION public.open_work(of_bucket smallint, of_merchant text) RETURNS TABLE(kind text, open bigint, due bigint, under_way bigint, retrying bigint, oldest_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 4
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    IF of_merchant IS DISTINCT FROM tenant() THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT k.kind, w.*
    FROM (VALUES ('delivery', 'dlv_', 'dlv`'), ('payment', 'pay_', 'pay`'), ('refund', 'rfnd_', 'rfnd`'),
                 ('recovery', 'rcv_', 'rcv`')) AS k (kind, low, high)
    CROSS JOIN LATERAL (
        SELECT count(*), count(*) FILTER (WHERE o.next_retry_at <= statement_timestamp()),
               count(*) FILTER (WHERE o.leased_by IS NOT NULL AND o.next_retry_at > statement_timestamp()),
               count(*) FILTER (WHERE o.attempts > 0), min(o.created_at)
        FROM (
            SELECT q.created_at, q.next_retry_at, q.leased_by, q.attempts
            FROM outbox q
            WHERE q.bucket = of_bucket AND q.merchant_id = of_merchant AND q.id > k.low AND q.id < k.high
            ORDER BY q.id
            LIMIT 10001
        ) o
    ) w;
END $$;

CREATE FUNCTION public.payment_statuses(watched json) RETURNS TABLE(n integer, status text)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 100
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    SELECT w.n, p.status
    FROM json_to_recordset(watched) AS w (n int, bucket smallint, merchant_id text, id text)
    JOIN payments p ON p.bucket = w.bucket AND p.merchant_id = w.merchant_id AND p.id = w.id
$$;

CREATE FUNCTION public.payments_of_instrument(of_bucket smallint, of_merchant text, low text, high text DEFAULT NULL::text, before_id text DEFAULT 'pay`'::text, after_id text DEFAULT NULL::text) RETURNS TABLE(id text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    IF of_merchant IS DISTINCT FROM tenant() THEN
        RETURN;
    ELSIF high IS NOT NULL THEN
        RETURN QUERY
        SELECT p.id FROM payments p
        WHERE p.bucket = of_bucket AND p.merchant_id = of_merchant
            AND coalesce(lower(p.vpa) COLLATE "C", p.card_last4) >= low
            AND coalesce(lower(p.vpa) COLLATE "C", p.card_last4) < high
        LIMIT 1000;
    ELSIF after_id IS NOT NULL THEN
        RETURN QUERY
        SELECT p.id FROM payments p
        WHERE p.bucket = of_bucket AND p.merchant_id = of_merchant
            AND coalesce(lower(p.vpa) COLLATE "C", p.card_last4) = low AND p.id > after_id
        ORDER BY p.id
        LIMIT 1000;
    ELSE
        RETURN QUERY
        SELECT p.id FROM payments p
        WHERE p.bucket = of_bucket AND p.merchant_id = of_merchant
            AND coalesce(lower(p.vpa) COLLATE "C", p.card_last4) = low AND p.id < before_id
        ORDER BY p.id DESC
        LIMIT 1000;
    END IF;
END $$;

CREATE FUNCTION public.tenant() RETURNS text
    LANGUAGE sql
    RETURN COALESCE(NULLIF(current_setting('ledgate.tenant'::text, true), ''::text), public.no_tenant());

CREATE FUNCTION public.work_status() RETURNS TABLE(pending bigint, processing bigint, completed bigint, failed bigint, running boolean)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    WITH span AS (
        SELECT statement_timestamp() AS now, statement_timestamp() - interval '24 hours' AS since,
               date_trunc('minute', statement_timestamp() - interval '24 hours') + interval '1 minute' AS first_minute
    ), done AS (
        SELECT coalesce(sum(t.completed), 0)::bigint AS completed, coalesce(sum(t.failed), 0)::bigint AS failed
        FROM work_tally t, span
        WHERE (t.span = 'minute' AND t.starts_at >= first_minute)
            OR (t.span = 'second' AND t.starts_at >= since AND t.starts_at < first_minute)
    ), open AS (
        SELECT count(*) FILTER (WHERE leased_by IS NULL OR next_retry_at <= now) AS pending,
               count(*) FILTER (WHERE leased_by IS NOT NULL AND next_retry_at > now) AS processing
        FROM outbox, span
    )
    SELECT open.pending, open.processing, done.completed, done.failed,
           EXISTS (SELECT FROM dispatchers, span WHERE seen_at > now - interval '5 seconds')
    FROM open, done
$$;

CREATE TABLE public.api_keys (
    id text NOT NULL COLLATE pg_catalog."C",
    merchant_id text NOT NULL COLLATE pg_catalog."C",
    secret_hash bytea NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    name text,
    created_by text,
    last_used_at timestamp with time zone,
    CONSTRAINT api_keys_created_by CHECK (((length(created_by) >= 1) AND (length(created_by) <= 300))),
    CONSTRAINT api_keys_name CHECK (((length(name) >= 1) AND (length(name) <= 100))),
    CONSTRAINT api_keys_scopes CHECK (((scopes <@ ARRAY['read'::text, 'write'::text, 'dashboard'::text]) AND (cardinality(scopes) > 0))),
    CONSTRAINT api_keys_secret_hash CHECK ((length(secret_hash) = 32))
);

CREATE TABLE public.audit_log (
    bucket smallint NOT NULL,
    merchant_id text NOT NULL COLLATE pg_catalog."C",
    id text NOT NULL COLLATE pg_catalog."C",
    at timestamp with time zone NOT NULL,
    user_id text COLLATE pg_catalog."C",
    actor text NOT NULL,
    action text NOT NULL COLLATE pg_catalog."C",
    object text NOT NULL COLLATE pg_catalog."C",
    detail text DEFAULT '{}'::text NOT NULL,
    address text NOT NULL,
    CONSTRAINT audit_log_action CHECK ((action ~ '^[a-z_]+\.[a-z_]+$'::text)),
    CONSTRAINT audit_log_bucket CHECK (((bucket >= 0) AND (bucket <= 63))),
    CONSTRAINT audit_log_detail CHECK ((length(detail) <= 4000))
);

CREATE TABLE public.deliveries (
    bucket smallint NOT NULL,
    merchant_id text NOT NULL COLLATE pg_catalog."C",
    id text NOT NULL COLLATE pg_catalog."C",
    event_id text NOT NULL COLLATE pg_catalog."C",
    event_type text NOT NULL COLLATE pg_catalog."C",
    subject_id text NOT NULL COLLATE pg_catalog."C",
    endpoint_id text NOT NULL COLLATE pg_catalog."C",
    status text NOT NULL COLLATE pg_catalog."C",
    attempts smallint NOT NULL,
    claims integer NOT NULL,
    response_code smallint,
    created_at timestamp with time zone NOT NULL,
    last_attempt_at timestamp with time zone,
    finished_at timestamp with time zone NOT NULL,
    CONSTRAINT deliveries_bucket CHECK (((bucket >= 0) AND (bucket <= 63))),
    CONSTRAINT deliveries_status CHECK ((status = ANY (ARRAY['success'::text, 'failed'::text])))
)
PARTITION BY RANGE (id);

CREATE TABLE public.deliveries_default (
    bucket smallint CONSTRAINT deliveries_bucket_not_null NOT NULL,
    merchant_id text CONSTRAINT deliveries_merchant_id_not_null NOT NULL COLLATE pg_catalog."C",
    id text CONSTRAINT deliveries_id_not_null NOT NULL COLLATE pg_catalog."C",
    event_id text CONSTRAINT deliveries_event_id_not_null NOT NULL COLLATE pg_catalog."C",
    event_type text CONSTRAINT deliveries_event_type_not_null NOT NULL COLLATE pg_catalog."C",
    subject_id text CONSTRAINT deliveries_subject_id_not_null NOT NULL COLLATE pg_catalog."C",
    endpoint_id text CONSTRAINT deliveries_endpoint_id_not_null NOT NULL COLLATE pg_catalog."C",
    status text CONSTRAINT deliveries_status_not_null NOT NULL COLLATE pg_catalog."C",
    attempts smallint CONSTRAINT deliveries_attempts_not_null NOT NULL,
    claims integer CONSTRAINT deliveries_claims_not_null NOT NULL,
    response_code smallint,
    created_at timestamp with time zone CONSTRAINT deliveries_created_at_not_null NOT NULL,
    last_attempt_at timestamp with time zone,
    finished_at timestamp with time zone CONSTRAINT deliveries_finished_at_not_null NOT NULL,
    CONSTRAINT deliveries_bucket CHECK (((bucket >= 0) AND (bucket <= 63))),
    CONSTRAINT deliveries_status CHECK ((status = ANY (ARRAY['success'::text, 'failed'::text])))
);

CREATE TABLE public.delivery_attempts (
    bucket smallint NOT NULL,
    merchant_id text NOT NULL COLLATE pg_catalog."C",
    delivery_id text NOT NULL COLLATE pg_catalog."C",
    claim integer NOT NULL,
    attempt smallint NOT NULL,
    started_at timestamp with time zone NOT NULL,
    duration_ms integer NOT NULL,
    request_headers text NOT NULL,
    response_code smallint,
    response_headers text,
    response_body bytea,
    error text,
    CONSTRAINT delivery_attempts_bucket CHECK (((bucket >= 0) AND (bucket <= 63))),
    CONSTRAINT delivery_attempts_outcome CHECK (((response_code IS NOT NULL) OR (error IS NOT NULL))),
    CONSTRAINT delivery_attempts_response_body CHECK ((length(response_body) <= 16384))
)
PARTITION BY RANGE (delivery_id);

CREATE TABLE public.delivery_attempts_default (
    bucket smallint CONSTRAINT delivery_attempts_bucket_not_null NOT NULL,
    merchant_id text CONSTRAINT delivery_attempts_merchant_id_not_null NOT NULL COLLATE pg_catalog."C",
    delivery_id text CONSTRAINT delivery_attempts_delivery_id_not_null NOT NULL COLLATE pg_catalog."C",
    claim integer CONSTRAINT delivery_attempts_claim_not_null NOT NULL,
    attempt smallint CONSTRAINT delivery_attempts_attempt_not_null NOT NULL,
    started_at timestamp with time zone CONSTRAINT delivery_attempts_started_at_not_null NOT NULL,
    duration_ms integer CONSTRAINT delivery_attempts_duration_ms_not_null NOT NULL,
    request_headers text CONSTRAINT delivery_attempts_request_headers_not_null NOT NULL,
    response_code smallint,
    response_headers text,
    response_body bytea,
    error text,
    CONSTRAINT delivery_attempts_bucket CHECK (((bucket >= 0) AND (bucket <= 63))),
    CONSTRAINT delivery_attempts_outcome CHECK (((response_code IS NOT NULL) OR (error IS NOT NULL))),
    CONSTRAINT delivery_attempts_response_body CHECK ((length(response_body) <= 16384))
);

CREATE TABLE public.dispatchers (
    id text NOT NULL COLLATE pg_catalog."C",
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    delivered bigint DEFAULT 0 NOT NULL,
    processed bigint DEFAULT 0 NOT NULL,
    in_flight integer DEFAULT 0 NOT NULL,
    started_at timestamp with time zone NOT NULL,
    seen_at timestamp with time zone NOT NULL
);

CREATE TABLE public.endpoint_health (
    bucket smallint NOT NULL,
    merchant_id text NOT NULL COLLATE pg_catalog."C",
    endpoint_id text NOT NULL COLLATE pg_catalog."C",
    failures bigint NOT NULL,
    failing_since timestamp with time zone NOT NULL,
    last_failure_at timestamp with time zone NOT NULL,
    last_error text NOT NULL,
    open_until timestamp with time zone,
    trips integer DEFAULT 0 NOT NULL,
    probed_by text COLLATE pg_catalog."C",
    probe_until timestamp with time zone,
    warnings smallint DEFAULT 0 NOT NULL,
    warned_at timestamp with time zone,
    CONSTRAINT endpoint_health_bucket CHECK (((bucket >= 0) AND (bucket <= 63))),
    CONSTRAINT endpoint_health_circuit CHECK ((((open_until IS NULL) = (trips = 0)) AND ((probed_by IS NULL) OR (open_until IS NOT NULL)))),
    CONSTRAINT endpoint_health_failed CHECK (((failures > 0) AND (last_failure_at >= failing_since))),
    CONSTRAINT endpoint_health_probe CHECK (((probed_by IS NULL) = (probe_until IS NULL))),
    CONSTRAINT endpoint_health_warned CHECK (((warnings = 0) = (warned_at IS NULL)))
);

CREATE TABLE public.endpoints (
    bucket smallint NOT NULL,
    merchant_id text NOT NULL COLLATE pg_catalog."C",
    id text NOT NULL COLLATE pg_catalog."C",
    url text NOT NULL,
    event_types text[] DEFAULT '{*}'::text[] NOT NULL,
    sealed_secret bytea NOT NULL,
    sealed_previous_secret bytea,
    previous_secret_expires_at timestamp with time zone,
    retry_schedule integer[],
    is_default boolean DEFAULT false NOT NULL,
    enabled boolean DEFAULT true NOT NULL,
    disabled_reason text,
    version bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    description text,
    sealed_headers bytea,
    header_names text[] DEFAULT '{}'::text[] NOT NULL,
    rate integer,
    ordered boolean DEFAULT false NOT NULL,
    disabled_at timestamp with time zone,
    CONSTRAINT endpoints_bucket CHECK (((bucket >= 0) AND (bucket <= 63))),
    CONSTRAINT endpoints_description CHECK (((length(description) >= 1) AND (length(description) <= 500))),
    CONSTRAINT endpoints_disabled CHECK (((NOT enabled) OR (disabled_reason IS NULL))),
    CONSTRAINT endpoints_disabled_at CHECK (((NOT enabled) OR (disabled_at IS NULL))),
    CONSTRAINT endpoints_event_types CHECK (((cardinality(event_types) >= 1) AND (cardinality(event_types) <= 50))),
    CONSTRAINT endpoints_headers CHECK (((cardinality(header_names) <= 10) AND ((sealed_headers IS NULL) = (cardinality(header_names) = 0)))),
    CONSTRAINT endpoints_previous_secret CHECK (((sealed_previous_secret IS NULL) = (previous_secret_expires_at IS NULL))),
    CONSTRAINT endpoints_rate CHECK (((rate >= 1) AND (rate <= 1000))),
    CONSTRAINT endpoints_retry_schedule CHECK (((cardinality(retry_schedule) >= 1) AND (cardinality(retry_schedule) <= 20))),
    CONSTRAINT endpoints_retry_steps CHECK (((0 <= ALL (retry_schedule)) AND (604800 >= ALL (retry_schedule)))),
    CONSTRAINT endpoints_url CHECK (((length(url) >= 1) AND (length(url) <= 2048)))
);

CREATE TABLE public.events (
    bucket smallint NOT NULL,
    merchant_id text NOT NULL COLLATE pg_catalog."C",
    id text NOT NULL COLLATE pg_catalog."C",
    type text NOT NULL COLLATE pg_catalog."C",
    subject_id text NOT NULL COLLATE pg_catalog."C",
    deliveries smallint NOT NULL,
    body text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    xact_id xid8 DEFAULT (((((pg_current_xact_id())::text)::bigint + public.events_shift()))::text)::xid8 NOT NULL,
    CONSTRAINT events_bucket CHECK (((bucket >= 0) AND (bucket <= 63))),
    CONSTRAINT events_deliveries CHECK (((deliveries >= 0) AND (deliveries <= 1023)))
)
PARTITION BY RANGE (id);

CREATE TABLE public.events_default (
    bucket smallint CONSTRAINT events_bucket_not_null NOT NULL,
    merchant_id text CONSTRAINT events_merchant_id_not_null NOT NULL COLLATE pg_catalog."C",
    id text CONSTRAINT events_id_not_null NOT NULL COLLATE pg_catalog."C",
    type text CONSTRAINT events_type_not_null NOT NULL COLLATE pg_catalog."C",
    subject_id text CONSTRAINT events_subject_id_not_null NOT NULL COLLATE pg_catalog."C",
    deliveries smallint CONSTRAINT events_deliveries_not_null NOT NULL,
    body text CONSTRAINT events_body_not_null NOT NULL,
    created_at timestamp with time zone CONSTRAINT events_created_at_not_null NOT NULL,
    xact_id xid8 DEFAULT (((((pg_current_xact_id())::text)::bigint + public.events_shift()))::text)::xid8 CONSTRAINT events_xact_id_not_null NOT NULL,
    CONSTRAINT events_bucket CHECK (((bucket >= 0) AND (bucket <= 63))),
    CONSTRAINT events_deliveries CHECK (((deliveries >= 0) AND (deliveries <= 1023)))
);

CREATE TABLE public.figure_places (
    bucket smallint NOT NULL,
    merchant_id text NOT NULL COLLATE pg_catalog."C",
    xact_id xid8 DEFAULT '0'::xid8 NOT NULL,
    event_id text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    from_id text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    counted_at timestamp with time zone,
    CONSTRAINT figure_places_bucket CHECK (((bucket >= 0) AND (bucket <= 63)))
)
WITH (fillfactor='70');

CREATE TABLE public.figures (
    bucket smallint NOT NULL,
    merchant_id text NOT NULL COLLATE pg_catalog."C",
    slot timestamp with time zone NOT NULL,
    currency text NOT NULL COLLATE pg_catalog."C",
    method text NOT NULL COLLATE pg_catalog."C",
    events bigint NOT NULL,
    deliveries bigint NOT NULL,
    created bigint NOT NULL,
    succeeded bigint NOT NULL,
    failed bigint NOT NULL,
    volume bigint NOT NULL,
    captures bigint NOT NULL,
    captured bigint NOT NULL,
    refunds bigint NOT NULL,
    refunds_processed bigint NOT NULL,
    refunds_failed bigint NOT NULL,
    refunded bigint NOT NULL,
    CONSTRAINT figures_bucket CHECK (((bucket >= 0) AND (bucket <= 63)))
)
WITH (fillfactor='70');

CREATE TABLE public.histories (
    name text NOT NULL COLLATE pg_catalog."C",
    kept_from timestamp with time zone NOT NULL,
    first_id text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT histories_name CHECK ((name = ANY (ARRAY['events'::text, 'delivery_attempts'::text])))
);

CREATE TABLE public.idempotency_keys (
    bucket smallint NOT NULL,
    merchant_id text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    request_hash text NOT NULL COLLATE pg_catalog."C",
    status smallint NOT NULL,
    body text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    sealed_body bytea,
    CONSTRAINT idempotency_keys_bucket CHECK (((bucket >= 0) AND (bucket <= 63))),
    CONSTRAINT idempotency_keys_key CHECK (((length(key) >= 1) AND (length(key) <= 255)))
);

CREATE TABLE public.memberships (
    merchant_id text NOT NULL COLLATE pg_catalog."C",
    user_id text NOT NULL COLLATE pg_catalog."C",
    role text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone NOT NULL,
    chosen_at timestamp with time zone,
    CONSTRAINT memberships_role CHECK ((role = ANY (ARRAY['owner'::text, 'developer'::text, 'viewer'::text])))
);

CREATE TABLE public.merchants (
    id text NOT NULL COLLATE pg_catalog."C",
    bucket smallint NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    checkout_origins text[] DEFAULT '{}'::text[] NOT NULL,
    CONSTRAINT merchants_bucket CHECK (((bucket >= 0) AND (bucket <= 63))),
    CONSTRAINT merchants_checkout_origins CHECK (((cardinality(checkout_origins) <= 20) AND (array_position(checkout_origins, NULL::text) IS NULL))),
    CONSTRAINT merchants_name CHECK (((length(name) >= 1) AND (length(name) <= 200)))
);

CREATE TABLE public.orders (
    bucket smallint NOT NULL,
    merchant_id text NOT NULL COLLATE pg_catalog."C",
    id text NOT NULL COLLATE pg_catalog."C",
    amount bigint NOT NULL,
    amount_paid bigint DEFAULT 0 NOT NULL,
    currency text NOT NULL COLLATE pg_catalog."C",
    receipt text,
    notes text DEFAULT '{}'::text NOT NULL,
    reusable boolean DEFAULT false NOT NULL,
    status text DEFAULT 'created'::text NOT NULL COLLATE pg_catalog."C",
    attempts bigint DEFAULT 0 NOT NULL,
    paying_payment_id text COLLATE pg_catalog."C",
    version bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT orders_amount CHECK (((amount >= 1) AND (amount <= '9007199254740991'::bigint))),
    CONSTRAINT orders_amount_paid CHECK (((amount_paid >= 0) AND (reusable OR (amount_paid <= amount)))),
    CONSTRAINT orders_bucket CHECK (((bucket >= 0) AND (bucket <= 63))),
    CONSTRAINT orders_currency CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT orders_id CHECK ((id ~ '^[A-Za-z0-9_.-]{1,64}$'::text)),
    CONSTRAINT orders_paid_in_full CHECK (((status = 'paid'::text) = ((NOT reusable) AND (amount_paid = amount)))),
    CONSTRAINT orders_paying CHECK (((paying_payment_id IS NULL) OR ((status <> 'paid'::text) AND (NOT reusable)))),
    CONSTRAINT orders_status CHECK ((status = ANY (ARRAY['created'::text, 'attempted'::text, 'paid'::text])))
)
WITH (fillfactor='85');

CREATE TABLE public.outbox (
    bucket smallint NOT NULL,
    merchant_id text NOT NULL COLLATE pg_catalog."C",
    id text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL COLLATE pg_catalog."C",
    event_id text COLLATE pg_catalog."C",
    event_type text COLLATE pg_catalog."C",
    subject_id text COLLATE pg_catalog."C",
    endpoint_id text COLLATE pg_catalog."C",
    attempts smallint DEFAULT 0 NOT NULL,
    claims integer DEFAULT 0 NOT NULL,
    leased_by text COLLATE pg_catalog."C",
    next_retry_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL,
    last_attempt_at timestamp with time zone,
    response_code smallint,
    starts_over boolean DEFAULT false NOT NULL,
    CONSTRAINT outbox_bucket CHECK (((bucket >= 0) AND (bucket <= 63))),
    CONSTRAINT outbox_delivery CHECK (((kind = ANY (ARRAY['webhook.deliver'::text, 'webhook.retry'::text, 'webhook.ordered'::text])) = ((event_id IS NOT NULL) AND (event_type IS NOT NULL) AND (subject_id IS NOT NULL) AND (endpoint_id IS NOT NULL)))),
    CONSTRAINT outbox_kind CHECK ((kind = ANY (ARRAY['webhook.deliver'::text, 'webhook.retry'::text, 'webhook.ordered'::text, 'payment.process'::text, 'refund.process'::text, 'recovery.run'::text]))),
    CONSTRAINT outbox_next_retry_at CHECK ((next_retry_at < 'infinity'::timestamp with time zone))
)
WITH (fillfactor='80', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_insert_scale_factor='0', autovacuum_vacuum_insert_threshold='20000', autovacuum_vacuum_cost_delay='0', autovacuum_analyze_scale_factor='0', autovacuum_analyze_threshold='5000');

CREATE TABLE public.password_links (
    token_hash bytea NOT NULL,
    user_id text NOT NULL COLLATE pg_catalog."C",
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT password_links_hash CHECK ((length(token_hash) = 32))
);

CREATE TABLE public.payments (
    bucket smallint NOT NULL,
    merchant_id text NOT NULL COLLATE pg_catalog."C",
    id text NOT NULL COLLATE pg_catalog."C",
    order_id text NOT NULL COLLATE pg_catalog."C",
    amount bigint NOT NULL,
    currency text NOT NULL COLLATE pg_catalog."C",
    method text NOT NULL COLLATE pg_catalog."C",
    vpa text,
    flow text COLLATE pg_catalog."C",
    card_brand text COLLATE pg_catalog."C",
    card_last4 text COLLATE pg_catalog."C",
    sealed_instrument bytea,
    notes text DEFAULT '{}'::text NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL COLLATE pg_catalog."C",
    amount_captured bigint DEFAULT 0 NOT NULL,
    amount_refunded bigint DEFAULT 0 NOT NULL,
    error_code text COLLATE pg_catalog."C",
    error_description text,
    processor_ref text COLLATE pg_catalog."C",
    version bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT payments_amount CHECK (((amount >= 1) AND (amount <= '9007199254740991'::bigint))),
    CONSTRAINT payments_bucket CHECK (((bucket >= 0) AND (bucket <= 63))),
    CONSTRAINT payments_captured CHECK ((((amount_captured >= 0) AND (amount_captured <= amount)) AND ((amount_captured = 0) OR (status = 'success'::text)))),
    CONSTRAINT payments_card CHECK (((method <> 'card'::text) OR ((card_brand IS NOT NULL) AND (card_last4 ~ '^[0-9]{4}$'::text)))),
    CONSTRAINT payments_currency CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT payments_failure CHECK (((status = 'failed'::text) = (error_code IS NOT NULL))),
    CONSTRAINT payments_method CHECK ((method = ANY (ARRAY['upi'::text, 'card'::text]))),
    CONSTRAINT payments_refunded CHECK ((((amount_refunded >= 0) AND (amount_refunded <=
CASE
    WHEN (amount_captured > 0) THEN amount_captured
    ELSE amount
END)) AND ((amount_refunded = 0) OR (status = 'success'::text)))),
    CONSTRAINT payments_sealed_while_pending CHECK (((sealed_instrument IS NULL) OR (status = 'pending'::text))),
    CONSTRAINT payments_status CHECK ((status = ANY (ARRAY['pending'::text, 'success'::text, 'failed'::text]))),
    CONSTRAINT payments_upi CHECK (((method <> 'upi'::text) OR ((flow = ANY (ARRAY['collect'::text, 'intent'::text, 'qr'::text])) AND ((flow <> 'collect'::text) OR (vpa IS NOT NULL)))))
)
WITH (fillfactor='85');

CREATE TABLE public.recoveries (
    bucket smallint NOT NULL,
    merchant_id text NOT NULL COLLATE pg_catalog."C",
    id text NOT NULL COLLATE pg_catalog."C",
    endpoint_id text COLLATE pg_catalog."C",
    event text COLLATE pg_catalog."C",
    recovers text[] NOT NULL COLLATE pg_catalog."C",
    since timestamp with time zone NOT NULL,
    until timestamp with time zone NOT NULL,
    up_to_now boolean NOT NULL,
    rate integer NOT NULL,
    state text DEFAULT 'running'::text NOT NULL COLLATE pg_catalog."C",
    total bigint NOT NULL,
    total_is_exact boolean NOT NULL,
    scheduled bigint DEFAULT 0 NOT NULL,
    skipped bigint DEFAULT 0 NOT NULL,
    place text NOT NULL COLLATE pg_catalog."C",
    xact_id xid8 DEFAULT (((((pg_current_xact_id())::text)::bigint + public.events_shift()))::text)::xid8 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT recoveries_bucket CHECK (((bucket >= 0) AND (bucket <= 63))),
    CONSTRAINT recoveries_counts CHECK (((total >= 0) AND (scheduled >= 0) AND (skipped >= 0))),
    CONSTRAINT recoveries_finished CHECK (((state = ANY (ARRAY['done'::text, 'cancelled'::text])) = (finished_at IS NOT NULL))),
    CONSTRAINT recoveries_range CHECK ((since <= until)),
    CONSTRAINT recoveries_rate CHECK (((rate >= 1) AND (rate <= 1000))),
    CONSTRAINT recoveries_recovers CHECK (((recovers <@ ARRAY['failed'::text, 'success'::text, 'missed'::text]) AND (cardinality(recovers) > 0))),
    CONSTRAINT recoveries_state CHECK ((state = ANY (ARRAY['running'::text, 'paused'::text, 'done'::text, 'cancelled'::text])))
);

CREATE TABLE public.recovery_codes (
    user_id text NOT NULL COLLATE pg_catalog."C",
    code_hash bytea NOT NULL,
    CONSTRAINT recovery_codes_hash CHECK ((length(code_hash) = 32))
);

CREATE TABLE public.refunds (
    bucket smallint NOT NULL,
    merchant_id text NOT NULL COLLATE pg_catalog."C",
    id text NOT NULL COLLATE pg_catalog."C",
    payment_id text NOT NULL COLLATE pg_catalog."C",
    amount bigint NOT NULL,
    reason text,
    status text DEFAULT 'pending'::text NOT NULL COLLATE pg_catalog."C",
    error_code text COLLATE pg_catalog."C",
    version bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    processed_at timestamp with time zone,
    error_description text,
    processor_ref text COLLATE pg_catalog."C",
    CONSTRAINT refunds_amount CHECK (((amount >= 1) AND (amount <= '9007199254740991'::bigint))),
    CONSTRAINT refunds_bucket CHECK (((bucket >= 0) AND (bucket <= 63))),
    CONSTRAINT refunds_failure CHECK (((status = 'failed'::text) = (error_code IS NOT NULL))),
    CONSTRAINT refunds_processed CHECK (((status = 'pending'::text) = (processed_at IS NULL))),
    CONSTRAINT refunds_status CHECK ((status = ANY (ARRAY['pending'::text, 'processed'::text, 'failed'::text])))
)
WITH (fillfactor='85');

CREATE TABLE public.sessions (
    id text NOT NULL COLLATE pg_catalog."C",
    token_hash bytea NOT NULL,
    stage text NOT NULL COLLATE pg_catalog."C",
    user_id text COLLATE pg_catalog."C",
    merchant_id text COLLATE pg_catalog."C",
    next_path text,
    sealed_totp bytea,
    address text NOT NULL,
    user_agent text NOT NULL,
    began_at timestamp with time zone NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT sessions_stage CHECK ((stage = ANY (ARRAY['setup'::text, 'second'::text, 'full'::text]))),
    CONSTRAINT sessions_token CHECK ((length(token_hash) = 32)),
    CONSTRAINT sessions_user CHECK (((stage = 'setup'::text) = (user_id IS NULL)))
);

CREATE TABLE public.sign_in_tries (
    subject text NOT NULL COLLATE pg_catalog."C",
    failures integer NOT NULL,
    tried_at timestamp with time zone NOT NULL,
    blocked_until timestamp with time zone NOT NULL,
    CONSTRAINT sign_in_tries_failures CHECK ((failures >= 0))
);

CREATE TABLE public.users (
    id text NOT NULL COLLATE pg_catalog."C",
    email text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    password_hash text,
    operator boolean DEFAULT false NOT NULL,
    sealed_totp bytea,
    totp_step bigint DEFAULT 0 NOT NULL,
    sessions_from timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL,
    disabled_at timestamp with time zone,
    CONSTRAINT users_email CHECK ((((length(email) >= 3) AND (length(email) <= 254)) AND (email = lower(email)) AND (email ~~ '%_@_%'::text))),
    CONSTRAINT users_name CHECK (((length(name) >= 1) AND (length(name) <= 100))),
    CONSTRAINT users_password_hash CHECK ((password_hash ~~ '$argon2id$%'::text))
);

CREATE VIEW public.webhook_logs WITH (security_invoker='true') AS
 SELECT outbox.bucket,
    outbox.merchant_id,
    outbox.id,
    outbox.event_id,
    outbox.event_type,
    outbox.subject_id,
    outbox.endpoint_id,
    'pending'::text AS status,
    outbox.attempts,
    outbox.response_code,
    outbox.created_at,
    outbox.last_attempt_at,
    outbox.next_retry_at,
    NULL::timestamp with time zone AS finished_at
   FROM public.outbox
  WHERE (outbox.kind = ANY (ARRAY['webhook.deliver'::text, 'webhook.retry'::text, 'webhook.ordered'::text]))
UNION ALL
 SELECT deliveries.bucket,
    deliveries.merchant_id,
    deliveries.id,
    deliveries.event_id,
    deliveries.event_type,
    deliveries.subject_id,
    deliveries.endpoint_id,
    deliveries.status,
    deliveries.attempts,
    deliveries.response_code,
    deliveries.created_at,
    deliveries.last_attempt_at,
    NULL::timestamp with time zone AS next_retry_at,
    deliveries.finished_at
   FROM public.deliveries;

CREATE TABLE public.work_tally (
    span text NOT NULL COLLATE pg_catalog."C",
    starts_at timestamp with time zone NOT NULL,
    writer text NOT NULL COLLATE pg_catalog."C",
    completed bigint NOT NULL,
    failed bigint NOT NULL,
    CONSTRAINT work_tally_span CHECK ((span = ANY (ARRAY['second'::text, 'minute'::text])))
)
WITH (fillfactor='50');

CREATE TABLE simulator.charges (
    idempotency_key text NOT NULL COLLATE pg_catalog."C",
    amount bigint NOT NULL,
    currency text NOT NULL,
    approved boolean NOT NULL,
    code text,
    description text,
    calls integer DEFAULT 1 NOT NULL,
    decided_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    refunds_fail boolean DEFAULT false NOT NULL,
    refund_of text COLLATE pg_catalog."C"
);

CREATE TABLE simulator.movements (
    idempotency_key text NOT NULL COLLATE pg_catalog."C",
    amount bigint NOT NULL,
    moved_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL
);

ALTER TABLE ONLY public.deliveries ATTACH PARTITION public.deliveries_default DEFAULT;

ALTER TABLE ONLY public.delivery_attempts ATTACH PARTITION public.delivery_attempts_default DEFAULT;

ALTER TABLE ONLY public.events ATTACH PARTITION public.events_default DEFAULT;

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (bucket, merchant_id, id);

ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT deliveries_pkey PRIMARY KEY (bucket, merchant_id, id);

ALTER TABLE ONLY public.deliveries_default
    ADD CONSTRAINT deliveries_default_pkey PRIMARY KEY (bucket, merchant_id, id);

ALTER TABLE ONLY public.delivery_attempts
    ADD CONSTRAINT delivery_attempts_pkey PRIMARY KEY (bucket, merchant_id, delivery_id, claim);

ALTER TABLE ONLY public.delivery_attempts_default
    ADD CONSTRAINT delivery_attempts_default_pkey PRIMARY KEY (bucket, merchant_id, delivery_id, claim);

ALTER TABLE ONLY public.dispatchers
    ADD CONSTRAINT dispatchers_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.endpoint_health
    ADD CONSTRAINT endpoint_health_pkey PRIMARY KEY (bucket, merchant_id, endpoint_id);

ALTER TABLE ONLY public.endpoints
    ADD CONSTRAINT endpoints_pkey PRIMARY KEY (bucket, merchant_id, id);

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (bucket, merchant_id, id);

ALTER TABLE ONLY public.events_default
    ADD CONSTRAINT events_default_pkey PRIMARY KEY (bucket, merchant_id, id);

ALTER TABLE ONLY public.figure_places
    ADD CONSTRAINT figure_places_pkey PRIMARY KEY (bucket, merchant_id);

ALTER TABLE ONLY public.figures
    ADD CONSTRAINT figures_pkey PRIMARY KEY (bucket, merchant_id, slot, currency, method);

ALTER TABLE ONLY public.histories
    ADD CONSTRAINT histories_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (bucket, merchant_id, key);

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_pkey PRIMARY KEY (merchant_id, user_id);

ALTER TABLE ONLY public.merchants
    ADD CONSTRAINT merchants_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_pkey PRIMARY KEY (bucket, merchant_id, id);

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (bucket, merchant_id, id);

ALTER TABLE ONLY public.password_links
    ADD CONSTRAINT password_links_pkey PRIMARY KEY (token_hash);

ALTER TABLE ONLY public.payments
    ADD CONSTRAINT payments_pkey PRIMARY KEY (bucket, merchant_id, id);

ALTER TABLE ONLY public.recoveries
    ADD CONSTRAINT recoveries_pkey PRIMARY KEY (bucket, merchant_id, id);

ALTER TABLE ONLY public.recovery_codes
    ADD CONSTRAINT recovery_codes_pkey PRIMARY KEY (user_id, code_hash);

ALTER TABLE ONLY public.refunds
    ADD CONSTRAINT refunds_pkey PRIMARY KEY (bucket, merchant_id, id);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY public.sign_in_tries
    ADD CONSTRAINT sign_in_tries_pkey PRIMARY KEY (subject);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_email_key UNIQUE (email);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.work_tally
    ADD CONSTRAINT work_tally_pkey PRIMARY KEY (span, starts_at, writer);

ALTER TABLE ONLY simulator.charges
    ADD CONSTRAINT charges_pkey PRIMARY KEY (idempotency_key);

CREATE INDEX api_keys_by_merchant ON public.api_keys USING btree (merchant_id);

CREATE INDEX audit_log_by_age ON public.audit_log USING brin (bucket, at);

CREATE INDEX deliveries_by_failure ON ONLY public.deliveries USING btree (bucket, merchant_id, id) WHERE (status = 'failed'::text);

CREATE INDEX deliveries_by_subject ON ONLY public.deliveries USING btree (bucket, merchant_id, subject_id, id);

CREATE INDEX deliveries_default_bucket_merchant_id_id_idx ON public.deliveries_default USING btree (bucket, merchant_id, id) WHERE (status = 'failed'::text);

CREATE INDEX deliveries_default_bucket_merchant_id_subject_id_id_idx ON public.deliveries_default USING btree (bucket, merchant_id, subject_id, id);

CREATE UNIQUE INDEX endpoints_one_default ON public.endpoints USING btree (bucket, merchant_id) WHERE is_default;

CREATE INDEX events_by_commit ON ONLY public.events USING btree (bucket, merchant_id, xact_id, id);

CREATE INDEX events_default_bucket_merchant_id_xact_id_id_idx ON public.events_default USING btree (bucket, merchant_id, xact_id, id);

CREATE INDEX idempotency_keys_by_age ON public.idempotency_keys USING btree (bucket, created_at);

CREATE INDEX memberships_by_user ON public.memberships USING btree (user_id);

CREATE INDEX orders_by_age ON public.orders USING btree (bucket, merchant_id, created_at, id);

CREATE INDEX orders_by_receipt ON public.orders USING btree (bucket, merchant_id, receipt, created_at, id) WHERE (receipt IS NOT NULL);

CREATE INDEX outbox_due ON public.outbox USING btree (bucket, kind, next_retry_at) WHERE (next_retry_at < 'infinity'::timestamp with time zone);

CREATE INDEX outbox_lines ON public.outbox USING btree (bucket, kind, endpoint_id, next_retry_at) WHERE (endpoint_id IS NOT NULL);

CREATE INDEX outbox_ordered ON public.outbox USING btree (bucket, endpoint_id, id) WHERE (kind = 'webhook.ordered'::text);

CREATE INDEX password_links_by_user ON public.password_links USING btree (user_id);

CREATE INDEX payments_by_instrument ON public.payments USING btree (bucket, merchant_id, COALESCE((lower(vpa) COLLATE "C"), card_last4), id) WHERE (COALESCE((lower(vpa) COLLATE "C"), card_last4) IS NOT NULL);

CREATE INDEX payments_by_order ON public.payments USING btree (bucket, merchant_id, order_id, id);

CREATE INDEX recoveries_open ON public.recoveries USING btree (bucket, merchant_id) WHERE (state = ANY (ARRAY['running'::text, 'paused'::text]));

CREATE INDEX refunds_by_payment ON public.refunds USING btree (bucket, merchant_id, payment_id, id);

CREATE INDEX sessions_by_end ON public.sessions USING btree (expires_at);

CREATE INDEX sessions_by_user ON public.sessions USING btree (user_id);

CREATE INDEX sign_in_tries_by_age ON public.sign_in_tries USING btree (tried_at);

CREATE INDEX movements_by_key ON simulator.movements USING btree (idempotency_key);

ALTER INDEX public.deliveries_by_failure ATTACH PARTITION public.deliveries_default_bucket_merchant_id_id_idx;

ALTER INDEX public.deliveries_by_subject ATTACH PARTITION public.deliveries_default_bucket_merchant_id_subject_id_id_idx;

ALTER INDEX public.deliveries_pkey ATTACH PARTITION public.deliveries_default_pkey;

ALTER INDEX public.delivery_attempts_pkey ATTACH PARTITION public.delivery_attempts_default_pkey;

ALTER INDEX public.events_by_commit ATTACH PARTITION public.events_default_bucket_merchant_id_xact_id_id_idx;

ALTER INDEX public.events_pkey ATTACH PARTITION public.events_default_pkey;

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES public.merchants(id);

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES public.merchants(id);

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.password_links
    ADD CONSTRAINT password_links_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.recovery_codes
    ADD CONSTRAINT recovery_codes_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.refunds
    ADD CONSTRAINT refunds_of_payment FOREIGN KEY (bucket, merchant_id, payment_id) REFERENCES public.payments(bucket, merchant_id, id);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES public.merchants(id);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

CREATE POLICY all_tenants ON public.api_keys TO ledgate_dispatcher USING (true);

CREATE POLICY all_tenants ON public.deliveries TO ledgate_dispatcher USING (true);

CREATE POLICY all_tenants ON public.delivery_attempts TO ledgate_dispatcher USING (true);

CREATE POLICY all_tenants ON public.endpoint_health TO ledgate_dispatcher USING (true);

CREATE POLICY all_tenants ON public.endpoints TO ledgate_dispatcher USING (true);

CREATE POLICY all_tenants ON public.events TO ledgate_dispatcher USING (true);

CREATE POLICY all_tenants ON public.figure_places TO ledgate_dispatcher USING (true);

CREATE POLICY all_tenants ON public.figures TO ledgate_dispatcher USING (true);

CREATE POLICY all_tenants ON public.idempotency_keys TO ledgate_dispatcher USING (true);

CREATE POLICY all_tenants ON public.merchants TO ledgate_dispatcher USING (true);

CREATE POLICY all_tenants ON public.orders TO ledgate_dispatcher USING (true);

CREATE POLICY all_tenants ON public.outbox TO ledgate_dispatcher USING (true);

CREATE POLICY all_tenants ON public.payments TO ledgate_dispatcher USING (true);

CREATE POLICY all_tenants ON public.recoveries TO ledgate_dispatcher USING (true);

CREATE POLICY all_tenants ON public.refunds TO ledgate_dispatcher USING (true);

ALTER TABLE public.api_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.audit_log ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.deliveries ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.delivery_attempts ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.endpoint_health ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.endpoints ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.events ENABLE ROW LEVEL SECURITY;

CREATE POLICY every_tenant ON public.audit_log FOR SELECT TO ledgate_operator USING (true);

CREATE POLICY every_tenant ON public.deliveries FOR SELECT TO ledgate_operator USING (true);

CREATE POLICY every_tenant ON public.delivery_attempts FOR SELECT TO ledgate_operator USING (true);

CREATE POLICY every_tenant ON public.endpoint_health FOR SELECT TO ledgate_operator USING (true);

CREATE POLICY every_tenant ON public.endpoints FOR SELECT TO ledgate_operator USING (true);

CREATE POLICY every_tenant ON public.events FOR SELECT TO ledgate_operator USING (true);

CREATE POLICY every_tenant ON public.figure_places FOR SELECT TO ledgate_operator USING (true);

CREATE POLICY every_tenant ON public.figures FOR SELECT TO ledgate_operator USING (true);

CREATE POLICY every_tenant ON public.memberships FOR SELECT TO ledgate_operator USING (true);

CREATE POLICY every_tenant ON public.merchants FOR SELECT TO ledgate_operator USING (true);

CREATE POLICY every_tenant ON public.orders FOR SELECT TO ledgate_operator USING (true);

CREATE POLICY every_tenant ON public.outbox FOR SELECT TO ledgate_operator USING (true);

CREATE POLICY every_tenant ON public.payments FOR SELECT TO ledgate_operator USING (true);

CREATE POLICY every_tenant ON public.recoveries FOR SELECT TO ledgate_operator USING (true);

CREATE POLICY every_tenant ON public.refunds FOR SELECT TO ledgate_operator USING (true);

ALTER TABLE public.figure_places ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.figures ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.idempotency_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.memberships ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.merchants ENABLE ROW LEVEL SECURITY;

CREATE POLICY one_tenant ON public.api_keys TO ledgate_api USING ((NOT (merchant_id IS DISTINCT FROM public.tenant())));

CREATE POLICY one_tenant ON public.audit_log TO ledgate_dashboard USING ((NOT (merchant_id IS DISTINCT FROM public.tenant())));

CREATE POLICY one_tenant ON public.deliveries TO ledgate_api USING ((NOT (merchant_id IS DISTINCT FROM public.tenant())));

CREATE POLICY one_tenant ON public.delivery_attempts TO ledgate_api USING ((NOT (merchant_id IS DISTINCT FROM public.tenant())));

CREATE POLICY one_tenant ON public.endpoint_health TO ledgate_api USING ((NOT (merchant_id IS DISTINCT FROM public.tenant())));

CREATE POLICY one_tenant ON public.endpoints TO ledgate_api USING ((NOT (merchant_id IS DISTINCT FROM public.tenant())));

CREATE POLICY one_tenant ON public.events TO ledgate_api USING ((NOT (merchant_id IS DISTINCT FROM public.tenant())));

CREATE POLICY one_tenant ON public.figure_places TO ledgate_api USING ((NOT (merchant_id IS DISTINCT FROM ( SELECT public.tenant() AS tenant))));

CREATE POLICY one_tenant ON public.figures TO ledgate_api USING ((NOT (merchant_id IS DISTINCT FROM ( SELECT public.tenant() AS tenant))));

CREATE POLICY one_tenant ON public.idempotency_keys TO ledgate_api USING ((NOT (merchant_id IS DISTINCT FROM public.tenant())));

CREATE POLICY one_tenant ON public.memberships TO ledgate_dashboard USING ((NOT (merchant_id IS DISTINCT FROM public.tenant())));

CREATE POLICY one_tenant ON public.merchants TO ledgate_api USING ((NOT (id IS DISTINCT FROM public.tenant())));

CREATE POLICY one_tenant ON public.orders TO ledgate_api USING ((NOT (merchant_id IS DISTINCT FROM public.tenant())));

CREATE POLICY one_tenant ON public.outbox TO ledgate_api USING ((NOT (merchant_id IS DISTINCT FROM public.tenant())));

CREATE POLICY one_tenant ON public.payments TO ledgate_api USING ((NOT (merchant_id IS DISTINCT FROM public.tenant())));

CREATE POLICY one_tenant ON public.recoveries TO ledgate_api USING ((NOT (merchant_id IS DISTINCT FROM public.tenant())));

CREATE POLICY one_tenant ON public.refunds TO ledgate_api USING ((NOT (merchant_id IS DISTINCT FROM public.tenant())));

ALTER TABLE public.orders ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.outbox ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.payments ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.recoveries ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.refunds ENABLE ROW LEVEL SECURITY;
