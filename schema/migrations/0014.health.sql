-- When a merchant was last told that an endpoint fails: nothing is disabled sooner than a day after that.
ALTER TABLE endpoint_health ADD COLUMN warned_at timestamptz;
ALTER TABLE endpoint_health ADD CONSTRAINT endpoint_health_warned CHECK ((warnings = 0) = (warned_at IS NULL));
