-- What was sold, when, and how carts became orders. Facts first, one row an order and one a
-- refund: they make each event count once, also when it is sent again under a new id. The
-- daily tables are sums of the facts, kept up to date in the same transaction.

CREATE TABLE order_fact (
	order_id   uuid PRIMARY KEY,
	currency   text NOT NULL,
	total      bigint NOT NULL CHECK (total >= 0),  -- minor units
	created_on date,                                -- NULL: orders.created not seen yet
	paid_on    date,
	ended_as   text                                 -- rejected, payment_failed, cancelled
);

CREATE TABLE refund_fact (
	refund_id   uuid PRIMARY KEY,
	order_id    uuid NOT NULL,
	amount      bigint NOT NULL CHECK (amount > 0),
	refunded_on date NOT NULL
);

CREATE TABLE sales_day (
	day      date NOT NULL,
	currency text NOT NULL,
	orders   bigint NOT NULL DEFAULT 0,
	gross    bigint NOT NULL DEFAULT 0,
	refunds  bigint NOT NULL DEFAULT 0,
	refunded bigint NOT NULL DEFAULT 0,
	PRIMARY KEY (day, currency)
);

CREATE TABLE product_day (
	day      date NOT NULL,
	currency text NOT NULL,
	sku      text NOT NULL,
	title    text NOT NULL,
	quantity bigint NOT NULL DEFAULT 0,
	revenue  bigint NOT NULL DEFAULT 0,
	PRIMARY KEY (day, currency, sku)
);

CREATE TABLE funnel_day (
	day            date PRIMARY KEY,
	carts          bigint NOT NULL DEFAULT 0,
	items_added    bigint NOT NULL DEFAULT 0,
	orders         bigint NOT NULL DEFAULT 0,
	paid           bigint NOT NULL DEFAULT 0,
	rejected       bigint NOT NULL DEFAULT 0,
	payment_failed bigint NOT NULL DEFAULT 0,
	cancelled      bigint NOT NULL DEFAULT 0
);
