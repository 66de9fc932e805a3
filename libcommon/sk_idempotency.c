/* Idempotency-Key: the answer that was given first is given again.
 *
 * The key's row is inserted first, in the transaction of the effect. A second request with the
 * key waits for the first to end (within a process in sk_http_turn.c, between replicas at the
 * unique index): it then finds the answer, or, if the first rolled back, becomes the first
 * itself. There is no state "in progress" that a crash could leave behind, and no gap in
 * which the effect is there and the answer is not.
 *
 * A request may hold a password, and an answer a guest's token or the secret of a webhook, of
 * which nothing but a hash or nothing at all is kept elsewhere. So only who has the key can
 * read its row: the row is found by a hash of the key, the request is known by a MAC, and the
 * answer is encrypted, all under keys derived from the client's. A client that wants that has to
 * choose a key that cannot be guessed, as everybody who uses a UUID does. */
#include <string.h>

#include <sodium.h>

#include "sk_crash.h"
#include "sk_http_internal.h"
#include "sk_id.h"

#define KDF_CONTEXT "soukidem" /* crypto_kdf_CONTEXTBYTES */
#define NAME_BYTES  32
#define SEAL_BYTES  (crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES)

enum subkey { SUBKEY_NAME = 1, SUBKEY_MAC, SUBKEY_SEAL };

static const struct sk_sql SQL_CLAIM = {
	"idempotency_claim",
	"INSERT INTO idempotency_key (scope, key, request_hash) VALUES ($1, $2, $3)"
	" ON CONFLICT DO NOTHING RETURNING 1",
};

static const struct sk_sql SQL_FIND = {
	"idempotency_find",
	"SELECT request_hash, status, body FROM idempotency_key WHERE scope = $1 AND key = $2",
};

static const struct sk_sql SQL_SAVE = {
	"idempotency_save",
	"UPDATE idempotency_key SET status = $3, body = $4 WHERE scope = $1 AND key = $2",
};

/* One call of sk_request_transact. */
struct keyed {
	struct sk_request *request;
	sk_request_tx_fn *work;
	void *arg;
	const char *scope, *name; /* name NULL: a plain transaction */
	unsigned char mac[crypto_auth_hmacsha512256_BYTES];
	unsigned char seal_key[crypto_secretbox_KEYBYTES];
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

/* Of path, query and body. A guest's access token is in the query: who has only the key does
 * not get the answer of who had both. */
static void mac_request(const struct sk_request *request, const unsigned char *key,
			unsigned char *mac)
{
	crypto_auth_hmacsha512256_state state;

	crypto_auth_hmacsha512256_init(&state, key, crypto_auth_hmacsha512256_KEYBYTES);
	crypto_auth_hmacsha512256_update(&state, (const unsigned char *)request->path,
					 strlen(request->path) + 1);
	if (request->query != NULL)
		crypto_auth_hmacsha512256_update(&state, (const unsigned char *)request->query,
						 strlen(request->query));
	crypto_auth_hmacsha512256_update(&state, (const unsigned char *)"", 1);
	crypto_auth_hmacsha512256_update(&state, (const unsigned char *)request->body,
					 request->body_len);
	crypto_auth_hmacsha512256_final(&state, mac);
}

static void derive(unsigned char *out, size_t len, enum subkey which, const unsigned char *seed)
{
	if (crypto_kdf_derive_from_key(out, len, which, KDF_CONTEXT, seed) != 0)
		abort(); /* the lengths are constants */
}

/* Fills in all that follows from the client's key. */
static void use_key(struct keyed *keyed, const char *key)
{
	struct sk_request *request = keyed->request;
	unsigned char seed[crypto_kdf_KEYBYTES], name[NAME_BYTES];
	unsigned char mac_key[crypto_auth_hmacsha512256_KEYBYTES];
	char *hex = sk_arena_alloc(request->context.arena, 2 * NAME_BYTES + 1);

	crypto_generichash(seed, sizeof(seed), (const unsigned char *)key, strlen(key), NULL, 0);
	derive(name, sizeof(name), SUBKEY_NAME, seed);
	derive(mac_key, sizeof(mac_key), SUBKEY_MAC, seed);
	derive(keyed->seal_key, sizeof(keyed->seal_key), SUBKEY_SEAL, seed);
	mac_request(request, mac_key, keyed->mac);
	keyed->name = sodium_bin2hex(hex, 2 * NAME_BYTES + 1, name, sizeof(name));
	keyed->scope = scope_of(request);
}

enum sk_status sk_request_idempotency_key(struct sk_request *request, const char **key)
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

/* ---- answers ---- */

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

/* Headers, NUL, body; sealed, after its nonce. */
static struct sk_param seal(const struct keyed *keyed)
{
	const struct sk_reply *reply = &keyed->request->reply;
	struct sk_arena *arena = keyed->request->context.arena;
	const char *headers = pack_headers(reply);
	size_t headers_len = strlen(headers) + 1, len = headers_len + reply->len;
	size_t sealed_len = SEAL_BYTES + len;
	unsigned char *plain = sk_arena_alloc(arena, len);
	unsigned char *sealed = sk_arena_alloc(arena, sealed_len);

	memcpy(plain, headers, headers_len);
	if (reply->len > 0)
		memcpy(plain + headers_len, reply->data, reply->len);
	randombytes_buf(sealed, crypto_secretbox_NONCEBYTES);
	crypto_secretbox_easy(sealed + crypto_secretbox_NONCEBYTES, plain, len, sealed,
			      keyed->seal_key);
	return sk_bytes(sealed, sealed_len);
}

/* False where it was not sealed with this key, which then is not the one that found it. */
static bool unseal(const struct keyed *keyed, const unsigned char *sealed, size_t sealed_len,
		   int status)
{
	struct sk_reply *reply = &keyed->request->reply;
	size_t len = sealed_len > SEAL_BYTES ? sealed_len - SEAL_BYTES : 0, headers_len;
	char *plain = sk_arena_alloc(keyed->request->context.arena, len + 1);
	const char *content_type = NULL;

	if (len == 0 ||
	    crypto_secretbox_open_easy((unsigned char *)plain, sealed + crypto_secretbox_NONCEBYTES,
				       sealed_len - crypto_secretbox_NONCEBYTES, sealed,
				       keyed->seal_key) != 0)
		return false;
	headers_len = strnlen(plain, len) + 1;
	if (headers_len > len)
		return false;
	plain[len] = '\0';
	unpack_headers(reply, plain, &content_type);
	sk_reply_bytes(reply, status, content_type, plain + headers_len, len - headers_len);
	return true;
}

static enum sk_status in_use(struct sk_context *context)
{
	return sk_fail(context, SK_CONFLICT, "idempotency_key_in_use",
		       "the first request with this key has not ended");
}

/* Gives the stored answer again. */
static enum sk_status replay(struct sk_tx *tx, const struct keyed *keyed)
{
	struct sk_context *context = sk_tx_context(tx);
	struct sk_rows rows;
	const void *mac, *body;
	size_t len = 0;
	enum sk_status st = sk_tx_run(
		tx, &SQL_FIND, SK_PARAMS(sk_text(keyed->scope), sk_text(keyed->name)), &rows);

	if (st != SK_OK)
		return st;
	if (rows.count == 0 || sk_row_is_null(&rows, 0, 1))
		return in_use(context);
	mac = sk_row_bytes(&rows, 0, 0, context->arena, &len);
	if (len != sizeof(keyed->mac) || sodium_memcmp(mac, keyed->mac, len) != 0)
		return sk_fail(context, SK_INVALID, "idempotency_key_reused",
			       "the key was used for another request");
	body = sk_row_bytes(&rows, 0, 2, context->arena, &len);
	if (!unseal(keyed, body, len, (int)sk_row_int(&rows, 0, 1)))
		return sk_fail(context, SK_INTERNAL, "internal", "a kept answer cannot be read");
	sk_reply_header(&keyed->request->reply, "Idempotent-Replayed", "true");
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
			 SK_PARAMS(sk_text(keyed->scope), sk_text(keyed->name),
				   sk_int(reply->status), seal(keyed)),
			 NULL);
}

/* ---- the transaction ---- */

/* Claims the key, then works and keeps the answer, or gives the one that is kept. */
static enum sk_status work_once(struct sk_tx *tx, const struct keyed *keyed)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_CLAIM,
				      SK_PARAMS(sk_text(keyed->scope), sk_text(keyed->name),
						sk_bytes(keyed->mac, sizeof(keyed->mac))),
				      &rows);

	if (st == SK_TIMEOUT) { /* it runs in another replica */
		sk_context_clear_error(sk_tx_context(tx));
		return in_use(sk_tx_context(tx));
	}
	if (st != SK_OK)
		return st;
	if (rows.count == 0)
		return replay(tx, keyed);
	sk_crash_here(SK_CRASH_HTTP_KEY_CLAIMED);
	st = keyed->work(tx, keyed->request, &keyed->request->reply, keyed->arg);
	return st == SK_OK ? save(tx, keyed) : st;
}

static enum sk_status run_keyed(struct sk_tx *tx, void *arg)
{
	struct keyed *keyed = arg;
	enum sk_status st;

	sk__reply_reset(&keyed->request->reply);
	if (keyed->name != NULL)
		st = work_once(tx, keyed);
	else
		st = keyed->work(tx, keyed->request, &keyed->request->reply, keyed->arg);
	if (st == SK_OK)
		sk_crash_here(SK_CRASH_HTTP_BEFORE_COMMIT);
	return st;
}

static enum sk_status run_in_turn(struct keyed *keyed, struct sk_pg *pg)
{
	struct sk_context *context = &keyed->request->context;
	struct sk__turns *turns = keyed->request->http->turns;
	struct sk__turn turn = { .scope = keyed->scope, .key = keyed->name };
	enum sk_status st;

	if (!sk__turn_take(turns, &turn, context->deadline_us))
		return in_use(context);
	st = sk_pg_transact(pg, context, run_keyed, keyed);
	sk__turn_give(turns, &turn);
	return st;
}

enum sk_status sk_request_transact(struct sk_request *request, struct sk_reply *reply,
				   struct sk_pg *pg, sk_request_tx_fn *work, void *arg)
{
	struct keyed keyed = { .request = request, .work = work, .arg = arg };
	const char *key;
	enum sk_status st = sk_request_idempotency_key(request, &key);

	(void)reply; /* it is the request's own */
	if (st != SK_OK)
		return st;
	sk_crash_here(SK_CRASH_HTTP_BEFORE_BEGIN);
	if (key == NULL) {
		st = sk_pg_transact(pg, &request->context, run_keyed, &keyed);
	} else {
		use_key(&keyed, key);
		st = run_in_turn(&keyed, pg);
	}
	if (st == SK_OK)
		sk_crash_here(SK_CRASH_HTTP_AFTER_COMMIT);
	return st;
}
