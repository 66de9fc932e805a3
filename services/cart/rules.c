#include "cart.h"

#include <stdlib.h>
#include <string.h>

#define TOKEN_CHARACTERS 43 /* 32 bytes as base64 without padding; sk_token_make */

/* ---- whose cart ---- */

static bool token_valid(const char *token)
{
	static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				       "0123456789-_";

	return token != NULL && strlen(token) == TOKEN_CHARACTERS &&
	       strspn(token, ALPHABET) == TOKEN_CHARACTERS;
}

struct cart_owner cart_owner_of(struct sk_arena *arena, const char *account_id, const char *token)
{
	struct cart_owner owner = { NULL, "", "" };

	if (*account_id != '\0')
		return (struct cart_owner) { sk_arena_printf(arena, "cart:a:%s", account_id),
					     account_id, "" };
	if (!token_valid(token))
		return owner;
	owner = cart_owner_of_guest(arena, sk_token_hash(arena, token));
	owner.token = token;
	return owner;
}

struct cart_owner cart_owner_of_guest(struct sk_arena *arena, const char *token_hash)
{
	return (struct cart_owner) { sk_arena_printf(arena, "cart:g:%s", token_hash), "", "" };
}

/* ---- lines and sums ---- */

const char *cart_tag(struct sk_arena *arena, const struct cart *cart)
{
	if (cart->id == NULL)
		return "0";
	return sk_arena_printf(arena, "%s.%lld", cart->id, (long long)cart->version);
}

bool cart_line_parse(const char *value, struct cart_line *line)
{
	char *end;

	line->quantity = strtoll(value, &end, 10);
	if (end == value || *end != ':')
		return false;
	line->position = strtoll(end + 1, &end, 10);
	return *end == '\0' && line->quantity >= 1 && line->quantity <= CART_QUANTITY_MAX;
}

static int by_position(const void *a, const void *b)
{
	const struct cart_line *first = a, *second = b;

	if (first->position != second->position)
		return first->position < second->position ? -1 : 1;
	return strcmp(first->sku, second->sku);
}

void cart_sort(struct cart *cart)
{
	if (cart->count > 1)
		qsort(cart->lines, cart->count, sizeof(*cart->lines), by_position);
}

bool cart_line_total(const struct cart_line *line, struct sk_money *total)
{
	return line->known && sk_money_times(line->price, line->quantity, total) == SK_OK;
}

bool cart_subtotal(const struct cart *cart, const char *currency, struct sk_money *subtotal)
{
	bool empty = true;

	*subtotal = sk_money_of(0, currency);
	for (size_t i = 0; i < cart->count; i++) {
		struct sk_money total;

		if (!cart->lines[i].known)
			continue;
		if (!cart_line_total(&cart->lines[i], &total))
			return false;
		if (empty)
			*subtotal = total;
		else if (sk_money_add(*subtotal, total, subtotal) != SK_OK)
			return false;
		empty = false;
	}
	return true;
}

bool cart_line_available(const struct cart_line *line, int64_t *available)
{
	*available = line->known && line->active && line->level_known ? line->available : 0;
	return line->level_known || !line->known || !line->active;
}

const char *cart_title(struct sk_arena *arena, const char *product, const char *variant)
{
	return *variant == '\0' ? product : sk_arena_printf(arena, "%s - %s", product, variant);
}

/* ---- refusals ---- */

struct refusal {
	const char *word;
	enum sk_status status;
	const char *field;
	const char *sentence;
};

/* The words of functions/cart.lua. */
static const struct refusal REFUSALS[] = {
	{ "precondition_failed", SK_PRECONDITION, NULL, "the cart is other than If-Match says" },
	{ "unknown_sku", SK_INVALID, "sku", "this SKU is not sold" },
	{ "cart_full", SK_INVALID, "sku", "a cart has 100 lines at most" },
	{ "quantity_too_high", SK_INVALID, "quantity", "a line has a quantity of 10000 at most" },
	{ "currency_mismatch", SK_INVALID, "sku", "the cart's other items have another currency" },
	{ "idempotency_key_reused", SK_INVALID, NULL,
	  "the Idempotency-Key was used for another request" },
	{ "catalog_not_ready", SK_UNAVAILABLE, NULL, "the list of products is being read" },
};

static const struct refusal *find_refusal(const char *word)
{
	for (size_t i = 0; i < sizeof(REFUSALS) / sizeof(*REFUSALS); i++)
		if (strcmp(REFUSALS[i].word, word) == 0)
			return &REFUSALS[i];
	return NULL;
}

enum sk_status cart_refusal(struct sk_context *context, const char *word)
{
	const struct refusal *refusal = find_refusal(word);

	if (refusal == NULL)
		return sk_fail(context, SK_INTERNAL, "unknown_refusal",
			       "the cart's function said '%s'", word);
	return sk_fail(context, refusal->status, refusal->word, "%s", refusal->sentence);
}

const char *cart_refused_field(const char *word)
{
	const struct refusal *refusal = find_refusal(word);

	return refusal == NULL ? NULL : refusal->field;
}

/* ---- sets of SKUs ---- */

struct cart_skus cart_skus_split(struct sk_arena *arena, const char *joined)
{
	struct cart_skus skus = { NULL, 0 };
	char *rest = sk_arena_strdup(arena, joined);
	size_t newlines = 0;

	if (*joined == '\0')
		return skus;
	for (const char *c = joined; *c != '\0'; c++)
		newlines += *c == '\n';
	skus.list = sk_arena_array(arena, newlines + 1, sizeof(*skus.list));
	while (rest != NULL)
		skus.list[skus.count++] = strsep(&rest, "\n");
	return skus;
}

const char *cart_skus_join(struct sk_arena *arena, const struct cart_skus *skus)
{
	struct sk_buf joined;

	sk_buf_init(&joined, arena, skus->count * (SK_SKU_MAX_BYTES + 1) + 1);
	for (size_t i = 0; i < skus->count; i++) {
		if (i > 0)
			sk_buf_putc(&joined, '\n');
		sk_buf_puts(&joined, skus->list[i]);
	}
	return sk_buf_text(&joined);
}

static bool has_sku(const struct cart_skus *skus, const char *sku)
{
	for (size_t i = 0; i < skus->count; i++)
		if (strcmp(skus->list[i], sku) == 0)
			return true;
	return false;
}

struct cart_skus cart_skus_gone(struct sk_arena *arena, const struct cart_skus *before,
				const struct cart_skus *now)
{
	struct cart_skus gone = { sk_arena_array(arena, before->count + 1, sizeof(*gone.list)), 0 };

	for (size_t i = 0; i < before->count; i++)
		if (!has_sku(now, before->list[i]))
			gone.list[gone.count++] = before->list[i];
	return gone;
}
