-- Payments: one an order, and the refunds of each.

CREATE TABLE payment (
	id             uuid PRIMARY KEY,             -- the provider's idempotency key
	order_id       uuid NOT NULL UNIQUE,         -- one payment an order, however often it is asked for
	account_id     uuid,                         -- NULL: a guest
	number         text NOT NULL,                -- of the order, for people
	amount_minor   bigint NOT NULL CHECK (amount_minor >= 0),
	currency       text NOT NULL,
	provider       text NOT NULL,                -- '' where the order was cancelled before it asked
	token          text NOT NULL,                -- the provider's, never a card number
	state          text NOT NULL
		CHECK (state IN ('requested', 'charging', 'captured', 'failed', 'cancelled')),
	refunded_minor bigint NOT NULL DEFAULT 0,
	version        bigint NOT NULL DEFAULT 1,
	reason         text NOT NULL DEFAULT '',
	traceparent    text NOT NULL,                -- of the order: the provider's word goes on with it
	charge_due_at  timestamptz,                  -- when to ask the provider (again)
	attempts       integer NOT NULL DEFAULT 0,
	created_at     timestamptz NOT NULL DEFAULT now(),
	updated_at     timestamptz NOT NULL DEFAULT now(),
	CHECK (refunded_minor BETWEEN 0 AND amount_minor)
);
CREATE INDEX payment_due ON payment (charge_due_at) WHERE state IN ('requested', 'charging');

CREATE TABLE refund (
	id           uuid PRIMARY KEY,               -- the refund_id of the order, the provider's idempotency key
	payment_id   uuid NOT NULL REFERENCES payment (id),
	amount_minor bigint NOT NULL CHECK (amount_minor > 0),
	reason       text NOT NULL,
	state        text NOT NULL CHECK (state IN ('requested', 'sent', 'done', 'refused')),
	attempts     integer NOT NULL DEFAULT 0,
	due_at       timestamptz,
	created_at   timestamptz NOT NULL DEFAULT now(),
	updated_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX refund_of_payment ON refund (payment_id);
CREATE INDEX refund_due ON refund (due_at) WHERE state IN ('requested', 'sent');

CREATE TABLE webhook_seen (
	provider   text NOT NULL,
	webhook_id text NOT NULL,
	seen_at    timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (provider, webhook_id)
);
CREATE INDEX webhook_seen_at ON webhook_seen USING brin (seen_at);

-- The built-in test provider plays an outside party. What it remembers is its own:
-- nothing but provider_test.c reads these two.
CREATE TABLE test_provider_charge (
	key          uuid PRIMARY KEY,               -- the payment's id: a repeated charge is the same charge
	amount_minor bigint NOT NULL,
	currency     text NOT NULL,
	outcome      text NOT NULL CHECK (outcome IN ('succeeded', 'failed')),
	reason       text NOT NULL,
	attempts     integer NOT NULL DEFAULT 0,
	due_at       timestamptz                     -- NULL: the webhook was taken
);
CREATE INDEX test_provider_charge_due ON test_provider_charge (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE test_provider_refund (
	key          uuid PRIMARY KEY,
	payment_id   uuid NOT NULL,
	amount_minor bigint NOT NULL,
	currency     text NOT NULL,
	attempts     integer NOT NULL DEFAULT 0,
	due_at       timestamptz
);
CREATE INDEX test_provider_refund_due ON test_provider_refund (due_at) WHERE due_at IS NOT NULL;
