/* The catalogue's own types, and the functions between its files. */
#ifndef CATALOG_H
#define CATALOG_H

#include <stdatomic.h>

#include "sk_service.h"

/* Limits of a product. Those of Shopify's product files, where it states one. */
#define CATALOG_TITLE_MAX_BYTES	      255 /* of title, vendor, category and tags alike */
#define CATALOG_SLUG_MAX_BYTES	      200
#define CATALOG_DESCRIPTION_MAX_BYTES ((size_t)64 * 1024)
#define CATALOG_TAGS_MAX	      250
#define CATALOG_VARIANTS_MAX	      250 /* as many as one ProductChanged carries */
#define CATALOG_IMAGES_MAX	      250
#define CATALOG_URL_MAX_BYTES	      2048
#define CATALOG_ALT_MAX_BYTES	      512
#define CATALOG_OPTIONS_MAX	      3
#define CATALOG_WEIGHT_MAX_GRAMS      100000000 /* 100 t */
#define CATALOG_QUANTITY_MAX	      1000000000
#define CATALOG_QUERY_MAX_BYTES	      200

enum catalog_status {
	CATALOG_DRAFT,	  /* seen by staff only */
	CATALOG_ACTIVE,	  /* on sale */
	CATALOG_ARCHIVED, /* no longer on sale, seen by staff only */
	CATALOG_DELETED,  /* gone from every read; its row keeps the version */
};

struct catalog_option {
	const char *name, *value; /* "Size", "Small" */
};

struct catalog_variant {
	const char *sku; /* NULL until one is given or made */
	const char *title;
	const char *barcode; /* "": none */
	struct catalog_option options[CATALOG_OPTIONS_MAX];
	int options_count;
	struct sk_money price;
	int64_t compare_at_minor; /* in the price's currency; 0: none */
	int64_t weight_grams;
	int64_t initial_quantity; /* -1: not given */
	int64_t available;	  /* as inventory last told; 0 until then */
};

struct catalog_image {
	const char *src, *alt;
};

/* A product; its strings and arrays are the arena's of whoever made it. */
struct catalog_product {
	const char *id, *slug, *title, *description_html, *vendor, *category;
	enum catalog_status status;
	const char **tags;
	int tags_count;
	struct catalog_image *images;
	int images_count;
	struct catalog_variant *variants;
	int variants_count;
	int64_t version, created_us, updated_us;
};

enum catalog_sort { CATALOG_NEWEST, CATALOG_BY_TITLE, CATALOG_CHEAPEST, CATALOG_DEAREST };

/* Where a page begins: after the product `id`, whose place in the order is `key`. */
struct catalog_cursor {
	const char *key, *id; /* id NULL: at the start */
};

/* What GET /v1/products asks. */
struct catalog_query {
	const char *text, *category; /* NULL: any */
	const char *status;	     /* "active", … or "all" */
	enum catalog_sort sort;
	struct catalog_cursor after;
	int limit;
};

struct catalog_page {
	struct catalog_product *products;
	int count;
	bool more;
	const char **keys; /* of each product, for the cursor */
};

struct catalog_category {
	const char *name;
	int64_t products;
};

struct catalog_service {
	struct sk_parts *parts;
	const char *currency;	/* the shop's one currency */
	atomic_bool cache_owed; /* an invalidation did not get through: see cache.c */
};

extern const struct sk_route CATALOG_ROUTES[];
extern const struct sk_consumer CATALOG_CONSUMERS[];
extern const struct sk_file CATALOG_MIGRATIONS[], CATALOG_FUNCTIONS[];

/* ---- rules.c: pure ---- */

const char *catalog_status_name(enum catalog_status status);
/* False where text is NULL or no status; "deleted" is none that may be asked for. */
bool catalog_status_parse(const char *text, enum catalog_status *status);

/* "newest" (also for NULL), "title", "price", "-price". */
bool catalog_sort_parse(const char *text, enum catalog_sort *sort);
const char *catalog_sort_name(enum catalog_sort sort);

/* Lower-case ASCII letters and digits in words joined by single hyphens, and no UUID. */
bool catalog_slug_valid(const char *slug);
/* A valid slug of any text, always the same. Where letters beyond ASCII or the
 * length had to be dropped it ends in a hash of the text, so that two texts stay two slugs. */
const char *catalog_slug_make(struct sk_arena *arena, const char *text);

/* The stable SKU of a variant that has none: "CLASSIC-VARSITY-TOP-SMALL". Cut to 64
 * bytes it ends in a hash; so does the second choice, for when the first is taken. */
const char *catalog_sku_make(struct sk_arena *arena, const char *slug,
			     const struct catalog_variant *variant, bool second_choice);

/* "Small / Blue", at most 1000 bytes; "" without options. */
const char *catalog_variant_title(struct sk_arena *arena, const struct catalog_variant *variant);
bool catalog_same_options(const struct catalog_variant *a, const struct catalog_variant *b);

/* The tags of "Anchor, Gold, ,Gold": trimmed, without empty ones, each once. At most
 * CATALOG_TAGS_MAX; what is longer than a title is left out. */
int catalog_tags_split(struct sk_arena *arena, const char *text, const char ***tags);

/* The cursor's text for sk_cursor_make, and back. False where text is not ours for this sort. */
const char *catalog_cursor_encode(struct sk_arena *arena, enum catalog_sort sort,
				  const struct catalog_cursor *cursor);
bool catalog_cursor_decode(struct sk_arena *arena, enum catalog_sort sort, const char *text,
			   struct catalog_cursor *cursor);

/* The entity tag of a product's JSON: its version, then a digest, since the stock
 * level changes the answer but not the version. */
const char *catalog_product_tag(struct sk_arena *arena, const struct catalog_product *product,
				const char *json);
/* Whether a write with this If-Match (NULL: none) may change a product of this version.
 * Only the version of the tag counts: what a sale did to the level in between
 * is not what a member of staff would overwrite. */
bool catalog_if_match(const char *if_match, int64_t version);

/* Whether two products are the same to whoever reads them or counts their first
 * stock; ids, versions, times and levels are left aside. */
bool catalog_product_same(const struct catalog_product *a, const struct catalog_product *b);

int64_t catalog_lowest_price(const struct catalog_product *product);
struct catalog_variant *catalog_find_sku(const struct catalog_product *product, const char *sku);
bool catalog_url_valid(const char *url);
bool catalog_utf8_valid(const char *text, size_t len);

/* ---- product.c: products as JSON ---- */

/* Reads the fields that are there into product and leaves the others as they are.
 * creating: title and variants are required. Wrong fields go to fields->errors. */
void catalog_product_decode(struct sk_fields *fields, struct sk_arena *arena, bool creating,
			    struct catalog_product *product);
/* Checks what only the whole product shows: its currency, SKUs (made where missing), options. */
void catalog_product_complete(struct sk_fields *fields, struct sk_arena *arena,
			      const char *currency, struct catalog_product *product);
/* The arrays alone, as store.c selects them: {tags, images, variants}. */
SK_MUST_CHECK enum sk_status catalog_parts_decode(struct sk_context *context, const char *json,
						  struct catalog_product *product);
void catalog_product_write(struct sk_json *json, const struct catalog_product *product);
/* {"Size":"Small"} */
const char *catalog_options_json(struct sk_arena *arena, const struct catalog_variant *variant);

/* ---- store.c: PostgreSQL ---- */

/* key is an id or a slug. SK_NOT_FOUND for deleted ones. */
SK_MUST_CHECK enum sk_status catalog_store_find(struct sk_pg *pg, struct sk_context *context,
						const char *key, struct catalog_product *product);
SK_MUST_CHECK enum sk_status catalog_store_list(struct sk_pg *pg, struct sk_context *context,
						const struct catalog_query *query,
						struct catalog_page *page);
SK_MUST_CHECK enum sk_status catalog_store_categories(struct sk_pg *pg, struct sk_context *context,
						      struct catalog_category **list, int *count);

/* The same inside a transaction, locked against other writers. */
SK_MUST_CHECK enum sk_status catalog_store_lock(struct sk_tx *tx, const char *key,
						struct catalog_product *product);
/* Every product there is of these slugs, locked in the order of their ids. */
SK_MUST_CHECK enum sk_status catalog_store_lock_slugs(struct sk_tx *tx, const char *const *slugs,
						      size_t count,
						      struct catalog_product **products,
						      int *found);
/* The next max products after that id ("": the first), deleted ones with them, which do not change
 * until the end of the transaction. */
SK_MUST_CHECK enum sk_status catalog_store_hold_page(struct sk_tx *tx, const char *after, int max,
						     struct catalog_product **products, int *found);
/* Lets one import at a time go on. */
SK_MUST_CHECK enum sk_status catalog_store_lock_imports(struct sk_tx *tx);

/* A new product with version 1. SK_CONFLICT ("slug_taken", "sku_taken"). */
SK_MUST_CHECK enum sk_status catalog_store_insert(struct sk_tx *tx,
						  const struct catalog_product *product);
/* All of a product that is locked, with product->version. SK_CONFLICT ("sku_taken"). */
SK_MUST_CHECK enum sk_status catalog_store_update(struct sk_tx *tx,
						  const struct catalog_product *product);
/* Leaves the tombstone with product->version, and gives its SKUs back. */
SK_MUST_CHECK enum sk_status catalog_store_delete(struct sk_tx *tx,
						  const struct catalog_product *product);

struct catalog_owner {
	const char *sku, *product_id;
};
/* Who has which of these SKUs, in the order of the SKUs. */
SK_MUST_CHECK enum sk_status catalog_store_owners(struct sk_tx *tx, const char *const *skus,
						  size_t count, struct catalog_owner **owners,
						  int *found);

struct catalog_level {
	const char *sku;
	int64_t available, version;
};
/* Notes the level where it is newer than what is known. *id and *slug are of the
 * product that shows it; NULL where there is none or nothing changed. */
SK_MUST_CHECK enum sk_status catalog_store_level(struct sk_tx *tx,
						 const struct catalog_level *level, const char **id,
						 const char **slug);

/* ---- cache.c: Valkey ---- */

/* An answer ready to be sent. */
struct catalog_answer {
	const char *tag, *json;
	size_t len;
};

/* What is asked, and who can answer where the cache cannot. */
struct catalog_question {
	const char *key;	    /* "product:<id>" */
	const char *generation_key; /* names the generation that the entry must be of */
	int ttl_s;
	enum sk_status (*load)(struct catalog_service *service, struct sk_context *context,
			       const void *arg, struct catalog_answer *answer);
	const void *arg;
};

struct catalog_question catalog_question_product(struct sk_arena *arena, const char *key);
struct catalog_question catalog_question_list(struct sk_arena *arena, const char *words);

SK_MUST_CHECK enum sk_status catalog_cache_read(struct catalog_service *service,
						struct sk_context *context,
						const struct catalog_question *question,
						struct catalog_answer *answer);

/* What changed: one product's answers, perhaps the lists besides, or everything. */
struct catalog_forgetting {
	const char *id, *slug; /* NULL: everything */
	bool lists;
};

/* Never fails: what does not get through is owed, and paid by the sweep. */
void catalog_cache_forget(struct catalog_service *service, struct sk_context *context,
			  const struct catalog_forgetting *what);

/* The sweep that makes good for invalidations that did not get through. */
SK_MUST_CHECK enum sk_status catalog_cache_settle(struct sk_context *context, void *app,
						  bool *again);

/* ---- invalidation.c: after the commit of tx ---- */

void catalog_forget_level(struct catalog_service *service, struct sk_tx *tx, const char *id,
			  const char *slug);
void catalog_forget_product(struct catalog_service *service, struct sk_tx *tx,
			    const struct catalog_product *product);
void catalog_forget_all(struct catalog_service *service, struct sk_tx *tx);

/* ---- events.c ---- */

/* Adds catalog.product.<id> with the whole product to the outbox. */
SK_MUST_CHECK enum sk_status catalog_publish(struct sk_tx *tx,
					     const struct catalog_product *product);
/* sk_retell_fn of the stream: products by id. */
SK_MUST_CHECK enum sk_status catalog_retell(struct sk_tx *tx, const char *after, int max,
					    const char **last);

#endif
