-- Where a merchant's pages may show the checkout in a frame: origins such as https://shop.example. None: nowhere; in
-- test mode, on loopback.
ALTER TABLE merchants ADD COLUMN checkout_origins text[] NOT NULL DEFAULT '{}';
ALTER TABLE merchants ADD CONSTRAINT merchants_checkout_origins
    CHECK (cardinality(checkout_origins) <= 20 AND array_position(checkout_origins, NULL) IS NULL);
GRANT UPDATE (checkout_origins) ON merchants TO ledgate_api;

-- How payments stand that the checkout waits for, of whichever merchants, with one statement for a whole process: the
-- third thing that is asked without a merchant. It tells a status and nothing else, to whoever can name the payment.
CREATE FUNCTION payment_statuses(watched json) RETURNS TABLE (n int, status text)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 100 SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT w.n, p.status
    FROM json_to_recordset(watched) AS w (n int, bucket smallint, merchant_id text, id text)
    JOIN payments p ON p.bucket = w.bucket AND p.merchant_id = w.merchant_id AND p.id = w.id
$$;
REVOKE ALL ON FUNCTION payment_statuses(json) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION payment_statuses(json) TO ledgate_api;
