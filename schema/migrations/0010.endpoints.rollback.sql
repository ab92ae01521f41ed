ALTER TABLE outbox DROP COLUMN starts_over;
ALTER TABLE endpoints DROP CONSTRAINT endpoints_retry_steps;
ALTER TABLE endpoints DROP COLUMN header_names;
ALTER TABLE endpoints DROP COLUMN sealed_headers;
ALTER TABLE endpoints DROP COLUMN description;
