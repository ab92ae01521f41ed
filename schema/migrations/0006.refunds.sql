-- Money on its way back: why a refund failed, what the processor calls it, and the simulator's part of it.

ALTER TABLE refunds ADD COLUMN error_description text;
ALTER TABLE refunds ADD COLUMN processor_ref text COLLATE "C";
ALTER TABLE refunds ADD CONSTRAINT refunds_failure CHECK ((status = 'failed') = (error_code IS NOT NULL));

-- What the simulator was asked to pay back; `charges` keeps what it answered, under the refund's id.
ALTER TABLE simulator.charges ADD COLUMN refunds_fail boolean NOT NULL DEFAULT false;
ALTER TABLE simulator.charges ADD COLUMN refund_of text COLLATE "C";
