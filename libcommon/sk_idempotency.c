/* Idempotency-Key: the answer that was given first is given again.
 *
 * The key's row is inserted first, in the transaction of the effect. A second request with the
 * key waits at the unique index for the first to end: it then finds the answer, or, if the
 * first rolled back, becomes the first itself. There is no state "in progress" that a
 * crash could leave behind, and no gap in which the effect is there and the answer is not. */
#include <string.h>

#include <sodium.h>

#include "sk_http_internal.h"
#include "sk_id.h"

static const struct sk_sql SQL_CLAIM = {
	"idempotency_claim",
	"INSERT INTO idempotency_key (scope, key, request_hash) VALUES ($1, $2, $3)"
	" ON CONFLICT DO NOTHING RETURNING 1",
};

static const struct sk_sql SQL_FIND = { "idempotency_find",
					"SELECT request_hash, status, headers, body FROM "
					"idempotency_key WHERE scope = $1 AND key = $2" };

static const struct sk_sql SQL_SAVE = { "idempotency_save",
					"UPDATE idempotency_key SET status = $3, headers = $4, "
					"body = $5 WHERE scope = $1 AND key = $2" };

/* One call of sk_request_transact. */
struct keyed {
	struct sk_request *request;
	sk_request_tx_fn *work;
	void *arg;
	const char *scope, *key; /* key NULL: a plain transaction */
	unsigned char hash[crypto_hash_sha256_BYTES];
};

/* Keys of different people must not meet: by account, by guest cart, or among the other
 * guests. Those are not told apart by address: a shopper whose answer was lost with his
 * connection tries again from another one, and that is what the key is for. */
static const char *scope_of(struct sk_request *request)
{
	struct sk_arena *arena = request->context.arena;
	const char *cart = sk_request_header(request, "X-Cart-Token");
	const char *who = request->context.actor.account_id;

	if (cart == NULL)
		cart = sk_request_cookie(request, "souk_cart");
	if (who[0] == '\0')
		who = cart != NULL ? sk_token_hash(arena, cart) : "guest";
	return sk_arena_printf(arena, "%s %s %s", request->method, request->route->row->path, who);
}

static void hash_request(const struct sk_request *request,
			 unsigned char hash[crypto_hash_sha256_BYTES])
{
	crypto_hash_sha256_state state;

	crypto_hash_sha256_init(&state);
	crypto_hash_sha256_update(&state, (const unsigned char *)request->path,
				  strlen(request->path) + 1);
	crypto_hash_sha256_update(&state, (const unsigned char *)request->body, request->body_len);
	crypto_hash_sha256_final(&state, hash);
}

static enum sk_status read_key(struct sk_request *request, const char **key)
{
	unsigned flags = request->route->row->flags;
	size_t len;

	*key = (flags & (SK_IDEMPOTENT | SK_KEY_REQUIRED)) != 0
		       ? sk_request_header(request, "Idempotency-Key")
		       : NULL;
	if (*key == NULL)
		return (flags & SK_KEY_REQUIRED) == 0 ? SK_OK
						      : sk_fail(&request->context, SK_MALFORMED,
								"idempotency_key_required",
								"an Idempotency-Key is required");
	len = strlen(*key);
	for (const char *at = *key; *at != '\0'; at++)
		if (*at < ' ' || *at > '~')
			len = 0;
	if (len == 0 || len > SK_IDEMPOTENCY_KEY_MAX_BYTES)
		return sk_fail(&request->context, SK_INVALID, "invalid_idempotency_key",
			       "an Idempotency-Key has 1 to %d printable characters",
			       SK_IDEMPOTENCY_KEY_MAX_BYTES);
	return SK_OK;
}

/* The headers that belong to the answer, a line each; the content type is the first. */
static const char *pack_headers(const struct sk_reply *reply)
{
	struct sk_buf text;

	sk_buf_init(&text, reply->request->context.arena, SK_HEADER_MAX_BYTES);
	sk_buf_printf(&text, "%s\n", reply->content_type != NULL ? reply->content_type : "");
	for (int i = 0; i < reply->headers_count; i++)
		sk_buf_printf(&text, "%s: %s\n", reply->headers[i].name, reply->headers[i].value);
	return sk_buf_text(&text);
}

static void unpack_headers(struct sk_reply *reply, const char *text, const char **content_type)
{
	struct sk_arena *arena = reply->request->context.arena;
	size_t len = strcspn(text, "\n");

	*content_type = len > 0 ? sk_arena_printf(arena, "%.*s", (int)len, text) : NULL;
	for (text += len; *text == '\n' && text[1] != '\0'; text += len + 1) {
		size_t name_len = strcspn(text + 1, ":");

		len = strcspn(text + 1, "\n");
		sk_reply_header(reply, sk_arena_printf(arena, "%.*s", (int)name_len, text + 1),
				sk_arena_printf(arena, "%.*s", (int)(len - name_len - 2),
						text + 1 + name_len + 2));
	}
}

/* Gives the stored answer again. */
static enum sk_status replay(struct sk_tx *tx, const struct keyed *keyed)
{
	struct sk_reply *reply = &keyed->request->reply;
	const char *content_type = NULL;
	struct sk_rows rows;
	const void *hash, *body;
	size_t hash_len = 0, len = 0;
	enum sk_status st = sk_tx_run(tx, &SQL_FIND,
				      SK_PARAMS(sk_text(keyed->scope), sk_text(keyed->key)), &rows);

	if (st != SK_OK)
		return st;
	if (rows.count == 0 || sk_row_is_null(&rows, 0, 1))
		return sk_fail(sk_tx_context(tx), SK_CONFLICT, "idempotency_key_in_use",
			       "the first request with this key has not ended");
	hash = sk_row_bytes(&rows, 0, 0, sk_tx_arena(tx), &hash_len);
	if (hash_len != sizeof(keyed->hash) || sodium_memcmp(hash, keyed->hash, hash_len) != 0)
		return sk_fail(sk_tx_context(tx), SK_INVALID, "idempotency_key_reused",
			       "the key was used for another request");
	unpack_headers(reply, sk_row_text(&rows, 0, 2), &content_type);
	sk_reply_header(reply, "Idempotent-Replayed", "true");
	body = sk_row_bytes(&rows, 0, 3, sk_tx_arena(tx), &len);
	sk_reply_bytes(reply, (int)sk_row_int(&rows, 0, 1), content_type, body, len);
	return SK_OK;
}

/* An answer that could not be given is not kept either, and its effect rolls back with it. */
static enum sk_status save(struct sk_tx *tx, const struct keyed *keyed)
{
	struct sk_reply *reply = &keyed->request->reply;

	if (reply->status == 0 || reply->status >= 500 ||
	    (reply->json != NULL && !sk_buf_ok(&reply->json->buf)))
		return sk_fail(sk_tx_context(tx), SK_INTERNAL, "internal",
			       "the answer could not be written");
	if (reply->json != NULL) {
		reply->data = sk_buf_text(&reply->json->buf);
		reply->len = reply->json->buf.len;
	}
	return sk_tx_run(tx, &SQL_SAVE,
			 SK_PARAMS(sk_text(keyed->scope), sk_text(keyed->key),
				   sk_int(reply->status), sk_text(pack_headers(reply)),
				   sk_bytes(reply->data, reply->len)),
			 NULL);
}

static enum sk_status run_keyed(struct sk_tx *tx, void *arg)
{
	struct keyed *keyed = arg;
	struct sk_rows rows;
	enum sk_status st;

	sk__reply_reset(&keyed->request->reply);
	if (keyed->key == NULL)
		return keyed->work(tx, keyed->request, &keyed->request->reply, keyed->arg);
	st = sk_tx_run(tx, &SQL_CLAIM,
		       SK_PARAMS(sk_text(keyed->scope), sk_text(keyed->key),
				 sk_bytes(keyed->hash, sizeof(keyed->hash))),
		       &rows);
	if (st == SK_TIMEOUT) {
		sk_context_clear_error(sk_tx_context(tx));
		return sk_fail(sk_tx_context(tx), SK_CONFLICT, "idempotency_key_in_use",
			       "the first request with this key has not ended");
	}
	if (st != SK_OK)
		return st;
	if (rows.count == 0)
		return replay(tx, keyed);
	st = keyed->work(tx, keyed->request, &keyed->request->reply, keyed->arg);
	return st == SK_OK ? save(tx, keyed) : st;
}

enum sk_status sk_request_transact(struct sk_request *request, struct sk_reply *reply,
				   struct sk_pg *pg, sk_request_tx_fn *work, void *arg)
{
	struct keyed keyed = { .request = request, .work = work, .arg = arg };
	enum sk_status st = read_key(request, &keyed.key);

	(void)reply; /* it is the request's own */
	if (st != SK_OK)
		return st;
	if (keyed.key != NULL) {
		keyed.scope = scope_of(request);
		hash_request(request, keyed.hash);
	}
	return sk_pg_transact(pg, &request->context, run_keyed, &keyed);
}
