/* The catalogue in PostgreSQL, and the only SQL of the service.
 *
 * A product is read by one statement: its variants and images come as JSON inside its
 * row. Three statements would take three round trips, and without a snapshot around
 * them could tear a product that is being changed. Writers lock the product's
 * row first (FOR UPDATE), so that two changes of one product follow each other and
 * its version counts them. */
#include "catalog.h"

#include <string.h>

/* Columns of read_product, from the table p. */
#define PRODUCT_COLUMNS                                                                            \
	"p.id, p.slug, p.title, p.description_html, p.vendor, p.category, p.status, p.version,"    \
	" p.created_at, p.updated_at,"                                                             \
	" json_build_object("                                                                      \
	"  'tags', p.tags,"                                                                        \
	"  'images', (SELECT coalesce(json_agg(json_build_object('src', i.src, 'alt', i.alt)"      \
	"                                      ORDER BY i.position), '[]')"                        \
	"             FROM image i WHERE i.product_id = p.id),"                                    \
	"  'variants', (SELECT coalesce(json_agg(json_build_object("                               \
	"                 'sku', v.sku, 'title', v.title, 'options', v.options,"                   \
	"                 'price', json_build_object('amount', v.price_minor,"                     \
	"                                            'currency', v.currency),"                     \
	"                 'compare_at_price', CASE WHEN v.compare_at_minor IS NOT NULL THEN"       \
	"                     json_build_object('amount', v.compare_at_minor,"                     \
	"                                       'currency', v.currency) END,"                      \
	"                 'barcode', v.barcode, 'weight_grams', v.weight_grams,"                   \
	"                 'initial_quantity', v.initial_quantity,"                                 \
	"                 'available', greatest(coalesce(l.available, 0), 0))"                     \
	"               ORDER BY v.position), '[]')"                                               \
	"               FROM variant v LEFT JOIN level l USING (sku)"                              \
	"               WHERE v.product_id = p.id)) AS parts"

#define COLUMN_PARTS 10
#define COLUMN_KEY   11 /* of lists: the place in the order */

static const struct sk_sql SQL_FIND_ID = {
	"product_find_id",
	"SELECT " PRODUCT_COLUMNS " FROM product p WHERE p.id = $1::uuid AND p.status <> 'deleted'"
};

static const struct sk_sql SQL_FIND_SLUG = {
	"product_find_slug", "SELECT " PRODUCT_COLUMNS
			     " FROM product p WHERE p.slug = $1::text AND p.status <> 'deleted'"
};

/* A lock is a statement of its own: one that waited for it and read besides would read the variants
 * as they were before whoever held it, and write them back. */
static const struct sk_sql SQL_LOCK_ID = {
	"product_lock_id",
	"SELECT FROM product WHERE id = $1::uuid FOR UPDATE",
};

static const struct sk_sql SQL_LOCK_SLUG = {
	"product_lock_slug",
	"SELECT FROM product WHERE slug = $1::text FOR UPDATE",
};

static const struct sk_sql SQL_LOCK_SLUGS = {
	"product_lock_slugs",
	"SELECT id FROM product WHERE slug = ANY($1::text[]) AND status <> 'deleted'"
	" ORDER BY id FOR UPDATE",
};

/* The next page of all products, tombstones with them. */
static const struct sk_sql SQL_HOLD_PAGE = {
	"product_hold_page",
	"SELECT id FROM product WHERE $1 = '' OR id > nullif($1, '')::uuid ORDER BY id LIMIT $2"
	" FOR SHARE"
};

static const struct sk_sql SQL_READ_ALL = {
	"product_read_all",
	"SELECT " PRODUCT_COLUMNS " FROM product p WHERE p.id = ANY($1::uuid[]) ORDER BY p.id"
};

/* $1 status or 'all', $2 category, $3 words, $4 and $5 the cursor's key and id, $6 limit */
#define LIST_FROM                                                                                  \
	" FROM product p"                                                                          \
	" WHERE CASE WHEN $1::text = 'all' THEN p.status <> 'deleted' ELSE p.status = $1 END"      \
	" AND ($2::text IS NULL OR p.category = $2 OR starts_with(p.category, $2 || ' > '))"       \
	" AND ($3::text IS NULL OR p.search @@ websearch_to_tsquery('english', $3))"

#define TITLE_KEY "left(lower(p.title), 80) COLLATE \"C\""

static const struct sk_sql SQL_LIST[] = {
	[CATALOG_NEWEST] = { "product_list_newest", "SELECT " PRODUCT_COLUMNS ", ''" LIST_FROM
						    " AND ($4::text IS NULL OR p.id < $5::uuid)"
						    " ORDER BY p.id DESC LIMIT $6::bigint" },
	[CATALOG_BY_TITLE] = { "product_list_title",
			       "SELECT " PRODUCT_COLUMNS ", left(lower(p.title), 80)" LIST_FROM
			       " AND ($4::text IS NULL OR (" TITLE_KEY ", p.id) > ($4, $5::uuid))"
			       " ORDER BY " TITLE_KEY ", p.id LIMIT $6::bigint" },
	[CATALOG_CHEAPEST] = { "product_list_cheapest",
			       "SELECT " PRODUCT_COLUMNS ", p.price_minor" LIST_FROM
			       " AND ($4::text IS NULL OR (p.price_minor, p.id) > "
			       "($4::text::bigint, $5::uuid))"
			       " ORDER BY p.price_minor, p.id LIMIT $6::bigint" },
	[CATALOG_DEAREST] = { "product_list_dearest",
			      "SELECT " PRODUCT_COLUMNS ", p.price_minor" LIST_FROM
			      " AND ($4::text IS NULL OR (p.price_minor, p.id) < "
			      "($4::text::bigint, $5::uuid))"
			      " ORDER BY p.price_minor DESC, p.id DESC LIMIT $6::bigint" },
};

static const struct sk_sql SQL_CATEGORIES = {
	"category_list", "SELECT category, count(*) FROM product"
			 " WHERE status = 'active' AND category <> ''"
			 " GROUP BY category ORDER BY lower(category) COLLATE \"C\", category"
};

static const struct sk_sql SQL_LOCK_IMPORTS = {
	"import_lock", "SELECT pg_advisory_xact_lock(hashtext('souk catalog import'))"
};

static const struct sk_sql SQL_INSERT = {
	"product_insert",
	"INSERT INTO product (id, slug, title, description_html, vendor, category, tags, status,"
	"                     price_minor, version, keywords)"
	" VALUES ($1::uuid, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text[], $8::text,"
	"         $9::bigint, $10::bigint, concat_ws(' ', $5, $6, array_to_string($7, ' ')))"
	" ON CONFLICT (slug) WHERE status <> 'deleted' DO NOTHING"
};

static const struct sk_sql SQL_UPDATE = {
	"product_update",
	"UPDATE product SET slug = $2::text, title = $3::text, description_html = $4::text,"
	" vendor = $5::text, category = $6::text, tags = $7::text[], status = $8::text,"
	" price_minor = $9::bigint, version = $10::bigint, updated_at = now(),"
	" keywords = concat_ws(' ', $5, $6, array_to_string($7, ' '))"
	" WHERE id = $1::uuid"
};

static const struct sk_sql SQL_DELETE = {
	"product_delete",
	"UPDATE product SET status = 'deleted', version = $2::bigint, updated_at = now()"
	" WHERE id = $1::uuid"
};

static const struct sk_sql SQL_VARIANTS_REMOVE = {
	"variant_remove_others",
	"DELETE FROM variant WHERE product_id = $1::uuid AND sku <> ALL($2::text[])"
};

/* A SKU of another product is left alone, and the caller counts one row too few. */
static const struct sk_sql SQL_VARIANTS_PUT = {
	"variant_put",
	"INSERT INTO variant (sku, product_id, position, title, options, price_minor, currency,"
	"                     compare_at_minor, barcode, weight_grams, initial_quantity)"
	" SELECT sku, $1::uuid, position, title, options::json, price, $10::text,"
	"        nullif(compare_at, 0), barcode, weight, quantity"
	" FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[],"
	"             $8::bigint[], $9::bigint[]) WITH ORDINALITY"
	"      AS v (sku, title, options, price, compare_at, barcode, weight, quantity, position)"
	" ON CONFLICT (sku) DO UPDATE SET position = excluded.position, title = excluded.title,"
	"  options = excluded.options, price_minor = excluded.price_minor,"
	"  currency = excluded.currency, compare_at_minor = excluded.compare_at_minor,"
	"  barcode = excluded.barcode, weight_grams = excluded.weight_grams,"
	"  initial_quantity = excluded.initial_quantity"
	"  WHERE variant.product_id = excluded.product_id"
};

static const struct sk_sql SQL_IMAGES_REMOVE = { "image_remove",
						 "DELETE FROM image WHERE product_id = $1::uuid" };

static const struct sk_sql SQL_IMAGES_PUT = {
	"image_put",
	"INSERT INTO image (product_id, position, src, alt)"
	" SELECT $1::uuid, position, src, alt"
	" FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS i (src, alt, position)"
};

static const struct sk_sql SQL_OWNERS = {
	"variant_owners", "SELECT sku, product_id FROM variant WHERE sku = ANY($1::text[])"
			  " ORDER BY sku COLLATE \"C\""
};

static const struct sk_sql SQL_LEVEL_PUT = {
	"level_put",
	"WITH changed AS ("
	" INSERT INTO level (sku, available, version) VALUES ($1::text, $2::bigint, $3::bigint)"
	" ON CONFLICT (sku) DO UPDATE SET available = excluded.available, version = "
	"excluded.version"
	"  WHERE level.version < excluded.version"
	" RETURNING sku)"
	" SELECT p.id, p.slug FROM changed JOIN variant USING (sku) JOIN product p ON p.id = "
	"product_id"
};

/* ---- reading ---- */

static enum sk_status read_product(struct sk_context *context, const struct sk_rows *rows, int row,
				   struct catalog_product *product)
{
	const char *status = sk_row_text(rows, row, 6);

	*product = (struct catalog_product) {
		.id = sk_row_text(rows, row, 0),
		.slug = sk_row_text(rows, row, 1),
		.title = sk_row_text(rows, row, 2),
		.description_html = sk_row_text(rows, row, 3),
		.vendor = sk_row_text(rows, row, 4),
		.category = sk_row_text(rows, row, 5),
		.version = sk_row_int(rows, row, 7),
		.created_us = sk_row_time_us(rows, row, 8),
		.updated_us = sk_row_time_us(rows, row, 9),
	};
	if (strcmp(status, catalog_status_name(CATALOG_DELETED)) == 0)
		product->status = CATALOG_DELETED;
	else if (!catalog_status_parse(status, &product->status))
		return sk_fail(context, SK_INTERNAL, "stored_product", "product %s has status %s",
			       product->id, status);
	return catalog_parts_decode(context, sk_row_text(rows, row, COLUMN_PARTS), product);
}

static enum sk_status read_one(struct sk_context *context, const struct sk_rows *rows,
			       struct catalog_product *product)
{
	if (rows->count == 0)
		return sk_fail(context, SK_NOT_FOUND, "product_not_found",
			       "there is no such product");
	return read_product(context, rows, 0, product);
}

static enum sk_status read_all(struct sk_context *context, const struct sk_rows *rows, int count,
			       struct catalog_product **products)
{
	enum sk_status status = SK_OK;

	*products = sk_arena_array(context->arena, (size_t)count + 1, sizeof(**products));
	for (int i = 0; i < count && status == SK_OK; i++)
		status = read_product(context, rows, i, &(*products)[i]);
	return status;
}

enum sk_status catalog_store_find(struct sk_pg *pg, struct sk_context *context, const char *key,
				  struct catalog_product *product)
{
	struct sk_rows rows;
	enum sk_status status = sk_pg_run(pg, context,
					  sk_id_valid(key) ? &SQL_FIND_ID : &SQL_FIND_SLUG,
					  SK_PARAMS(sk_text(key)), &rows);

	return status == SK_OK ? read_one(context, &rows, product) : status;
}

enum sk_status catalog_store_list(struct sk_pg *pg, struct sk_context *context,
				  const struct catalog_query *query, struct catalog_page *page)
{
	struct sk_rows rows;
	enum sk_status status = sk_pg_run(
		pg, context, &SQL_LIST[query->sort],
		SK_PARAMS(sk_text(query->status), sk_text(query->category), sk_text(query->text),
			  sk_text(query->after.key), sk_text(query->after.id),
			  sk_int(query->limit + 1)),
		&rows);

	if (status != SK_OK)
		return status;
	page->more = rows.count > query->limit;
	page->count = page->more ? query->limit : rows.count;
	page->keys = sk_arena_array(context->arena, (size_t)page->count + 1, sizeof(*page->keys));
	for (int i = 0; i < page->count; i++)
		page->keys[i] = sk_row_text(&rows, i, COLUMN_KEY);
	return read_all(context, &rows, page->count, &page->products);
}

enum sk_status catalog_store_categories(struct sk_pg *pg, struct sk_context *context,
					struct catalog_category **list, int *count)
{
	struct sk_rows rows;
	enum sk_status status = sk_pg_run(pg, context, &SQL_CATEGORIES, SK_NO_PARAMS, &rows);

	if (status != SK_OK)
		return status;
	*count = rows.count;
	*list = sk_arena_array(context->arena, (size_t)rows.count + 1, sizeof(**list));
	for (int i = 0; i < rows.count; i++)
		(*list)[i] = (struct catalog_category) { sk_row_text(&rows, i, 0),
							 sk_row_int(&rows, i, 1) };
	return SK_OK;
}

enum sk_status catalog_store_lock(struct sk_tx *tx, const char *key,
				  struct catalog_product *product)
{
	bool by_id = sk_id_valid(key);
	struct sk_rows rows;
	enum sk_status status = sk_tx_run(tx, by_id ? &SQL_LOCK_ID : &SQL_LOCK_SLUG,
					  SK_PARAMS(sk_text(key)), NULL);

	if (status == SK_OK)
		status = sk_tx_run(tx, by_id ? &SQL_FIND_ID : &SQL_FIND_SLUG,
				   SK_PARAMS(sk_text(key)), &rows);
	return status == SK_OK ? read_one(sk_tx_context(tx), &rows, product) : status;
}

/* The products of the ids that a lock gave, in their order. */
static enum sk_status read_locked(struct sk_tx *tx, const struct sk_rows *locked,
				  struct catalog_product **products, int *found)
{
	struct sk_arena *arena = sk_tx_arena(tx);
	const char **ids = sk_arena_array(arena, (size_t)locked->count + 1, sizeof(*ids));
	struct sk_rows rows;
	enum sk_status status;

	for (int i = 0; i < locked->count; i++)
		ids[i] = sk_row_text(locked, i, 0);
	status = sk_tx_run(tx, &SQL_READ_ALL,
			   SK_PARAMS(sk_text_array(arena, ids, (size_t)locked->count)), &rows);
	if (status != SK_OK)
		return status;
	*found = rows.count;
	return read_all(sk_tx_context(tx), &rows, rows.count, products);
}

enum sk_status catalog_store_lock_slugs(struct sk_tx *tx, const char *const *slugs, size_t count,
					struct catalog_product **products, int *found)
{
	struct sk_rows rows;
	enum sk_status status = sk_tx_run(tx, &SQL_LOCK_SLUGS,
					  SK_PARAMS(sk_text_array(sk_tx_arena(tx), slugs, count)),
					  &rows);

	return status == SK_OK ? read_locked(tx, &rows, products, found) : status;
}

enum sk_status catalog_store_hold_page(struct sk_tx *tx, const char *after, int max,
				       struct catalog_product **products, int *found)
{
	struct sk_rows rows;
	enum sk_status status = sk_tx_run(tx, &SQL_HOLD_PAGE,
					  SK_PARAMS(sk_text(after), sk_int(max)), &rows);

	return status == SK_OK ? read_locked(tx, &rows, products, found) : status;
}

enum sk_status catalog_store_lock_imports(struct sk_tx *tx)
{
	return sk_tx_run(tx, &SQL_LOCK_IMPORTS, SK_NO_PARAMS, NULL);
}

enum sk_status catalog_store_owners(struct sk_tx *tx, const char *const *skus, size_t count,
				    struct catalog_owner **owners, int *found)
{
	struct sk_rows rows;
	struct sk_arena *arena = sk_tx_arena(tx);
	enum sk_status status = sk_tx_run(tx, &SQL_OWNERS,
					  SK_PARAMS(sk_text_array(arena, skus, count)), &rows);

	if (status != SK_OK)
		return status;
	*found = rows.count;
	*owners = sk_arena_array(arena, (size_t)rows.count + 1, sizeof(**owners));
	for (int i = 0; i < rows.count; i++)
		(*owners)[i] = (struct catalog_owner) { sk_row_text(&rows, i, 0),
							sk_row_text(&rows, i, 1) };
	return SK_OK;
}

/* ---- writing ---- */

/* One variant's fields after the other, as the columns that unnest takes. */
struct variant_columns {
	const char **skus, **titles, **options, **barcodes;
	int64_t *prices, *compare_at, *weights, *quantities;
};

static struct variant_columns variant_columns(struct sk_arena *arena,
					      const struct catalog_product *product)
{
	size_t n = (size_t)product->variants_count;
	struct variant_columns c = {
		.skus = sk_arena_array(arena, n + 1, sizeof(char *)),
		.titles = sk_arena_array(arena, n + 1, sizeof(char *)),
		.options = sk_arena_array(arena, n + 1, sizeof(char *)),
		.barcodes = sk_arena_array(arena, n + 1, sizeof(char *)),
		.prices = sk_arena_array(arena, n + 1, sizeof(int64_t)),
		.compare_at = sk_arena_array(arena, n + 1, sizeof(int64_t)),
		.weights = sk_arena_array(arena, n + 1, sizeof(int64_t)),
		.quantities = sk_arena_array(arena, n + 1, sizeof(int64_t)),
	};

	for (size_t i = 0; i < n; i++) {
		const struct catalog_variant *variant = &product->variants[i];

		c.skus[i] = variant->sku;
		c.titles[i] = variant->title;
		c.options[i] = catalog_options_json(arena, variant);
		c.barcodes[i] = variant->barcode;
		c.prices[i] = variant->price.minor;
		c.compare_at[i] = variant->compare_at_minor;
		c.weights[i] = variant->weight_grams;
		c.quantities[i] = variant->initial_quantity;
	}
	return c;
}

static enum sk_status add_variants(struct sk_tx *tx, const struct catalog_product *product)
{
	struct sk_arena *arena = sk_tx_arena(tx);
	size_t n = (size_t)product->variants_count;
	struct variant_columns c = variant_columns(arena, product);
	struct sk_rows rows;
	enum sk_status status = sk_tx_run(
		tx, &SQL_VARIANTS_PUT,
		SK_PARAMS(sk_text(product->id), sk_text_array(arena, c.skus, n),
			  sk_text_array(arena, c.titles, n), sk_text_array(arena, c.options, n),
			  sk_int_array(arena, c.prices, n), sk_int_array(arena, c.compare_at, n),
			  sk_text_array(arena, c.barcodes, n), sk_int_array(arena, c.weights, n),
			  sk_int_array(arena, c.quantities, n),
			  sk_text(product->variants[0].price.currency)),
		&rows);

	if (status == SK_OK && rows.affected < product->variants_count)
		return sk_fail(sk_tx_context(tx), SK_CONFLICT, "sku_taken",
			       "a SKU of the product belongs to another product");
	return status;
}

static enum sk_status add_images(struct sk_tx *tx, const struct catalog_product *product)
{
	struct sk_arena *arena = sk_tx_arena(tx);
	size_t n = (size_t)product->images_count;
	const char **src = sk_arena_array(arena, n + 1, sizeof(*src));
	const char **alt = sk_arena_array(arena, n + 1, sizeof(*alt));

	if (n == 0)
		return SK_OK;
	for (size_t i = 0; i < n; i++) {
		src[i] = product->images[i].src;
		alt[i] = product->images[i].alt;
	}
	return sk_tx_run(tx, &SQL_IMAGES_PUT,
			 SK_PARAMS(sk_text(product->id), sk_text_array(arena, src, n),
				   sk_text_array(arena, alt, n)),
			 NULL);
}

/* Removes the images, and every variant but those whose SKU stays. */
static enum sk_status clear_parts(struct sk_tx *tx, const struct catalog_product *product,
				  int variants_staying)
{
	struct sk_arena *arena = sk_tx_arena(tx);
	size_t n = (size_t)variants_staying;
	const char **skus = sk_arena_array(arena, n + 1, sizeof(*skus));
	enum sk_status status;

	for (size_t i = 0; i < n; i++)
		skus[i] = product->variants[i].sku;
	status = sk_tx_run(tx, &SQL_VARIANTS_REMOVE,
			   SK_PARAMS(sk_text(product->id), sk_text_array(arena, skus, n)), NULL);
	return status == SK_OK
		       ? sk_tx_run(tx, &SQL_IMAGES_REMOVE, SK_PARAMS(sk_text(product->id)), NULL)
		       : status;
}

static enum sk_status put_product(struct sk_tx *tx, const struct sk_sql *sql,
				  const struct catalog_product *product, struct sk_rows *rows)
{
	return sk_tx_run(tx, sql,
			 SK_PARAMS(sk_text(product->id), sk_text(product->slug),
				   sk_text(product->title), sk_text(product->description_html),
				   sk_text(product->vendor), sk_text(product->category),
				   sk_text_array(sk_tx_arena(tx), product->tags,
						 (size_t)product->tags_count),
				   sk_text(catalog_status_name(product->status)),
				   sk_int(catalog_lowest_price(product)), sk_int(product->version)),
			 rows);
}

enum sk_status catalog_store_insert(struct sk_tx *tx, const struct catalog_product *product)
{
	struct sk_rows rows;
	enum sk_status status = put_product(tx, &SQL_INSERT, product, &rows);

	if (status == SK_OK && rows.affected == 0)
		return sk_fail(sk_tx_context(tx), SK_CONFLICT, "slug_taken",
			       "there is already a product at %s", product->slug);
	if (status == SK_OK)
		status = add_variants(tx, product);
	return status == SK_OK ? add_images(tx, product) : status;
}

enum sk_status catalog_store_update(struct sk_tx *tx, const struct catalog_product *product)
{
	enum sk_status status = put_product(tx, &SQL_UPDATE, product, NULL);

	if (status == SK_OK)
		status = clear_parts(tx, product, product->variants_count);
	if (status == SK_OK)
		status = add_variants(tx, product);
	return status == SK_OK ? add_images(tx, product) : status;
}

enum sk_status catalog_store_delete(struct sk_tx *tx, const struct catalog_product *product)
{
	enum sk_status status = sk_tx_run(
		tx, &SQL_DELETE, SK_PARAMS(sk_text(product->id), sk_int(product->version)), NULL);

	return status == SK_OK ? clear_parts(tx, product, 0) : status;
}

enum sk_status catalog_store_level(struct sk_tx *tx, const struct catalog_level *level,
				   const char **id, const char **slug)
{
	struct sk_rows rows;
	enum sk_status status = sk_tx_run(
		tx, &SQL_LEVEL_PUT,
		SK_PARAMS(sk_text(level->sku), sk_int(level->available), sk_int(level->version)),
		&rows);

	*id = *slug = NULL;
	if (status == SK_OK && rows.count > 0) {
		*id = sk_row_text(&rows, 0, 0);
		*slug = sk_row_text(&rows, 0, 1);
	}
	return status;
}
