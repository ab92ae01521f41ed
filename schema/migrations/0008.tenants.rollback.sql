DROP FUNCTION work_status();
DROP FUNCTION find_api_key(text);
ALTER VIEW webhook_logs RESET (security_invoker);
DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['merchants', 'api_keys', 'orders', 'payments', 'refunds', 'idempotency_keys',
                                        'endpoints', 'events', 'outbox', 'deliveries', 'delivery_attempts'] LOOP
        EXECUTE format('DROP POLICY all_tenants ON %I', tenant_table);
        EXECUTE format('DROP POLICY one_tenant ON %I', tenant_table);
        EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', tenant_table);
    END LOOP;
END $$;
DROP FUNCTION tenant();
DROP FUNCTION no_tenant();

-- What the roles own or may do in this database; the roles themselves may be needed by another one.
DROP OWNED BY ledgate_api, ledgate_dispatcher;
DO $$
BEGIN
    DROP ROLE ledgate_api, ledgate_dispatcher;
EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege OR object_in_use THEN NULL;
END $$;
