-- What the relay knows of each stream that the service's events go to: see sk_outbox_recall.c.

CREATE TABLE outbox_stream (
	stream        text PRIMARY KEY,            -- the first token of the subjects
	created       text NOT NULL,               -- its identity, as the broker tells it; '' before it was seen
	last_sequence bigint NOT NULL,             -- the last one that the broker acknowledged to us
	recall_after  bigint,                      -- a recall is under way: rows of outbox above this seq …
	recall_until  bigint,                      -- … and up to this one are still to be marked unsent
	retold        text,                        -- a retelling is under way: this entity was the last; '' before the first
	CHECK ((recall_after IS NULL) = (recall_until IS NULL))
);
