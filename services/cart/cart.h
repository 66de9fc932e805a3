/* The cart service's own types, and the functions between its files.
 *
 * A cart is a wish, kept in Valkey and nowhere else: it may be lost, and nothing that
 * must be true depends on it. Prices and titles in it are a read model of the catalog's
 * messages; the order service prices what is bought by its own. */
#ifndef CART_H
#define CART_H

#include "sk_service.h"

#define CART_LINES_MAX	  100
#define CART_QUANTITY_MAX 10000 /* of one line */
#define CART_TTL_S	  86400 /* 24 h, sliding */

#define CART_COOKIE	   "souk_cart"
#define CART_HEADER	   "X-Cart-Token"
#define CART_SWEEP_CATALOG "cart-catalog-rebuild"
#define CART_SWEEP_NEWS	   "cart-news"

/* Whose cart: an account's, a guest's, or nobody's yet. */
struct cart_owner {
	const char *key;	/* of Valkey; NULL: nobody's, and empty */
	const char *account_id; /* ""; an account's wins over a guest's */
	const char *token;	/* the guest's; "" */
};

struct cart_line {
	const char *sku;
	int64_t quantity;
	int64_t position; /* lines show by it */
	/* From the read model: */
	bool known;  /* title and price are there */
	bool active; /* still sold */
	const char *title;
	struct sk_money price;
	bool level_known;
	int64_t available;
};

struct cart {
	const char *id; /* NULL: there is none */
	int64_t version;
	struct cart_line *lines;
	size_t count;
	int64_t then_us; /* of a kept answer: when the cart was so; 0: it is so now */
};

struct cart_announcer;

struct cart_service {
	struct sk_parts *parts;
	struct cart_announcer *announcer;
};

/* ---- rules.c: pure ---- */

/* The owner by account (""), else by token (NULL or not of our form: nobody). */
struct cart_owner cart_owner_of(struct sk_arena *arena, const char *account_id, const char *token);
struct cart_owner cart_owner_of_guest(struct sk_arena *arena, const char *token_hash);

/* The strong ETag of a cart, without its quotes; of no cart "0". */
const char *cart_tag(struct sk_arena *arena, const struct cart *cart);

/* "12:3" into quantity and position; false where it is no line. */
bool cart_line_parse(const char *value, struct cart_line *line);

/* In the order of their adding. */
void cart_sort(struct cart *cart);

/* Price times quantity. False where the price is not known or the amount does not fit. */
bool cart_line_total(const struct cart_line *line, struct sk_money *total);

/* The sum of the lines with a known price, in currency where there is none. False where
 * they are of two currencies or the sum does not fit. */
bool cart_subtotal(const struct cart *cart, const char *currency, struct sk_money *subtotal);

/* How many can be had: false where nobody said yet. None of what is no longer sold. */
bool cart_line_available(const struct cart_line *line, int64_t *available);

/* "Shirt", "Small / Blue" -> "Shirt - Small / Blue". */
const char *cart_title(struct sk_arena *arena, const char *product, const char *variant);

/* Turns a function's word for a refusal into a status and its sentence. A word that
 * is not in the table is SK_INTERNAL. */
SK_MUST_CHECK enum sk_status cart_refusal(struct sk_context *context, const char *word);
/* The field of the request that a refusal is about; NULL: none. */
const char *cart_refused_field(const char *word);

/* SKUs are kept joined by newlines, which no SKU contains. */
struct cart_skus {
	const char **list;
	size_t count;
};
struct cart_skus cart_skus_split(struct sk_arena *arena, const char *joined);
const char *cart_skus_join(struct sk_arena *arena, const struct cart_skus *skus);
/* Those of before that now does not have. */
struct cart_skus cart_skus_gone(struct sk_arena *arena, const struct cart_skus *before,
				const struct cart_skus *now);

/* ---- cache.c: carts in Valkey ---- */

/* What a write wants besides its own arguments. */
struct cart_write {
	const struct cart_owner *owner;
	const char *if_match;	     /* the header; NULL: none */
	const char *idempotency_key; /* NULL: none; only of adding */
};

struct cart_put {
	const char *mode; /* CART_ADD or CART_SET */
	const char *sku;
	int64_t quantity;
};
#define CART_ADD "add"
#define CART_SET "set"

struct cart_outcome {
	struct cart cart;
	bool opened;   /* the cart was made */
	bool replayed; /* the Idempotency-Key was known: nothing changed, this is the cart of then */
};

/* Reads the cart, prolongs it, and fills in titles, prices and levels. An owner without
 * a cart gets an empty one. SK_UNAVAILABLE ("catalog_not_ready") where a line is
 * not known because the read model is being rebuilt. */
SK_MUST_CHECK enum sk_status cart_cache_load(struct sk_kv *kv, struct sk_context *context,
					     const struct cart_owner *owner, struct cart *cart);
/* Writes give the whole cart back. Refusals: see rules.c. */
SK_MUST_CHECK enum sk_status cart_cache_put(struct sk_kv *kv, struct sk_context *context,
					    const struct cart_write *write,
					    const struct cart_put *put,
					    struct cart_outcome *outcome);
SK_MUST_CHECK enum sk_status cart_cache_remove(struct sk_kv *kv, struct sk_context *context,
					       const struct cart_write *write, const char *sku,
					       struct cart_outcome *outcome);
SK_MUST_CHECK enum sk_status cart_cache_clear(struct sk_kv *kv, struct sk_context *context,
					      const struct cart_write *write,
					      struct cart_outcome *outcome);

struct cart_taking {
	const char *order_id, *account_id, *token_hash; /* the last two may be "" */
	const char *const *skus;
	const int64_t *quantities;
	size_t count;
};
/* Once per order. */
SK_MUST_CHECK enum sk_status cart_cache_take_order(struct sk_kv *kv, struct sk_context *context,
						   const struct cart_taking *taking);

struct cart_merging {
	const char *message_id, *account_id, *token_hash;
	bool merged; /* out: with id and version of the account's cart */
	const char *cart_id;
	int64_t version;
};
/* Once per message. */
SK_MUST_CHECK enum sk_status cart_cache_merge(struct sk_kv *kv, struct sk_context *context,
					      struct cart_merging *merging);

/* ---- catalog.c: the read model in Valkey ---- */

struct cart_variant {
	const char *sku, *title;
	struct sk_money price;
};

struct cart_product {
	const char *id;
	int64_t version;
	bool active;
	struct cart_variant *variants;
	size_t count;
};

/* Applies the product unless a newer version is there. */
SK_MUST_CHECK enum sk_status cart_catalog_put(struct sk_kv *kv, struct sk_context *context,
					      const struct cart_product *product);
SK_MUST_CHECK enum sk_status cart_catalog_put_level(struct sk_kv *kv, struct sk_context *context,
						    const char *sku, int64_t version,
						    int64_t available);
/* Titles, prices and levels of the cart's lines, in one round trip. */
SK_MUST_CHECK enum sk_status cart_catalog_describe(struct sk_kv *kv, struct sk_context *context,
						   struct cart *cart);
const char *cart_catalog_sku_key(struct sk_arena *arena, const char *sku);
#define CART_CATALOG_KEY "cart:catalog" /* there: the read model is whole */

SK_MUST_CHECK enum sk_status cart_catalog_is_built(struct sk_kv *kv, struct sk_context *context,
						   bool *built);
/* A rebuild is between these two; *built is false where it has to be done again. */
SK_MUST_CHECK enum sk_status cart_catalog_begin(struct sk_kv *kv, struct sk_context *context,
						const char *run);
SK_MUST_CHECK enum sk_status cart_catalog_finish(struct sk_kv *kv, struct sk_context *context,
						 const char *run, bool *built);

/* Whether the levels came since Valkey was emptied last. Where *kept is false they are to be asked
 * for, and that they were is noted afterwards. */
SK_MUST_CHECK enum sk_status cart_catalog_keep_levels(struct sk_kv *kv, struct sk_context *context,
						      bool *kept);
SK_MUST_CHECK enum sk_status cart_catalog_asked_levels(struct sk_kv *kv,
						       struct sk_context *context);

/* ---- announcer.c: what is told may be lost, but holds nobody up ---- */

enum cart_news_kind { CART_NEWS_OPENED, CART_NEWS_ITEM_ADDED, CART_NEWS_MERGED };

struct cart_news {
	enum cart_news_kind kind;
	struct sk_id id; /* of the event */
	char cart_id[SK_ID_BYTES], account_id[SK_ID_BYTES];
	char sku[SK_SKU_MAX_BYTES + 1]; /* of an added item */
	int64_t version, quantity, time_us;
	char traceparent[SK_TRACEPARENT_BYTES];
};

struct cart_announcer *cart_announcer_open(size_t capacity, struct sk_metrics *metrics);
void cart_announcer_close(struct cart_announcer **announcer);

/* Puts the news at the end of the queue; a full queue drops and counts them. Never blocks
 * on the broker. Thread-safe. Returns whether they were taken. */
bool cart_announcer_put(struct cart_announcer *announcer, const struct cart_news *news);
/* Copies up to max of the oldest; they stay until they are dropped. One reader. */
size_t cart_announcer_peek(struct cart_announcer *announcer, struct cart_news *news, size_t max);
void cart_announcer_drop(struct cart_announcer *announcer, size_t count);

/* News of a cart, with an id, and the context's trace and time. account_id "": a guest. */
struct cart_news cart_news_of(const struct sk_context *context, enum cart_news_kind kind,
			      const struct cart *cart, const char *account_id);
/* What was added, of CART_NEWS_ITEM_ADDED. */
void cart_news_set_item(struct cart_news *news, const char *sku, int64_t quantity);

/* ---- events.c ---- */

/* Queues the news and wakes the sweep that sends them. */
void cart_announce(struct cart_service *service, const struct cart_news *news);

/* The sweeps: building the read model where Valkey lacks it; sending the news. */
SK_MUST_CHECK enum sk_status cart_rebuild_catalog(struct sk_context *context, void *app,
						  bool *again);
SK_MUST_CHECK enum sk_status cart_send_news(struct sk_context *context, void *app, bool *again);

/* ---- the tables of main.c ---- */

extern const struct sk_route CART_ROUTES[];
extern const struct sk_consumer CART_CONSUMERS[];
extern const struct sk_file CART_FUNCTIONS[];

#endif
