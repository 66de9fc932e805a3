-- The catalogue: products, their variants and images, and the stock level last told of each SKU.

CREATE TABLE product (
	id               uuid PRIMARY KEY,         -- UUIDv7: the order of ids is the order of making
	slug             text NOT NULL,
	title            text NOT NULL,
	description_html text NOT NULL,
	vendor           text NOT NULL,
	category         text NOT NULL,            -- "Home > Lamps"; '' for none
	tags             text[] NOT NULL,
	status           text NOT NULL CHECK (status IN ('draft', 'active', 'archived', 'deleted')),
	price_minor      bigint NOT NULL CHECK (price_minor >= 0), -- of the cheapest variant, to sort by
	keywords         text NOT NULL,            -- vendor, category and tags, to search in
	version          bigint NOT NULL CHECK (version > 0),
	created_at       timestamptz NOT NULL DEFAULT now(),
	updated_at       timestamptz NOT NULL DEFAULT now(),
	search           tsvector NOT NULL GENERATED ALWAYS AS (
		setweight(to_tsvector('english', title), 'A') ||
		setweight(to_tsvector('english', keywords), 'B') ||
		setweight(to_tsvector('english', regexp_replace(description_html, '<[^>]*>', ' ', 'g')), 'C')
	) STORED
);
-- A deleted product stays as a tombstone, so that its version never starts again; its slug is free.
CREATE UNIQUE INDEX product_slug ON product (slug) WHERE status <> 'deleted';
CREATE INDEX product_by_newest ON product (id DESC) WHERE status = 'active';
CREATE INDEX product_by_title ON product (left(lower(title), 80) COLLATE "C", id) WHERE status = 'active';
CREATE INDEX product_by_price ON product (price_minor, id) WHERE status = 'active';
CREATE INDEX product_by_category ON product (category) WHERE status = 'active';
CREATE INDEX product_search ON product USING gin (search);

CREATE TABLE variant (
	sku              text PRIMARY KEY,
	product_id       uuid NOT NULL REFERENCES product,
	position         integer NOT NULL,
	title            text NOT NULL,            -- "Small / Blue"; '' where there is no choice
	options          json NOT NULL,            -- {"Size": "Small"}: json keeps the order of names
	price_minor      bigint NOT NULL CHECK (price_minor >= 0),
	currency         text NOT NULL,
	compare_at_minor bigint,
	barcode          text NOT NULL,
	weight_grams     bigint NOT NULL CHECK (weight_grams >= 0),
	initial_quantity bigint NOT NULL CHECK (initial_quantity >= 0) -- told with every event, see events.c
);
CREATE INDEX variant_product ON variant (product_id, position);

CREATE TABLE image (
	product_id uuid NOT NULL REFERENCES product,
	position   integer NOT NULL,
	src        text NOT NULL,
	alt        text NOT NULL,
	PRIMARY KEY (product_id, position)
);

-- What inventory last told of a SKU. Apart from variant, because a variant may be
-- replaced, or be made again later, and inventory will not tell its level once more.
CREATE TABLE level (
	sku       text PRIMARY KEY,
	available bigint NOT NULL,
	version   bigint NOT NULL
);
