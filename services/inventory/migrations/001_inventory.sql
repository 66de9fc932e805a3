-- Stock, what orders hold of it, and the ledger of every change.

CREATE TABLE stock (
	sku        text PRIMARY KEY,
	on_hand    bigint NOT NULL,
	reserved   bigint NOT NULL DEFAULT 0,
	version    bigint NOT NULL DEFAULT 1,
	updated_at timestamptz NOT NULL DEFAULT now(),
	-- Nothing is oversold: whatever the code does, a row that says so cannot be written.
	CHECK (on_hand >= 0 AND reserved >= 0 AND reserved <= on_hand)
) WITH (fillfactor = 70); -- updates of a popular row stay on its page

-- What was decided about an order, once and for ever; a question asked again is answered
-- from here.
CREATE TABLE reservation (
	order_id   uuid PRIMARY KEY,
	state      text NOT NULL
		CHECK (state IN ('reserved', 'rejected', 'released', 'sold', 'cancelled_early')),
	version    bigint NOT NULL DEFAULT 1,
	created_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE reservation_line (
	order_id  uuid NOT NULL REFERENCES reservation (order_id),
	sku       text NOT NULL,
	quantity  bigint NOT NULL CHECK (quantity > 0),
	available bigint,            -- of a rejected order: what there was, where that was too little
	PRIMARY KEY (order_id, sku)
);

-- The ledger: on_hand is the sum of a SKU's deltas.
CREATE TABLE movement (
	id         uuid PRIMARY KEY, -- sorts by time
	sku        text NOT NULL REFERENCES stock (sku),
	delta      bigint NOT NULL CHECK (delta <> 0),
	kind       text NOT NULL CHECK (kind IN ('initial', 'adjustment', 'sale', 'return')),
	reason     text NOT NULL DEFAULT '',
	order_id   uuid,
	account_id uuid,             -- of the member of staff
	at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX movement_of_sku ON movement (sku, id);
