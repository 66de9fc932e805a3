-- The audit log: append-only and hash-chained. The service's role may insert and read; the
-- triggers are a second belt for whoever has more rights and a careless hand.

CREATE TABLE entry (
	seq        bigint PRIMARY KEY CHECK (seq > 0),  -- without gaps: the chain's order
	id         text NOT NULL UNIQUE,                -- ce-id of the event
	at         timestamptz NOT NULL,                -- when it happened (ce-time)
	subject    text NOT NULL,
	type       text NOT NULL,
	source     text NOT NULL,
	account_id text NOT NULL,
	role       text NOT NULL,
	address    text NOT NULL,
	action     text NOT NULL,                       -- "orders.created", "session.opened"
	entity     text NOT NULL,
	entity_id  text NOT NULL,
	detail     text NOT NULL,
	trace_id   text NOT NULL,
	data       bytea NOT NULL,                      -- the event's bytes as received; empty where they hold a secret
	prev_hash  bytea NOT NULL CHECK (length(prev_hash) = 32),
	hash       bytea NOT NULL CHECK (length(hash) = 32)
);
CREATE INDEX entry_account ON entry (account_id, seq) WHERE account_id <> '';
CREATE INDEX entry_entity ON entry (entity_id, seq);
CREATE INDEX entry_trace ON entry (trace_id, seq);
CREATE INDEX entry_action ON entry (action, seq);
CREATE INDEX entry_at ON entry USING brin (at);

CREATE FUNCTION entry_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'the audit log is append-only';
END
$$;
CREATE TRIGGER entry_no_change BEFORE UPDATE OR DELETE ON entry
	FOR EACH ROW EXECUTE FUNCTION entry_is_append_only();
CREATE TRIGGER entry_no_truncate BEFORE TRUNCATE ON entry
	FOR EACH STATEMENT EXECUTE FUNCTION entry_is_append_only();
