/* What the catalogue tells and hears. */
#include "catalog.h"

#include "souk/catalog/v1/events.pb-c.h"
#include "souk/inventory/v1/events.pb-c.h"

/* ---- heard ---- */

/* inventory.level.*: how many of a SKU can be sold. The product's version stays: the
 * level is inventory's truth, and telling it again would make a loop of two services. */
static enum sk_status on_stock_level(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Inventory__V1__StockLevel *told =
		(const Souk__Inventory__V1__StockLevel *)message->body;
	const struct catalog_level level = { told->sku, told->available, told->version };
	const char *id, *slug;
	enum sk_status status = catalog_store_level(tx, &level, &id, &slug);

	if (status == SK_OK && id)
		catalog_forget_level(app, tx, id, slug);
	return status;
}

const struct sk_consumer CATALOG_CONSUMERS[] = {
	{ "catalog-levels", "inventory", "inventory.level.*",
	  (const struct sk_handler[]) {
		  { &souk__inventory__v1__stock_level__descriptor, on_stock_level },
		  { NULL, NULL },
	  } },
	{ NULL, NULL, NULL, NULL },
};

/* ---- told ---- */

static Souk__Catalog__V1__ProductStatus told_status(enum catalog_status status)
{
	switch (status) {
	case CATALOG_DRAFT:
		return SOUK__CATALOG__V1__PRODUCT_STATUS__PRODUCT_STATUS_DRAFT;
	case CATALOG_ACTIVE:
		return SOUK__CATALOG__V1__PRODUCT_STATUS__PRODUCT_STATUS_ACTIVE;
	case CATALOG_ARCHIVED:
		return SOUK__CATALOG__V1__PRODUCT_STATUS__PRODUCT_STATUS_ARCHIVED;
	case CATALOG_DELETED:
		return SOUK__CATALOG__V1__PRODUCT_STATUS__PRODUCT_STATUS_DELETED;
	}
	return SOUK__CATALOG__V1__PRODUCT_STATUS__PRODUCT_STATUS_UNSPECIFIED;
}

/* protobuf-c's structs want char *, so texts are copied rather than cast. */
static char *copied(struct sk_arena *arena, const char *text)
{
	return sk_arena_strdup(arena, text);
}

static Souk__Catalog__V1__Variant *told_variant(struct sk_arena *arena,
						const struct catalog_variant *variant)
{
	Souk__Catalog__V1__Variant *told = sk_arena_alloc(arena, sizeof(*told));

	souk__catalog__v1__variant__init(told);
	told->sku = copied(arena, variant->sku);
	told->title = copied(arena, variant->title);
	told->price_minor = variant->price.minor;
	told->currency = copied(arena, variant->price.currency);
	told->weight_grams = variant->weight_grams;
	told->initial_quantity = variant->initial_quantity;
	return told;
}

/* A version of a product is told once, under an id that follows from it: who hears it again because
 * the stream was lost knows it.
 *
 * The first stock goes with every event and not only with the first: the stream keeps
 * the last message of a product alone, and inventory may not have seen the first. */
enum sk_status catalog_publish(struct sk_tx *tx, const struct catalog_product *product)
{
	struct sk_arena *arena = sk_tx_arena(tx);
	Souk__Catalog__V1__ProductChanged told;
	bool gone = product->status == CATALOG_DELETED;

	souk__catalog__v1__product_changed__init(&told);
	told.product_id = copied(arena, product->id);
	told.version = product->version;
	told.status = told_status(product->status);
	told.slug = copied(arena, product->slug);
	told.title = copied(arena, product->title);
	told.vendor = copied(arena, product->vendor);
	told.category = copied(arena, product->category);
	told.n_variants = gone ? 0 : (size_t)product->variants_count;
	told.variants = sk_arena_array(arena, told.n_variants + 1, sizeof(*told.variants));
	for (size_t i = 0; i < told.n_variants; i++)
		told.variants[i] = told_variant(arena, &product->variants[i]);
	return sk_outbox_add(
		tx,
		&(struct sk_event) {
			.subject = sk_arena_printf(arena, "catalog.product.%s", product->id),
			.body = &told.base,
			.id = sk_id_derive(arena, sk_arena_printf(arena, "catalog.product %s %lld",
								  product->id,
								  (long long)product->version)),
		});
}

/* The products are held, so that no newer version can be told before the one that is told here: the
 * compacted stream keeps what came last. */
enum sk_status catalog_retell(struct sk_tx *tx, const char *after, int max, const char **last)
{
	struct catalog_product *products = NULL;
	int found = 0;
	enum sk_status status = catalog_store_hold_page(tx, after, max, &products, &found);

	for (int i = 0; i < found && status == SK_OK; i++)
		status = catalog_publish(tx, &products[i]);
	*last = found == max ? products[found - 1].id : NULL;
	return status;
}
