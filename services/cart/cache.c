/* Carts in Valkey: cart:a:<account id> and cart:g:<SHA-256 of the guest's token>, 24 h
 * after their last use; cart:done:<what> marks the effects of messages as done, cart:answer:<hash>
 * keeps what an Idempotency-Key was answered. functions/cart.lua has the layout and all
 * the changes. */
#include "cart.h"

#include <stdlib.h>
#include <string.h>

#include "sk_kv.h"

#define DONE_TTL_S	  "691200" /* 8 days: a day more than the streams keep a message */
#define IDEMPOTENCY_TTL_S "86400"

static const char *done_key(struct sk_arena *arena, const char *kind, const char *what)
{
	return sk_arena_printf(arena, "cart:done:%s:%s", kind, what);
}

/* By a hash of both, so that the key itself is not stored. */
static const char *answer_key(struct sk_arena *arena, const char *cart, const char *key)
{
	return sk_arena_printf(arena, "cart:answer:%s",
			       sk_token_hash(arena, sk_arena_printf(arena, "%s\n%s", cart, key)));
}

/* ---- reading ---- */

static void read_field(struct sk_arena *arena, const char *name, const char *value,
		       struct cart *cart)
{
	struct cart_line line = { .sku = name + 2 };

	if (strcmp(name, "id") == 0)
		cart->id = value;
	else if (strcmp(name, "version") == 0)
		cart->version = strtoll(value, NULL, 10);
	else if (strncmp(name, "i:", 2) == 0 && cart_line_parse(value, &line)) {
		line.title = line.sku; /* until the read model says it better */
		line.sku = sk_arena_strdup(arena, line.sku);
		cart->lines[cart->count++] = line;
	}
}

/* An answer of HGETALL. */
static void read_cart(struct sk_arena *arena, const struct sk_kv_reply *flat, struct cart *cart)
{
	*cart = (struct cart) { .id = NULL };
	if (flat->kind != SK_KV_LIST)
		return;
	cart->lines = sk_arena_array(arena, flat->count / 2 + 1, sizeof(*cart->lines));
	for (size_t i = 0; i + 1 < flat->count; i += 2)
		read_field(arena, flat->items[i].text, flat->items[i + 1].text, cart);
	cart_sort(cart);
}

enum sk_status cart_cache_load(struct sk_kv *kv, struct sk_context *context,
			       const struct cart_owner *owner, struct cart *cart)
{
	struct sk_kv_reply replies[2];
	enum sk_status st;

	*cart = (struct cart) { .id = NULL };
	if (owner->key == NULL)
		return SK_OK;
	st = sk_kv_pipeline(
		kv, context,
		(struct sk_kv_command[]) {
			SK_KV("HGETALL", owner->key),
			SK_KV("EXPIRE", owner->key, sk_kv_number(context->arena, CART_TTL_S)),
		},
		2, replies);
	if (st != SK_OK)
		return st;
	read_cart(context->arena, &replies[0], cart);
	return cart_catalog_describe(kv, context, cart);
}

/* ---- the shopper's changes ---- */

/* A command that changes something. */
static enum sk_status write_kv(struct sk_kv *kv, struct sk_context *context,
			       struct sk_kv_command command, struct sk_kv_reply *reply)
{
	enum sk_status st;

	sk_crash_here(SK_CRASH_KV_BEFORE_WRITE);
	st = sk_kv_run(kv, context, command, reply);
	sk_crash_here(SK_CRASH_KV_AFTER_WRITE);
	return st;
}

/* {"ok", opened, HGETALL}, {"replayed", when, HGETALL} or {"<why not>"}. */
static enum sk_status run_write(struct sk_kv *kv, struct sk_context *context,
				struct sk_kv_command command, struct cart_outcome *outcome)
{
	struct sk_kv_reply reply;
	enum sk_status st = write_kv(kv, context, command, &reply);
	const char *word;

	if (st != SK_OK)
		return st;
	if (reply.kind != SK_KV_LIST || reply.count == 0 || reply.items[0].kind != SK_KV_TEXT)
		return cart_refusal(context, "nothing");
	word = reply.items[0].text;
	if (reply.count != 3)
		return cart_refusal(context, word);
	outcome->replayed = strcmp(word, "replayed") == 0;
	outcome->opened = !outcome->replayed && reply.items[1].number == 1;
	read_cart(context->arena, &reply.items[2], &outcome->cart);
	if (outcome->replayed && reply.items[1].kind == SK_KV_TEXT)
		outcome->cart.then_us = strtoll(reply.items[1].text, NULL, 10);
	return cart_catalog_describe(kv, context, &outcome->cart);
}

static const char *if_match_of(const struct cart_write *write)
{
	return write->if_match == NULL ? "" : write->if_match;
}

enum sk_status cart_cache_put(struct sk_kv *kv, struct sk_context *context,
			      const struct cart_write *write, const struct cart_put *put,
			      struct cart_outcome *outcome)
{
	struct sk_arena *arena = context->arena;
	const char *key = write->owner->key, *once = key, *request = "";

	if (write->idempotency_key != NULL) {
		once = answer_key(arena, key, write->idempotency_key);
		request = sk_arena_printf(arena, "%s %s %lld", put->mode, put->sku,
					  (long long)put->quantity);
	}
	return run_write(
		kv, context,
		SK_KV("FCALL", "souk_cart_put", "4", key, cart_catalog_sku_key(arena, put->sku),
		      CART_CATALOG_KEY, once, if_match_of(write), sk_id_make(arena),
		      sk_kv_number(arena, CART_TTL_S), put->mode, put->sku,
		      sk_kv_number(arena, put->quantity), sk_kv_number(arena, CART_LINES_MAX),
		      sk_kv_number(arena, CART_QUANTITY_MAX), request,
		      sk_kv_number(arena, context->now_us), IDEMPOTENCY_TTL_S),
		outcome);
}

enum sk_status cart_cache_remove(struct sk_kv *kv, struct sk_context *context,
				 const struct cart_write *write, const char *sku,
				 struct cart_outcome *outcome)
{
	return run_write(kv, context,
			 SK_KV("FCALL", "souk_cart_remove", "1", write->owner->key,
			       if_match_of(write), sk_kv_number(context->arena, CART_TTL_S), sku),
			 outcome);
}

enum sk_status cart_cache_clear(struct sk_kv *kv, struct sk_context *context,
				const struct cart_write *write, struct cart_outcome *outcome)
{
	return run_write(kv, context,
			 SK_KV("FCALL", "souk_cart_clear", "1", write->owner->key,
			       if_match_of(write), sk_kv_number(context->arena, CART_TTL_S)),
			 outcome);
}

/* ---- what events do ---- */

enum sk_status cart_cache_take_order(struct sk_kv *kv, struct sk_context *context,
				     const struct cart_taking *taking)
{
	struct sk_arena *arena = context->arena;
	const char **argv = sk_arena_array(arena, 7 + 2 * taking->count, sizeof(*argv));
	const char *carts[2];
	size_t at = 0, count = 0;

	if (*taking->account_id != '\0')
		carts[count++] = cart_owner_of(arena, taking->account_id, NULL).key;
	if (*taking->token_hash != '\0')
		carts[count++] = cart_owner_of_guest(arena, taking->token_hash).key;
	if (count == 0)
		return SK_OK;
	argv[at++] = "FCALL";
	argv[at++] = "souk_cart_take_order";
	argv[at++] = sk_kv_number(arena, (int64_t)count + 1);
	argv[at++] = done_key(arena, "order", taking->order_id);
	for (size_t i = 0; i < count; i++)
		argv[at++] = carts[i];
	argv[at++] = DONE_TTL_S;
	for (size_t i = 0; i < taking->count; i++) {
		argv[at++] = taking->skus[i];
		argv[at++] = sk_kv_number(arena, taking->quantities[i]);
	}
	return write_kv(kv, context, (struct sk_kv_command) { argv, NULL, at }, NULL);
}

enum sk_status cart_cache_merge(struct sk_kv *kv, struct sk_context *context,
				struct cart_merging *merging)
{
	struct sk_arena *arena = context->arena;
	struct sk_kv_reply reply;
	enum sk_status st = write_kv(kv, context,
				     SK_KV("FCALL", "souk_cart_merge", "3",
					   cart_owner_of(arena, merging->account_id, NULL).key,
					   cart_owner_of_guest(arena, merging->token_hash).key,
					   done_key(arena, "merge", merging->message_id),
					   sk_id_make(arena), sk_kv_number(arena, CART_TTL_S),
					   DONE_TTL_S, sk_kv_number(arena, CART_LINES_MAX),
					   sk_kv_number(arena, CART_QUANTITY_MAX)),
				     &reply);

	if (st != SK_OK)
		return st;
	merging->merged = reply.kind == SK_KV_LIST && reply.count == 3 &&
			  reply.items[0].number == 1;
	if (merging->merged) {
		merging->cart_id = reply.items[1].text;
		merging->version = reply.items[2].number;
	}
	return SK_OK;
}
