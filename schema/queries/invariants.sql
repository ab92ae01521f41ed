-- What must hold at every moment, under load and after any crash: each statement gives the rows that break its rule.
-- `schema/invariants.py` counts them. Each rule is kept by one commit, so one snapshot never sees it half done.

-- What is past its retention is gone by whole days (schema/partitions.py): of an object that is older than the first
-- day that is kept some events may be missing, of a younger one none, since nothing is told of it before it is there.

-- fragment: events_from
-- The time in the ids, of any kind, from which on all events are kept.
(SELECT coalesce(max(substr(h.first_id, 5)), '') FROM histories h WHERE h.name = 'events')

-- name: payment_without_first_events
-- A payment and the two events that tell of it commit together.
SELECT p.bucket, p.merchant_id, p.id
FROM payments p
LEFT JOIN events e ON e.bucket = p.bucket AND e.merchant_id = p.merchant_id AND e.subject_id = p.id
    AND e.type IN ('payment.created', 'payment.pending')
GROUP BY p.bucket, p.merchant_id, p.id
HAVING count(*) FILTER (WHERE e.type = 'payment.created') > 1 OR count(*) FILTER (WHERE e.type = 'payment.pending') > 1
    OR (substr(p.id, 5) >= {{schema.events_from}} AND count(e.id) <> 2);

-- name: event_without_its_deliveries
-- Each endpoint that wanted an event is owed it, or was served: no delivery is lost, and none is made twice. What
-- recoveries made later, for endpoints that had missed it, counts from `g0` on.
SELECT e.bucket, e.merchant_id, e.id
FROM events e
LEFT JOIN (
    SELECT bucket, merchant_id, event_id, count(*) AS open_or_done, count(DISTINCT endpoint_id) AS endpoints,
           count(*) FILTER (WHERE substr(id, 29) < 'g0') AS fanned_out
    FROM webhook_logs GROUP BY bucket, merchant_id, event_id
) d ON d.bucket = e.bucket AND d.merchant_id = e.merchant_id AND d.event_id = e.id
WHERE e.deliveries <> coalesce(d.fanned_out, 0) OR d.open_or_done <> d.endpoints;

-- name: delivery_without_event
-- Nothing is sent that is not a fact.
SELECT d.bucket, d.merchant_id, d.id
FROM webhook_logs d
LEFT JOIN events e ON e.bucket = d.bucket AND e.merchant_id = d.merchant_id AND e.id = d.event_id
WHERE e.id IS NULL;

-- name: delivered_without_proof
-- A delivery counts as delivered when an attempt of it was answered with 2xx; attempts are kept for a shorter time.
SELECT d.bucket, d.merchant_id, d.id
FROM deliveries d
WHERE d.status = 'success' AND d.id >= coalesce((SELECT first_id FROM histories WHERE name = 'delivery_attempts'), '')
    AND NOT EXISTS (
    SELECT FROM delivery_attempts a
    WHERE a.bucket = d.bucket AND a.merchant_id = d.merchant_id AND a.delivery_id = d.id
        AND a.response_code BETWEEN 200 AND 299);

-- name: pending_payment_without_work
-- A payment that has not ended has somebody who must end it.
SELECT p.bucket, p.merchant_id, p.id
FROM payments p
LEFT JOIN outbox o ON o.bucket = p.bucket AND o.merchant_id = p.merchant_id AND o.id = p.id
    AND o.kind = 'payment.process'
WHERE p.status = 'pending' AND o.id IS NULL;

-- name: settled_payment_with_work
-- Nobody works on a payment that has ended.
SELECT o.bucket, o.merchant_id, o.id
FROM outbox o
LEFT JOIN payments p ON p.bucket = o.bucket AND p.merchant_id = o.merchant_id AND p.id = o.id
WHERE o.kind = 'payment.process' AND p.status IS DISTINCT FROM 'pending';

-- name: settled_payment_without_end_event
-- A payment's end is told once, and as it was.
SELECT p.bucket, p.merchant_id, p.id
FROM payments p
LEFT JOIN events e ON e.bucket = p.bucket AND e.merchant_id = p.merchant_id AND e.subject_id = p.id
    AND e.type IN ('payment.success', 'payment.failed')
GROUP BY p.bucket, p.merchant_id, p.id, p.status
HAVING count(e.id) > CASE p.status WHEN 'pending' THEN 0 ELSE 1 END
    OR count(e.id) FILTER (WHERE e.type <> 'payment.' || p.status) > 0
    OR (substr(p.id, 5) >= {{schema.events_from}} AND p.status <> 'pending' AND count(e.id) = 0);

-- name: paid_order_without_event
-- `order.paid` is told once for an order that is paid, and for no other.
SELECT o.bucket, o.merchant_id, o.id
FROM orders o
LEFT JOIN events e ON e.bucket = o.bucket AND e.merchant_id = o.merchant_id AND e.subject_id = o.id
    AND e.type = 'order.paid'
GROUP BY o.bucket, o.merchant_id, o.id, o.status, o.created_at
HAVING count(e.id) > CASE o.status WHEN 'paid' THEN 1 ELSE 0 END
    OR (o.status = 'paid' AND count(e.id) = 0
        AND o.created_at >= coalesce((SELECT kept_from FROM histories WHERE name = 'events'), '-infinity'));

-- name: order_with_wrong_sums
-- What an order says of itself is what its payments add up to.
SELECT o.bucket, o.merchant_id, o.id
FROM orders o
LEFT JOIN payments p ON p.bucket = o.bucket AND p.merchant_id = o.merchant_id AND p.order_id = o.id
GROUP BY o.bucket, o.merchant_id, o.id, o.amount_paid, o.attempts
HAVING o.amount_paid <> coalesce(sum(p.amount) FILTER (WHERE p.status = 'success'), 0)
    OR o.attempts <> count(p.id) FILTER (WHERE p.status <> 'pending');

-- name: order_held_by_nobody
-- The one place at the processor belongs to a payment that still is under way, or an order could never be paid.
SELECT o.bucket, o.merchant_id, o.id
FROM orders o
LEFT JOIN payments p ON p.bucket = o.bucket AND p.merchant_id = o.merchant_id AND p.id = o.paying_payment_id
WHERE o.paying_payment_id IS NOT NULL AND (p.status IS DISTINCT FROM 'pending' OR p.order_id IS DISTINCT FROM o.id);

-- name: payment_without_order
-- There is no foreign key from the hot table; the statement that starts a payment sees to it.
SELECT p.bucket, p.merchant_id, p.id
FROM payments p
LEFT JOIN orders o ON o.bucket = p.bucket AND o.merchant_id = p.merchant_id AND o.id = p.order_id
WHERE o.id IS NULL OR o.currency <> p.currency OR o.amount <> p.amount;

-- name: payment_with_wrong_refunds
-- What a payment says was refunded is what its refunds add up to; those that failed gave their amount back.
SELECT p.bucket, p.merchant_id, p.id
FROM payments p
LEFT JOIN refunds r ON r.bucket = p.bucket AND r.merchant_id = p.merchant_id AND r.payment_id = p.id
GROUP BY p.bucket, p.merchant_id, p.id, p.amount_refunded
HAVING p.amount_refunded <> coalesce(sum(r.amount) FILTER (WHERE r.status <> 'failed'), 0);

-- name: capture_without_event
-- A payment that is captured says so once, and one that is not never does.
SELECT p.bucket, p.merchant_id, p.id
FROM payments p
LEFT JOIN events e ON e.bucket = p.bucket AND e.merchant_id = p.merchant_id AND e.subject_id = p.id
    AND e.type = 'payment.captured'
GROUP BY p.bucket, p.merchant_id, p.id, p.amount_captured
HAVING count(e.id) > CASE WHEN p.amount_captured > 0 THEN 1 ELSE 0 END
    OR (substr(p.id, 5) >= {{schema.events_from}} AND p.amount_captured > 0 AND count(e.id) = 0)
    OR bool_or((e.body::json #>> '{data,payment,amount_captured}')::bigint <> p.amount_captured);

-- name: pending_refund_without_work
-- A refund that has not ended has somebody who must end it.
SELECT r.bucket, r.merchant_id, r.id
FROM refunds r
LEFT JOIN outbox o ON o.bucket = r.bucket AND o.merchant_id = r.merchant_id AND o.id = r.id
    AND o.kind = 'refund.process'
WHERE r.status = 'pending' AND o.id IS NULL;

-- name: settled_refund_with_work
-- Nobody works on a refund that has ended.
SELECT o.bucket, o.merchant_id, o.id
FROM outbox o
LEFT JOIN refunds r ON r.bucket = o.bucket AND r.merchant_id = o.merchant_id AND r.id = o.id
WHERE o.kind = 'refund.process' AND r.status IS DISTINCT FROM 'pending';

-- name: refund_without_its_events
-- A refund is told when it is made and when it ends, each once, as it was.
SELECT r.bucket, r.merchant_id, r.id
FROM refunds r
LEFT JOIN events e ON e.bucket = r.bucket AND e.merchant_id = r.merchant_id AND e.subject_id = r.id
GROUP BY r.bucket, r.merchant_id, r.id, r.status, r.amount
HAVING count(e.id) FILTER (WHERE e.type = 'refund.created') > 1
    OR count(e.id) FILTER (WHERE e.type <> 'refund.created') > CASE r.status WHEN 'pending' THEN 0 ELSE 1 END
    OR (substr(r.id, 6) >= {{schema.events_from}} AND count(e.id) < CASE r.status WHEN 'pending' THEN 1 ELSE 2 END)
    OR count(e.id) FILTER (WHERE e.type NOT IN ('refund.created', 'refund.' || r.status)) > 0
    OR bool_or((e.body::json #>> '{data,refund,amount}')::bigint <> r.amount);

-- fragment: told
-- What events say of their objects, test events aside: turn, version and state. Materialised, so that nobody's own data
-- in a test event is read as a version.
told AS MATERIALIZED (
    SELECT bucket, merchant_id, id, subject_id,
           CASE WHEN type IN ('payment.created', 'payment.pending', 'refund.created') THEN 1
                WHEN type = 'payment.captured' THEN 3 ELSE 2 END AS turn,
           (body::json #>> ARRAY['data', split_part(type, '.', 1), 'version'])::bigint AS version,
           body::json ->> 'data' AS state
    FROM events
    WHERE split_part(type, '.', 1) IN ('payment', 'refund', 'order') AND subject_id NOT LIKE 'whep%'
)

-- name: event_ahead_of_its_object
-- An event tells of a state that its object has reached: no version is told before the object has it.
WITH {{schema.told}}
SELECT t.bucket, t.merchant_id, t.id
FROM told t
LEFT JOIN payments p ON p.bucket = t.bucket AND p.merchant_id = t.merchant_id AND p.id = t.subject_id
LEFT JOIN refunds r ON r.bucket = t.bucket AND r.merchant_id = t.merchant_id AND r.id = t.subject_id
LEFT JOIN orders o ON o.bucket = t.bucket AND o.merchant_id = t.merchant_id AND o.id = t.subject_id
WHERE t.version > coalesce(p.version, r.version, o.version);

-- name: versions_told_out_of_order
-- Whoever keeps what has the highest version has the newest state: a later event's version is higher than each one's
-- before it, and no two states are told under one.
WITH {{schema.told}}
SELECT later.bucket, later.merchant_id, later.id
FROM told later
JOIN told earlier ON earlier.bucket = later.bucket AND earlier.merchant_id = later.merchant_id
    AND earlier.subject_id = later.subject_id
WHERE (earlier.turn < later.turn AND earlier.version >= later.version)
    OR (earlier.version = later.version AND earlier.state <> later.state);

-- name: recovery_without_work
-- A recovery that is running has somebody who takes its next step.
SELECT r.bucket, r.merchant_id, r.id
FROM recoveries r
LEFT JOIN outbox o ON o.bucket = r.bucket AND o.merchant_id = r.merchant_id AND o.id = r.id AND o.kind = 'recovery.run'
WHERE r.state = 'running' AND o.id IS NULL;

-- name: stored_answer_without_effect
-- An idempotency key commits with what it answers for: a replay never speaks of something that is not there.
SELECT k.bucket, k.merchant_id, k.key
FROM idempotency_keys k
CROSS JOIN LATERAL (SELECT CASE WHEN k.sealed_body IS NULL THEN k.body::json ->> 'id' END AS id) a
WHERE k.status IN (200, 201) AND split_part(a.id, '_', 1) IN ('pay', 'order', 'rfnd')
    AND NOT EXISTS (SELECT FROM payments p WHERE p.bucket = k.bucket AND p.merchant_id = k.merchant_id AND p.id = a.id)
    AND NOT EXISTS (SELECT FROM orders o WHERE o.bucket = k.bucket AND o.merchant_id = k.merchant_id AND o.id = a.id)
    AND NOT EXISTS (SELECT FROM refunds r WHERE r.bucket = k.bucket AND r.merchant_id = k.merchant_id AND r.id = a.id);

-- name: money_moved_twice
-- By the simulated processor's own books: one movement for one payment or refund, however often it was asked.
SELECT m.idempotency_key
FROM simulator.movements m
GROUP BY m.idempotency_key
HAVING count(*) > 1;

-- name: money_moved_for_nothing
-- What the processor approved is what it moved: in for a payment that succeeded or is under way, back for a refund of
-- that payment that was processed or is under way.
SELECT coalesce(c.idempotency_key, m.idempotency_key)
FROM simulator.charges c
FULL JOIN simulator.movements m ON m.idempotency_key = c.idempotency_key
LEFT JOIN payments p ON p.id = coalesce(c.idempotency_key, m.idempotency_key)
LEFT JOIN refunds r ON r.id = coalesce(c.idempotency_key, m.idempotency_key)
WHERE split_part(coalesce(c.idempotency_key, m.idempotency_key), '_', 1) IN ('pay', 'rfnd')
    AND ((m.idempotency_key IS NOT NULL) <> coalesce(c.approved, false)
        OR (m.idempotency_key IS NOT NULL
            AND (coalesce(p.status, r.status, 'failed') = 'failed' OR m.amount <> coalesce(p.amount, -r.amount)
                OR c.refund_of IS DISTINCT FROM r.payment_id)));

-- name: more_given_back_than_taken
-- By the processor's books alone: no charge has seen more money go back than came in.
SELECT c.refund_of
FROM simulator.movements m
JOIN simulator.charges c ON c.idempotency_key = m.idempotency_key AND c.refund_of IS NOT NULL
LEFT JOIN simulator.movements taken ON taken.idempotency_key = c.refund_of
GROUP BY c.refund_of
HAVING -sum(m.amount) > coalesce(max(taken.amount), 0);

-- name: success_without_money
-- No payment is called successful that the processor has not approved.
SELECT p.bucket, p.merchant_id, p.id
FROM payments p
LEFT JOIN simulator.charges c ON c.idempotency_key = p.id AND c.approved
WHERE p.status = 'success' AND c.idempotency_key IS NULL;

-- name: refunded_without_money
-- No refund is called processed that the processor has not approved.
SELECT r.bucket, r.merchant_id, r.id
FROM refunds r
LEFT JOIN simulator.charges c ON c.idempotency_key = r.id AND c.approved
WHERE r.status = 'processed' AND c.idempotency_key IS NULL;
