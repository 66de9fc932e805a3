-- Orders, their workflow, and the price list that prices them.

-- The order service's own copy of what the catalogue tells. A SKU that is no longer sold
-- stays as inactive, so that a late message finds it.
CREATE TABLE price (
	sku         text PRIMARY KEY,
	product_id  uuid NOT NULL,
	title       text NOT NULL,                   -- as it stands on an order line
	price_minor bigint NOT NULL CHECK (price_minor >= 0),
	currency    text NOT NULL,
	active      boolean NOT NULL
);
CREATE INDEX price_of_product ON price (product_id);

-- The newest version heard of each product: an older message changes nothing.
CREATE TABLE product_seen (
	product_id uuid PRIMARY KEY,
	version    bigint NOT NULL
);

-- For people on the telephone. It has gaps: a sequence gives no number back.
CREATE SEQUENCE order_number START 100001;

-- "order" is a reserved word.
CREATE TABLE customer_order (
	id                     uuid PRIMARY KEY,
	number                 text NOT NULL UNIQUE DEFAULT 'S-' || nextval('order_number'),
	status                 text NOT NULL CHECK (status IN ('pending', 'reserved', 'paid', 'shipped',
		'delivered', 'rejected', 'payment_failed', 'cancelled', 'refunded')),
	reason                 text NOT NULL DEFAULT '', -- why it did not come to a good end
	account_id             uuid,                     -- NULL: a guest
	email                  text NOT NULL,
	access_token_hash      text NOT NULL DEFAULT '', -- of the guest's token
	cart_token_hash        text NOT NULL DEFAULT '', -- of the guest's cart
	currency               text NOT NULL,
	subtotal_minor         bigint NOT NULL CHECK (subtotal_minor >= 0),
	shipping_minor         bigint NOT NULL CHECK (shipping_minor >= 0),
	tax_minor              bigint NOT NULL CHECK (tax_minor >= 0),
	total_minor            bigint NOT NULL,
	ship_name              text NOT NULL,
	ship_line1             text NOT NULL,
	ship_line2             text NOT NULL,
	ship_city              text NOT NULL,
	ship_postal_code       text NOT NULL,
	ship_country           text NOT NULL,
	payment_provider       text NOT NULL,
	payment_token          text NOT NULL,            -- the provider's; emptied once it is of no more use
	payment_status         text NOT NULL DEFAULT 'pending'
		CHECK (payment_status IN ('pending', 'captured', 'failed')),
	payment_id             uuid,                     -- NULL: no money was taken
	refund_requested_minor bigint NOT NULL DEFAULT 0,
	refunded_minor         bigint NOT NULL DEFAULT 0,
	stock_settled          boolean NOT NULL DEFAULT false, -- inventory has answered this status
	labelled               boolean NOT NULL DEFAULT false, -- shipping has answered orders.paid
	version                bigint NOT NULL DEFAULT 1,
	status_version         bigint NOT NULL DEFAULT 1, -- the version that brought this status
	deadline_at            timestamptz,               -- when to ask again; NULL: nothing is owed
	attempts               integer NOT NULL DEFAULT 0,
	traceparent            text NOT NULL,             -- of the request that made it
	created_at             timestamptz NOT NULL DEFAULT now(),
	updated_at             timestamptz NOT NULL DEFAULT now(),
	CHECK (total_minor = subtotal_minor + shipping_minor + tax_minor),
	CHECK (refunded_minor BETWEEN 0 AND refund_requested_minor),
	CHECK (refund_requested_minor <= total_minor),
	CHECK (payment_status <> 'captured' OR payment_id IS NOT NULL)
);
-- Lists run newest first; ids sort by time.
CREATE INDEX customer_order_of_account ON customer_order (account_id, id);
CREATE INDEX customer_order_of_email ON customer_order (lower(email), id);
CREATE INDEX customer_order_by_status ON customer_order (status, id);
CREATE INDEX customer_order_due ON customer_order (deadline_at) WHERE deadline_at IS NOT NULL;

CREATE TABLE order_line (
	order_id         uuid NOT NULL REFERENCES customer_order (id),
	position         integer NOT NULL,
	sku              text NOT NULL,
	product_id       uuid NOT NULL,
	title            text NOT NULL,
	quantity         bigint NOT NULL CHECK (quantity > 0),
	unit_price_minor bigint NOT NULL CHECK (unit_price_minor >= 0),
	line_total_minor bigint NOT NULL CHECK (line_total_minor = unit_price_minor * quantity),
	PRIMARY KEY (order_id, position),
	UNIQUE (order_id, sku)
);

CREATE TABLE order_shipment (
	shipment_id     uuid PRIMARY KEY,
	order_id        uuid NOT NULL REFERENCES customer_order (id),
	carrier         text NOT NULL,
	tracking_number text NOT NULL,
	status          text NOT NULL CHECK (status IN ('label_created', 'voided', 'shipped', 'delivered')),
	created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX order_shipment_of_order ON order_shipment (order_id);

CREATE TABLE order_refund (
	refund_id    uuid PRIMARY KEY,               -- what makes payment pay it back once
	order_id     uuid NOT NULL REFERENCES customer_order (id),
	amount_minor bigint NOT NULL CHECK (amount_minor > 0),
	reason       text NOT NULL,
	state        text NOT NULL DEFAULT 'requested' CHECK (state IN ('requested', 'done')),
	created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX order_refund_of_order ON order_refund (order_id);
