-- When a merchant was last told that an endpoint fails: nothing is disabled sooner than a day after that.
ALTER TABLE endpoint_health ADD COLUMN warned_at timestamptz;
ALTER TABLE endpoint_health ADD CONSTRAINT endpoint_health_warned CHECK ((warnings = 0) = (warned_at IS NULL));
-- A row is there because something failed; its circuit tripped or is closed, and only an open one is ever probed.
ALTER TABLE endpoint_health ADD CONSTRAINT endpoint_health_failed
    CHECK (failures > 0 AND last_failure_at >= failing_since);
ALTER TABLE endpoint_health ADD CONSTRAINT endpoint_health_circuit
    CHECK ((open_until IS NULL) = (trips = 0) AND (probed_by IS NULL OR open_until IS NOT NULL));
