-- A provider may refuse a refund for ever; the order is told why.

ALTER TABLE refund ADD COLUMN failure text NOT NULL DEFAULT '';

-- The built-in test provider's own: whether it pays back what it took.
ALTER TABLE test_provider_charge ADD COLUMN refunds boolean NOT NULL DEFAULT true;
ALTER TABLE test_provider_refund ADD COLUMN outcome text NOT NULL DEFAULT 'succeeded'
	CHECK (outcome IN ('succeeded', 'failed'));
