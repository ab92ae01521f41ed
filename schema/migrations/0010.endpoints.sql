-- What endpoints gained with their API, and a manual retry that meets an attempt under way.

ALTER TABLE endpoints ADD COLUMN description text;
-- Request headers of the merchant's own. Their values often are credentials: sealed, shown to nobody. The names stand
-- beside them in the clear, so that showing an endpoint opens no seal.
ALTER TABLE endpoints ADD COLUMN sealed_headers bytea;
ALTER TABLE endpoints ADD COLUMN header_names text[] NOT NULL DEFAULT '{}';
ALTER TABLE endpoints ADD CONSTRAINT endpoints_description CHECK (length(description) BETWEEN 1 AND 500);
ALTER TABLE endpoints ADD CONSTRAINT endpoints_headers
    CHECK (cardinality(header_names) <= 10 AND (sealed_headers IS NULL) = (cardinality(header_names) = 0));
ALTER TABLE endpoints ADD CONSTRAINT endpoints_retry_steps
    CHECK (0 <= ALL (retry_schedule) AND 604800 >= ALL (retry_schedule));

-- A merchant asked to send again while an attempt was under way. That attempt keeps its lease; if it fails, attempts
-- start over at once (outbox/queries/deliveries.sql, `settle_deliveries`).
ALTER TABLE outbox ADD COLUMN starts_over boolean NOT NULL DEFAULT false;
