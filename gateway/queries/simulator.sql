-- name: charge
-- Decide once for each key and remember it; a repeated call gets the first answer, and moves no money.
WITH decided AS (
    INSERT INTO simulator.charges AS c (idempotency_key, amount, currency, approved, code, description, refunds_fail)
    VALUES (%(key)s, %(amount)s, %(currency)s, %(approved)s, %(code)s, %(description)s, %(refunds_fail)s)
    ON CONFLICT (idempotency_key) DO UPDATE SET calls = c.calls + 1
    RETURNING approved, code, description, calls, amount
),
moved AS (
    INSERT INTO simulator.movements (idempotency_key, amount)
    SELECT %(key)s, amount FROM decided WHERE approved AND calls = 1
)
SELECT approved, code, description FROM decided;

-- name: give_back
-- The same for a refund: approved when its charge was, unless the charge's magic value says that its refunds fail.
-- Money that moves back has a negative amount.
WITH asked AS (
    SELECT %(key)s::text AS key, %(refund_of)s::text AS refund_of, %(amount)s::bigint AS amount,
           %(currency)s::text AS currency
),
judged AS (
    SELECT a.*, CASE WHEN c.approved IS NOT TRUE THEN 'charge_unknown' WHEN c.refunds_fail THEN 'refund_declined' END
               AS code,
           CASE WHEN c.approved IS NOT TRUE THEN 'The processor knows of no such charge'
                WHEN c.refunds_fail THEN 'The payer''s bank does not take the money back' END AS description
    FROM asked a
    LEFT JOIN simulator.charges c ON c.idempotency_key = a.refund_of
),
decided AS (
    INSERT INTO simulator.charges AS c (idempotency_key, refund_of, amount, currency, approved, code, description)
    SELECT key, refund_of, amount, currency, code IS NULL, code, description FROM judged
    ON CONFLICT (idempotency_key) DO UPDATE SET calls = c.calls + 1
    RETURNING idempotency_key, approved, code, description, calls, amount
),
moved AS (
    INSERT INTO simulator.movements (idempotency_key, amount)
    SELECT idempotency_key, -amount FROM decided WHERE approved AND calls = 1
)
SELECT approved, code, description FROM decided;

-- name: find_charge
-- What became of an earlier call, a charge or a refund.
SELECT approved, code, description FROM simulator.charges WHERE idempotency_key = %(key)s;
