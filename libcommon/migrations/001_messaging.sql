-- What every service with tables has: outbox, inbox, idempotency keys.
-- Applied in the service's own schema, before its own migrations.

CREATE TABLE outbox (
	seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id          uuid NOT NULL UNIQUE,          -- ce-id and Nats-Msg-Id
	subject     text NOT NULL,
	type        text NOT NULL,
	traceparent text NOT NULL,
	payload     bytea NOT NULL,
	created_at  timestamptz NOT NULL DEFAULT now(),
	sent_at     timestamptz
);
-- The relay's only question: what is not sent yet, in order.
CREATE INDEX outbox_unsent ON outbox (seq) WHERE sent_at IS NULL;
CREATE INDEX outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL;

CREATE TABLE inbox (
	consumer   text NOT NULL,
	message_id text NOT NULL,
	seen_at    timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (consumer, message_id)
);
CREATE INDEX inbox_seen_at ON inbox USING brin (seen_at);

CREATE TABLE idempotency_key (
	scope        text NOT NULL,                -- route and account (or address) of the first request
	key          text NOT NULL,
	request_hash bytea NOT NULL,               -- SHA-256 of the body
	status       integer,                      -- NULL while the first request runs
	headers      text,
	body         bytea,
	created_at   timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_key_created_at ON idempotency_key USING brin (created_at);
