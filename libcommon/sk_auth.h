/* Sessions as every service sees them: a bearer token or cookie becomes an actor.
 *
 * session:<SHA-256 of the token> is a hash in Valkey that only the session service
 * may write; everyone may read it. A session that was last seen over an hour
 * ago is announced by sessions.seen.<session id>, and the session service prolongs
 * it: 30 days sliding, without a write right for anybody else.
 *
 * Where Valkey does not answer the status is SK_UNAVAILABLE (503), never
 * SK_UNAUTHENTICATED: nobody is logged out by a store that is down. */
#ifndef SK_AUTH_H
#define SK_AUTH_H

#include "sk_bus.h"
#include "sk_kv.h"

#define SK_SESSION_TTL_S  2592000 /* 30 days */
#define SK_SESSION_COOKIE "souk_session"

/* A guest's cart, as the public contract names its token. The cart service gives it out;
 * session (the merge at log-in) and order (what leaves the cart) pass its hash on. The
 * header is looked at first. */
#define SK_CART_COOKIE "souk_cart"
#define SK_CART_HEADER "X-Cart-Token"

/* The fields of session:<hash>. */
#define SK_SESSION_FIELD_ID	 "id"
#define SK_SESSION_FIELD_ACCOUNT "account_id"
#define SK_SESSION_FIELD_EMAIL	 "email"
#define SK_SESSION_FIELD_ROLE	 "role"
#define SK_SESSION_FIELD_SEEN	 "last_seen" /* Unix seconds */

const char *sk_session_key(struct sk_arena *arena, const char *token);

/* Fills context->actor (all but the address) from the token. SK_UNAUTHENTICATED
 * ("invalid_token") where no session has it. bus may be NULL (no announcement). */
SK_MUST_CHECK enum sk_status sk_auth_actor(struct sk_kv *kv, struct sk_bus *bus,
					   struct sk_context *context, const char *token);

#endif
