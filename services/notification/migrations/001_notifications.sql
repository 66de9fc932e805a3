-- Messages to shoppers, and webhooks to whoever staff lets know.

CREATE TABLE message (
	id          uuid PRIMARY KEY,                -- also the Message-ID: a mail sent twice can be told
	kind        text NOT NULL,
	entity_id   text NOT NULL,                   -- order, refund or event: what it is about
	order_id    uuid,
	recipient   text NOT NULL,
	subject     text NOT NULL,
	body        text NOT NULL,                   -- emptied once done, where it holds a secret
	state       text NOT NULL DEFAULT 'queued'
		CHECK (state IN ('queued', 'sending', 'sent', 'failed')),
	attempts    integer NOT NULL DEFAULT 0,
	due_at      timestamptz DEFAULT now(),       -- NULL: done
	expires_at  timestamptz,                     -- after this it is of no use any more
	last_error  text NOT NULL DEFAULT '',
	version     bigint NOT NULL DEFAULT 1,
	traceparent text NOT NULL,
	created_at  timestamptz NOT NULL DEFAULT now(),
	sent_at     timestamptz,
	UNIQUE (kind, entity_id)                     -- one message of a kind about one thing, ever
);
CREATE INDEX message_due ON message (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX message_recipient ON message (lower(recipient), id);
CREATE INDEX message_order ON message (order_id, id) WHERE order_id IS NOT NULL;

CREATE TABLE webhook_endpoint (
	id         uuid PRIMARY KEY,
	url        text NOT NULL,
	secret     text NOT NULL,                    -- signs; shown once, when it is made
	events     text[] NOT NULL,                  -- 'orders.created', 'orders.*', '*'
	created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE webhook_delivery (
	id          uuid PRIMARY KEY,
	endpoint_id uuid NOT NULL REFERENCES webhook_endpoint (id) ON DELETE CASCADE,
	message_id  text NOT NULL,                   -- the event's ce-id, and its webhook-id
	type        text NOT NULL,
	body        text NOT NULL,                   -- kept as text: the bytes that are signed
	state       text NOT NULL DEFAULT 'queued'
		CHECK (state IN ('queued', 'sending', 'delivered', 'failed')),
	attempts    integer NOT NULL DEFAULT 0,
	due_at      timestamptz DEFAULT now(),       -- NULL: done
	last_status integer,                         -- of HTTP; NULL: no answer came
	last_error  text NOT NULL DEFAULT '',
	traceparent text NOT NULL,
	created_at  timestamptz NOT NULL DEFAULT now(),
	UNIQUE (endpoint_id, message_id)
);
CREATE INDEX webhook_delivery_due ON webhook_delivery (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX webhook_delivery_created ON webhook_delivery USING brin (created_at);
