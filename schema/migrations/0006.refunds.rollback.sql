ALTER TABLE simulator.charges DROP COLUMN refund_of;
ALTER TABLE simulator.charges DROP COLUMN refunds_fail;
ALTER TABLE refunds DROP CONSTRAINT refunds_failure;
ALTER TABLE refunds DROP COLUMN processor_ref;
ALTER TABLE refunds DROP COLUMN error_description;
