/* The read cache of orders: their JSON, under order:<id>:<version>.
 *
 * It cannot be stale, because nothing is ever looked up that could be: a reader first asks
 * PostgreSQL for the order's version (one row by its primary key, together with who may
 * see it) and then the cache for exactly that version. What a version looks like
 * never changes, so entries are written and left to expire; there is no invalidation to be
 * lost, no race between a loader and a change, and Valkey may forget or be down
 * at any moment. What the cache saves is the larger part of a read: the lines, the
 * shipments, and putting them into JSON.
 *
 * Refused: keeping the order under its id alone and deleting it on change. A deletion that
 * is lost, or overtaken by a slow loader, would show a shopper an old status for an hour. */
#include "order.h"

#include <string.h>

#define ENTRY_MAX_BYTES ((size_t)256 * 1024) /* larger orders are rare, and read rarely */

static const char *key_of(struct sk_arena *arena, const char *id, int64_t version)
{
	return sk_arena_printf(arena, "order:%s:%lld", id, (long long)version);
}

const char *order_cache_get(struct sk_kv *cache, struct sk_context *context, const char *id,
			    int64_t version)
{
	struct sk_kv_reply reply;
	enum sk_status st = sk_kv_run(cache, context,
				      SK_KV("GET", key_of(context->arena, id, version)), &reply);

	if (st == SK_OK && reply.kind == SK_KV_TEXT)
		return reply.text;
	sk_context_clear_error(context);
	return NULL;
}

void order_cache_put(struct sk_kv *cache, struct sk_context *context, const struct order *order,
		     const char *json)
{
	if (strlen(json) > ENTRY_MAX_BYTES)
		return;
	sk_crash_here(SK_CRASH_KV_BEFORE_WRITE);
	sk_ignore(sk_kv_run(cache, context,
			    SK_KV("SET", key_of(context->arena, order->id, order->version), json,
				  "EX", ORDER_CACHE_TTL_S),
			    NULL),
		  "an entry that cannot be stored is a later miss");
	sk_crash_here(SK_CRASH_KV_AFTER_WRITE);
	sk_context_clear_error(context);
}
