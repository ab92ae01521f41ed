-- Who may do what. The API works as `ledgate_api`: it sees and writes the rows of one merchant, the one that the
-- transaction names in `ledgate.tenant`; without a name, of none. A statement that forgets its merchant finds nothing
-- of another's. It cannot alter the schema, nor change or delete an event. Dispatchers work as `ledgate_dispatcher`,
-- for all merchants. Both are roles without a login: processes enter them (`role` at the start of a session), and an
-- operator gives each process a login of its own that is a member of its role alone (docs/operations.md).

DO $$
BEGIN
    -- Roles are the server's: another of its databases may have made them already, or be making them now.
    CREATE ROLE ledgate_api NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$
BEGIN
    CREATE ROLE ledgate_dispatcher NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$
BEGIN
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT ledgate_api, ledgate_dispatcher TO %I', current_user);
    END IF;
END $$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO ledgate_api, ledgate_dispatcher;
GRANT USAGE ON SCHEMA simulator TO ledgate_dispatcher;
GRANT SELECT ON _yoyo_migration TO ledgate_api, ledgate_dispatcher;

GRANT SELECT ON merchants, api_keys, orders, payments, refunds, idempotency_keys, endpoints, events, outbox, deliveries,
    delivery_attempts, webhook_logs TO ledgate_api;
GRANT INSERT ON api_keys, orders, payments, refunds, idempotency_keys, endpoints, events, outbox TO ledgate_api;
GRANT UPDATE (revoked_at) ON api_keys TO ledgate_api;
GRANT UPDATE (amount_captured, amount_refunded, version, updated_at) ON payments TO ledgate_api;
GRANT UPDATE ON idempotency_keys, endpoints, outbox TO ledgate_api;
GRANT DELETE ON endpoints, deliveries TO ledgate_api;

GRANT SELECT ON merchants, orders, payments, refunds, idempotency_keys, endpoints, events, outbox, deliveries,
    delivery_attempts, webhook_logs, dispatchers, work_tally TO ledgate_dispatcher;
GRANT INSERT ON events, outbox, deliveries, delivery_attempts, dispatchers, work_tally TO ledgate_dispatcher;
GRANT UPDATE ON orders, payments, refunds, endpoints, outbox, dispatchers, work_tally TO ledgate_dispatcher;
GRANT DELETE ON idempotency_keys, outbox, dispatchers, work_tally TO ledgate_dispatcher;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA simulator TO ledgate_dispatcher;

-- The merchant whose rows the statement may see. A statement names it by itself (`{{outbox.tenant}}`), for its own
-- transaction only: no other message, no state of a session, nothing that a pooler could hand to somebody else. One
-- that sees a row before it has named a merchant fails, and loudly. (Volatile, or the planner would ask while it only
-- estimates.)
CREATE FUNCTION no_tenant() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RAISE EXCEPTION 'the statement names no tenant' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE FUNCTION tenant() RETURNS text LANGUAGE sql VOLATILE
RETURN coalesce(nullif(current_setting('ledgate.tenant', true), ''), no_tenant());

-- `IS NOT DISTINCT FROM` is an equality that no index knows: rows are found by what the statement says, and checked
-- by this. As an indexable `=` it drew the planner to indexes that begin alike, and new orders to a walk over all
-- orders (docs/decisions/0006).
ALTER TABLE merchants ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON merchants TO ledgate_api USING (id IS NOT DISTINCT FROM tenant());
CREATE POLICY all_tenants ON merchants TO ledgate_dispatcher USING (true);

DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['api_keys', 'orders', 'payments', 'refunds', 'idempotency_keys', 'endpoints',
                                        'events', 'outbox', 'deliveries', 'delivery_attempts'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY one_tenant ON %I TO ledgate_api'
                       ' USING (merchant_id IS NOT DISTINCT FROM tenant())', tenant_table);
        EXECUTE format('CREATE POLICY all_tenants ON %I TO ledgate_dispatcher USING (true)', tenant_table);
    END LOOP;
END $$;

-- Views ask as their owner unless told otherwise.
ALTER VIEW webhook_logs SET (security_invoker = true);

-- The two things that the API must know without a merchant: whom a key belongs to, and how much work is open. `pg_temp`
-- stands last, so that no temporary table can play one of ours.
CREATE FUNCTION find_api_key(wanted text)
RETURNS TABLE (key_id text, secret_hash bytea, scopes text[], merchant_id text, bucket smallint, name text)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT k.id, k.secret_hash, k.scopes, m.id, m.bucket, m.name
    FROM api_keys k JOIN merchants m ON m.id = k.merchant_id
    WHERE k.id = wanted AND k.revoked_at IS NULL
$$;

-- Open work counted now, finished work of the last 24 hours to the second: whole minutes from the minute rows, the
-- broken minute at the far end from its second rows.
CREATE FUNCTION work_status()
RETURNS TABLE (pending bigint, processing bigint, completed bigint, failed bigint, running boolean)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, public, pg_temp
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

REVOKE ALL ON FUNCTION find_api_key(text), work_status() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_api_key(text), work_status() TO ledgate_api, ledgate_dispatcher;
