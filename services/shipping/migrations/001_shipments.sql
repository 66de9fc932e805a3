-- Shipments: one an order, with its label.

CREATE TABLE shipment (
	id              uuid PRIMARY KEY,
	order_id        uuid NOT NULL UNIQUE,        -- one label an order, however often it is paid
	number          text NOT NULL,               -- of the order, for people
	account_id      uuid,                        -- NULL: a guest
	carrier         text NOT NULL,               -- '' where the order was cancelled before it was paid
	tracking_number text UNIQUE,                 -- NULL likewise
	state           text NOT NULL
		CHECK (state IN ('label_created', 'shipped', 'delivered', 'voided', 'cancelled')),
	version         bigint NOT NULL DEFAULT 1,
	name            text NOT NULL,
	line1           text NOT NULL,
	line2           text NOT NULL,
	city            text NOT NULL,
	postal_code     text NOT NULL,
	country         text NOT NULL,
	label           bytea,                       -- a PDF; NULL as for the tracking number
	traceparent     text NOT NULL,               -- of the order: the carrier's word goes on with it
	advance_at      timestamptz,                 -- when the test carrier says its next word
	created_at      timestamptz NOT NULL DEFAULT now(),
	updated_at      timestamptz NOT NULL DEFAULT now(),
	shipped_at      timestamptz,
	delivered_at    timestamptz,
	CHECK (state = 'cancelled' OR (tracking_number IS NOT NULL AND label IS NOT NULL))
);
CREATE INDEX shipment_advance ON shipment (advance_at) WHERE advance_at IS NOT NULL;

CREATE TABLE webhook_seen (
	carrier    text NOT NULL,
	webhook_id text NOT NULL,
	seen_at    timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (carrier, webhook_id)
);
CREATE INDEX webhook_seen_at ON webhook_seen USING brin (seen_at);
