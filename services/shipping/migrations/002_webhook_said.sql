-- What a webhook told, so that its id cannot bring something else (store.c).
ALTER TABLE webhook_seen ADD COLUMN said text NOT NULL DEFAULT '';
