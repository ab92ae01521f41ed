DROP FUNCTION memberships_of(text);
DROP FUNCTION find_session(bytea);
DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['merchants', 'orders', 'payments', 'refunds', 'endpoints', 'endpoint_health',
                                        'events', 'outbox', 'deliveries', 'delivery_attempts', 'recoveries'] LOOP
        EXECUTE format('DROP POLICY every_tenant ON %I', tenant_table);
    END LOOP;
END $$;
DROP TABLE audit_log;
DROP TABLE sign_in_tries;
DROP TABLE sessions;
DROP TABLE password_links;
DROP TABLE recovery_codes;
DROP TABLE memberships;
DROP TABLE users;

DROP OWNED BY ledgate_dashboard, ledgate_operator;
DO $$
BEGIN
    DROP ROLE ledgate_dashboard, ledgate_operator;
EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege OR object_in_use THEN NULL;
END $$;
