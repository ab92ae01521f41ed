-- "Who paid with this address, with this card?": a payment's UPI address or its card's last four, neither of which ever
-- changes, so that settling stays a HOT update. It is partial, though every payment is in it, so that no look-up by key
-- goes through it: on a table that was never analysed the planner took it for as good as the key, and read all payments
-- of a merchant for each one (docs/decisions/0005). IF NOT EXISTS: where there are payments it is built before, while
-- they are written to (schema/indexes.py).
CREATE INDEX IF NOT EXISTS payments_by_instrument
    ON payments (bucket, merchant_id, (coalesce(lower(vpa) COLLATE "C", card_last4)), id)
    WHERE coalesce(lower(vpa) COLLATE "C", card_last4) IS NOT NULL;

-- A merchant's payments of an instrument, or of those that begin alike (up to `high`, exclusive): their ids, the newest
-- first, 1,000 at most. `lower` is a function that row security lets nothing be looked up by, since it might tell of
-- another's rows what it is called with; so whose rows may be looked into is asked here, once.
CREATE FUNCTION payments_of_instrument(of_bucket smallint, of_merchant text, low text, high text DEFAULT NULL,
                                       before_id text DEFAULT 'pay`', after_id text DEFAULT NULL)
RETURNS TABLE (id text)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1000 SET search_path = pg_catalog, public, pg_temp
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
REVOKE ALL ON FUNCTION payments_of_instrument(smallint, text, text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION payments_of_instrument(smallint, text, text, text, text, text) TO ledgate_api;
