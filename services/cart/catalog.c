/* The read model: what a cart shows of products, in Valkey, from the catalog's messages.
 *
 *     cart:sku:<sku>       title, price, currency, active, product, level; 48 h
 *     cart:product:<id>    the version applied last, and the SKUs it had; 48 h
 *     cart:catalog         there: everything above is there; 24 h
 *     cart:catalog:run     the rebuild that is under way
 *     cart:levels          inventory was asked to tell every level, and Valkey has not been
 *                          emptied since; 48 h, longer with each rebuild
 *
 * Valkey may be emptied at any moment. Then cart:catalog is gone too, and a sweep reads
 * the compacted stream from its beginning (events.c). It is gone once a day besides,
 * which keeps the other keys from expiring; and a SKU that is not found while it is gone is
 * "not ready", not "unknown". */
#include "cart.h"

#include <stdlib.h>
#include <string.h>

#include "sk_kv.h"

#define MODEL_TTL_S	    "172800"
#define BUILT_TTL_S	    "86400"
#define RUN_KEY		    "cart:catalog:run"
#define LEVELS_KEY	    "cart:levels"
#define LEVELS_ASKING	    "asking"
#define LEVELS_ASKED	    "asked"
#define RUN_TTL_S	    "3600"
#define PUT_TRIES	    5
#define PUT_FIXED_ARGUMENTS 7 /* before the listed SKUs' own; functions/cart.lua */

const char *cart_catalog_sku_key(struct sk_arena *arena, const char *sku)
{
	return sk_arena_printf(arena, "cart:sku:%s", sku);
}

/* ---- writing ---- */

struct seen {
	const char *version; /* "" where the product is new to us */
	struct cart_skus skus;
};

static enum sk_status read_seen(struct sk_kv *kv, struct sk_context *context,
				const char *product_key, struct seen *seen)
{
	struct sk_kv_reply reply;
	enum sk_status st = sk_kv_run(kv, context, SK_KV("HMGET", product_key, "version", "skus"),
				      &reply);

	*seen = (struct seen) { .version = "" };
	if (st != SK_OK || reply.kind != SK_KV_LIST || reply.count != 2)
		return st;
	if (reply.items[0].kind == SK_KV_TEXT)
		seen->version = reply.items[0].text;
	if (reply.items[1].kind == SK_KV_TEXT)
		seen->skus = cart_skus_split(context->arena, reply.items[1].text);
	return SK_OK;
}

static struct cart_skus skus_of(struct sk_arena *arena, const struct cart_product *product)
{
	struct cart_skus skus = { sk_arena_array(arena, product->count + 1, sizeof(*skus.list)),
				  product->count };

	for (size_t i = 0; i < product->count; i++)
		skus.list[i] = product->variants[i].sku;
	return skus;
}

static struct sk_kv_command put_command(struct sk_arena *arena, const char *product_key,
					const struct cart_product *product, const struct seen *seen)
{
	struct cart_skus listed = skus_of(arena, product);
	struct cart_skus gone = cart_skus_gone(arena, &seen->skus, &listed);
	size_t keys = 1 + listed.count + gone.count, at = 0;
	const char **argv = sk_arena_array(arena, 3 + keys + PUT_FIXED_ARGUMENTS + 3 * listed.count,
					   sizeof(*argv));

	argv[at++] = "FCALL";
	argv[at++] = "souk_cart_put_product";
	argv[at++] = sk_kv_number(arena, (int64_t)keys);
	argv[at++] = product_key;
	for (size_t i = 0; i < listed.count; i++)
		argv[at++] = cart_catalog_sku_key(arena, listed.list[i]);
	for (size_t i = 0; i < gone.count; i++)
		argv[at++] = cart_catalog_sku_key(arena, gone.list[i]);
	argv[at++] = seen->version;
	argv[at++] = sk_kv_number(arena, product->version);
	argv[at++] = product->id;
	argv[at++] = product->active ? "1" : "0";
	argv[at++] = MODEL_TTL_S;
	argv[at++] = sk_kv_number(arena, (int64_t)listed.count);
	argv[at++] = cart_skus_join(arena, &listed);
	for (size_t i = 0; i < product->count; i++) {
		argv[at++] = product->variants[i].title;
		argv[at++] = sk_kv_number(arena, product->variants[i].price.minor);
		argv[at++] = product->variants[i].price.currency;
	}
	return (struct sk_kv_command) { argv, NULL, at };
}

/* Which SKUs are gone is worked out here from what Valkey had, so that the function can
 * declare their keys; it refuses where that changed meanwhile, and we look again. */
enum sk_status cart_catalog_put(struct sk_kv *kv, struct sk_context *context,
				const struct cart_product *product)
{
	const char *key = sk_arena_printf(context->arena, "cart:product:%s", product->id);

	for (int i = 0; i < PUT_TRIES; i++) {
		struct sk_kv_reply reply;
		struct seen seen;
		enum sk_status st = read_seen(kv, context, key, &seen);

		if (st != SK_OK)
			return st;
		if (strtoll(seen.version, NULL, 10) > product->version)
			return SK_OK;
		st = sk_kv_run(kv, context, put_command(context->arena, key, product, &seen),
			       &reply);
		if (st != SK_OK || reply.number == 1)
			return st;
	}
	return sk_fail(context, SK_UNAVAILABLE, "busy", "product %s changes too fast", product->id);
}

enum sk_status cart_catalog_put_level(struct sk_kv *kv, struct sk_context *context, const char *sku,
				      int64_t version, int64_t available)
{
	struct sk_arena *arena = context->arena;

	return sk_kv_run(kv, context,
			 SK_KV("FCALL", "souk_cart_put_level", "1",
			       cart_catalog_sku_key(arena, sku), sk_kv_number(arena, version),
			       sk_kv_number(arena, available), MODEL_TTL_S),
			 NULL);
}

/* ---- reading ---- */

enum { AT_TITLE, AT_PRICE, AT_CURRENCY, AT_ACTIVE, AT_AVAILABLE, FIELDS };

static void describe_line(const struct sk_kv_reply *reply, struct cart_line *line)
{
	const struct sk_kv_reply *fields = reply->items;

	if (reply->kind != SK_KV_LIST || reply->count != FIELDS)
		return;
	line->level_known = fields[AT_AVAILABLE].kind == SK_KV_TEXT;
	if (line->level_known)
		line->available = strtoll(fields[AT_AVAILABLE].text, NULL, 10);
	line->known = fields[AT_TITLE].kind == SK_KV_TEXT && fields[AT_PRICE].kind == SK_KV_TEXT &&
		      fields[AT_CURRENCY].kind == SK_KV_TEXT;
	if (!line->known)
		return;
	line->title = fields[AT_TITLE].text;
	line->price = sk_money_of(strtoll(fields[AT_PRICE].text, NULL, 10),
				  fields[AT_CURRENCY].text);
	line->active = fields[AT_ACTIVE].kind == SK_KV_TEXT &&
		       strcmp(fields[AT_ACTIVE].text, "1") == 0;
}

static bool all_known(const struct cart *cart)
{
	for (size_t i = 0; i < cart->count; i++)
		if (!cart->lines[i].known)
			return false;
	return true;
}

enum sk_status cart_catalog_describe(struct sk_kv *kv, struct sk_context *context,
				     struct cart *cart)
{
	struct sk_arena *arena = context->arena;
	struct sk_kv_command *commands = sk_arena_array(arena, cart->count + 1, sizeof(*commands));
	struct sk_kv_reply *replies = sk_arena_array(arena, cart->count + 1, sizeof(*replies));
	enum sk_status st;

	if (cart->count == 0)
		return SK_OK;
	for (size_t i = 0; i < cart->count; i++) {
		const char **argv = sk_arena_array(arena, FIELDS + 2, sizeof(*argv));
		const char *const command[FIELDS + 2] = {
			"HMGET",     cart_catalog_sku_key(arena, cart->lines[i].sku),
			"title",     "price_minor",
			"currency",  "active",
			"available",
		};

		memcpy(argv, command, sizeof(command));
		commands[i] = (struct sk_kv_command) { argv, NULL, FIELDS + 2 };
	}
	commands[cart->count] = SK_KV("EXISTS", CART_CATALOG_KEY);
	st = sk_kv_pipeline(kv, context, commands, cart->count + 1, replies);
	if (st != SK_OK)
		return st;
	for (size_t i = 0; i < cart->count; i++)
		describe_line(&replies[i], &cart->lines[i]);
	if (!all_known(cart) && replies[cart->count].number == 0)
		return cart_refusal(context, "catalog_not_ready");
	return SK_OK;
}

/* ---- whether it is whole ---- */

enum sk_status cart_catalog_is_built(struct sk_kv *kv, struct sk_context *context, bool *built)
{
	struct sk_kv_reply reply;
	enum sk_status st = sk_kv_run(kv, context, SK_KV("EXISTS", CART_CATALOG_KEY), &reply);

	*built = st == SK_OK && reply.number == 1;
	return st;
}

enum sk_status cart_catalog_begin(struct sk_kv *kv, struct sk_context *context, const char *run)
{
	return sk_kv_run(kv, context, SK_KV("SET", RUN_KEY, run, "EX", RUN_TTL_S), NULL);
}

enum sk_status cart_catalog_finish(struct sk_kv *kv, struct sk_context *context, const char *run,
				   bool *built)
{
	struct sk_kv_reply reply;
	enum sk_status st = sk_kv_run(kv, context,
				      SK_KV("FCALL", "souk_cart_catalog_built", "2",
					    CART_CATALOG_KEY, RUN_KEY, run, BUILT_TTL_S),
				      &reply);

	*built = st == SK_OK && reply.number == 1;
	return st;
}

/* ---- whether it has levels ---- */

enum sk_status cart_catalog_keep_levels(struct sk_kv *kv, struct sk_context *context, bool *kept)
{
	struct sk_kv_reply reply;
	enum sk_status st = sk_kv_run(kv, context, SK_KV("GET", LEVELS_KEY), &reply);

	*kept = st == SK_OK && reply.kind == SK_KV_TEXT && strcmp(reply.text, LEVELS_ASKED) == 0;
	if (*kept)
		return sk_kv_run(kv, context, SK_KV("EXPIRE", LEVELS_KEY, MODEL_TTL_S), NULL);
	if (st != SK_OK)
		return st;
	return sk_kv_run(kv, context, SK_KV("SET", LEVELS_KEY, LEVELS_ASKING, "EX", MODEL_TTL_S),
			 NULL);
}

/* XX: not where Valkey was emptied while we asked. */
enum sk_status cart_catalog_asked_levels(struct sk_kv *kv, struct sk_context *context)
{
	return sk_kv_run(kv, context,
			 SK_KV("SET", LEVELS_KEY, LEVELS_ASKED, "XX", "EX", MODEL_TTL_S), NULL);
}
