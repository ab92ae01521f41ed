DROP FUNCTION endpoint_traffic(smallint, text, text);
DROP FUNCTION open_work(smallint, text);
DROP FUNCTION delivery_ends(smallint, text, text[], text[]);
DO $$
BEGIN
    REVOKE pg_read_all_stats FROM ledgate_operator;
EXCEPTION WHEN insufficient_privilege OR undefined_object OR object_in_use THEN NULL;
END $$;
DROP TABLE figure_places;
DROP TABLE figures;
