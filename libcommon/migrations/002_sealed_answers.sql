-- Only who has an Idempotency-Key can read what is kept for it (sk_idempotency.c): key is a
-- hash of the client's, request_hash a MAC of the request, body the encrypted headers and body of
-- the answer. What was kept in the open is of no more use.
TRUNCATE idempotency_key;
ALTER TABLE idempotency_key DROP COLUMN headers;
