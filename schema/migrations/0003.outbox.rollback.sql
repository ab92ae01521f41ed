DROP VIEW webhook_logs;
DROP TABLE delivery_attempts;
DROP TABLE deliveries;
DROP TABLE outbox;
DROP TABLE events;
DROP TABLE endpoints;
