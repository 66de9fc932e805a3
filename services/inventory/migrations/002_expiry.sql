-- A reservation is held for a time: the backstop for orders that are never heard of again.

ALTER TABLE reservation DROP CONSTRAINT reservation_state_check,
	ADD CONSTRAINT reservation_state_check
		CHECK (state IN ('reserved', 'rejected', 'released', 'sold', 'expired', 'cancelled_early')),
	ADD COLUMN expires_at timestamptz;           -- NULL where nothing is reserved

UPDATE reservation SET expires_at = now() + interval '1 hour' WHERE state = 'reserved';

CREATE INDEX reservation_due ON reservation (expires_at) WHERE state = 'reserved';
