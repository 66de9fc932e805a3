-- What is undone is undone in the reverse order: first the parcel, then the stock. For that the order
-- knows what shipping was asked for and said last. And a refund can fail.

ALTER TABLE customer_order ADD COLUMN parcel text NOT NULL DEFAULT 'none'
	CHECK (parcel IN ('none', 'asked', 'labelled', 'left', 'voided'));

-- Until now shipping was asked together with inventory, by orders.paid.
UPDATE customer_order SET parcel = CASE
	WHEN EXISTS (SELECT FROM order_shipment WHERE order_id = id AND order_shipment.status IN ('shipped', 'delivered'))
		THEN 'left'
	WHEN EXISTS (SELECT FROM order_shipment WHERE order_id = id AND order_shipment.status = 'voided') THEN 'voided'
	WHEN labelled THEN 'labelled'
	ELSE 'asked' END
WHERE labelled OR (status = 'paid' AND stock_settled);

ALTER TABLE customer_order DROP COLUMN labelled;

ALTER TABLE order_refund DROP CONSTRAINT order_refund_state_check,
	ADD CONSTRAINT order_refund_state_check CHECK (state IN ('requested', 'done', 'failed')),
	ADD COLUMN failure text NOT NULL DEFAULT '';  -- why it was refused
