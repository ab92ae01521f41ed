-- What one asks of an API key before it is revoked: who made it, and whether anything still uses it.
ALTER TABLE api_keys ADD COLUMN created_by text;
ALTER TABLE api_keys ADD COLUMN last_used_at timestamptz;  -- to the half minute
ALTER TABLE api_keys ADD CONSTRAINT api_keys_created_by CHECK (length(created_by) BETWEEN 1 AND 300);

-- A process tells of the keys that came, of all merchants together and after it has answered. Rows that another process
-- is just marking are left to it: nobody waits, and no two can wait for each other.
CREATE FUNCTION mark_keys_used(used text[]) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    UPDATE api_keys SET last_used_at = statement_timestamp()
    WHERE id IN (
        SELECT k.id FROM api_keys k
        WHERE k.id = ANY (used)
            AND (k.last_used_at IS NULL OR k.last_used_at < statement_timestamp() - interval '20 seconds')
        FOR UPDATE SKIP LOCKED
    )
$$;
REVOKE ALL ON FUNCTION mark_keys_used(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mark_keys_used(text[]) TO ledgate_api;
