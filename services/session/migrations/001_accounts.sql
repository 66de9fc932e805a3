-- Accounts: who may log in, as what, and with which password.

CREATE TABLE account (
	id                 uuid PRIMARY KEY,
	email              text NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
	name               text NOT NULL,
	role               text NOT NULL CHECK (role IN ('customer', 'staff', 'admin')),
	password_hash      text NOT NULL,           -- argon2id, with its salt and parameters
	version            bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
	-- The version that set the password which is now valid: what was proved
	-- with an older one (a session, a reset token) counts no more.
	credential_version bigint NOT NULL DEFAULT 1
		CHECK (credential_version BETWEEN 1 AND version),
	created_at         timestamptz NOT NULL DEFAULT now(),
	updated_at         timestamptz NOT NULL DEFAULT now()
);
-- One account an address, however it is written.
CREATE UNIQUE INDEX account_email ON account (lower(email));
