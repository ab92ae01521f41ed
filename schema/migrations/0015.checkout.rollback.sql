DROP FUNCTION payment_statuses(json);
REVOKE UPDATE (checkout_origins) ON merchants FROM ledgate_api;
ALTER TABLE merchants DROP COLUMN checkout_origins;
