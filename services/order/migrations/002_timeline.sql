-- What happened to each order, step by step: one row for each of its versions, written in the
-- transaction of the step. It holds nothing about persons; words of staff for a refund stay in
-- order_refund.
CREATE TABLE order_timeline (
	order_id        uuid NOT NULL REFERENCES customer_order (id),
	version         bigint NOT NULL,
	-- Of the step, not of its transaction: which may have begun before the step that it waited for.
	at              timestamptz NOT NULL DEFAULT clock_timestamp(),
	event           text NOT NULL,                  -- heard, or told where somebody asked: "inventory.reserved"
	status          text NOT NULL,                  -- after it
	told            text NOT NULL DEFAULT '',       -- the order's own events, with spaces between them
	reason          text NOT NULL DEFAULT '',
	carrier         text NOT NULL DEFAULT '',
	tracking_number text NOT NULL DEFAULT '',
	amount_minor    bigint,                         -- in the order's currency
	PRIMARY KEY (order_id, version)
);

-- Of orders that are there already: how they began, and how they came to be what they are.
INSERT INTO order_timeline (order_id, version, at, event, status, told, amount_minor)
SELECT id, 1, created_at, 'orders.created', 'pending', 'orders.created', total_minor
FROM customer_order;

INSERT INTO order_timeline (order_id, version, at, event, status, reason)
SELECT id, status_version, updated_at,
	CASE status
		WHEN 'reserved' THEN 'inventory.reserved'
		WHEN 'paid' THEN 'payments.confirmed'
		WHEN 'shipped' THEN 'shipments.shipped'
		WHEN 'delivered' THEN 'shipments.delivered'
		WHEN 'rejected' THEN 'inventory.rejected'
		WHEN 'payment_failed' THEN 'payments.failed'
		WHEN 'refunded' THEN 'payments.refunded'
		ELSE 'orders.' || status
	END,
	status, reason
FROM customer_order WHERE status_version > 1;
