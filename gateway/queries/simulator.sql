-- name: charge
-- Decide once for each key and remember it; a repeated call gets the first answer, and moves no money.
WITH decided AS (
    INSERT INTO simulator.charges AS c (idempotency_key, amount, currency, approved, code, description)
    VALUES (%(key)s, %(amount)s, %(currency)s, %(approved)s, %(code)s, %(description)s)
    ON CONFLICT (idempotency_key) DO UPDATE SET calls = c.calls + 1
    RETURNING approved, code, description, calls, amount
),
moved AS (
    INSERT INTO simulator.movements (idempotency_key, amount)
    SELECT %(key)s, amount FROM decided WHERE approved AND calls = 1
)
SELECT approved, code, description FROM decided;

-- name: find_charge
-- What became of an earlier call.
SELECT approved, code, description FROM simulator.charges WHERE idempotency_key = %(key)s;
