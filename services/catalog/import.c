/* What was read from a file becomes what is sold.
 *
 * The whole file is one transaction, with its Idempotency-Key: a report that was lost on its
 * way can be asked for again, and a process killed in the middle has imported nothing.
 * Products are read and locked BATCH at a time, since each answer of the database costs memory
 * until the end. Imports follow each other (an advisory lock), so that two of
 * them never take each other's slugs. */
#include "shopify.h"

#include <stdlib.h>
#include <string.h>

#include "sk_audit.h"

#define BATCH 50

/* The products at hand, and what the database knows of them. */
struct batch {
	struct sk_tx *tx;
	struct catalog_import *import;
	struct catalog_import_product **products;
	int count;
	struct catalog_product *existing;
	int existing_count;
	struct catalog_owner *owners; /* sorted by SKU */
	int owners_count;
};

static const char *second_choice(const struct batch *batch, const struct catalog_product *product,
				 const struct catalog_variant *variant)
{
	return catalog_sku_make(sk_tx_arena(batch->tx), product->slug, variant, true);
}

/* ---- what the database knows ---- */

static enum sk_status load_existing(struct batch *batch)
{
	const char *slugs[BATCH];

	for (int i = 0; i < batch->count; i++)
		slugs[i] = batch->products[i]->product.slug;
	return catalog_store_lock_slugs(batch->tx, slugs, (size_t)batch->count, &batch->existing,
					&batch->existing_count);
}

/* Every SKU that the batch has or might take. */
static enum sk_status load_owners(struct batch *batch)
{
	size_t most = 0, count = 0;
	const char **skus;

	for (int i = 0; i < batch->count; i++)
		most += 2 * (size_t)batch->products[i]->product.variants_count;
	skus = sk_arena_array(sk_tx_arena(batch->tx), most + 1, sizeof(*skus));
	for (int i = 0; i < batch->count; i++) {
		const struct catalog_import_product *of = batch->products[i];

		for (int v = 0; v < of->product.variants_count; v++) {
			skus[count++] = of->product.variants[v].sku;
			if (batch->import->lines[of->variant_lines[v]].sku_made)
				skus[count++] = second_choice(batch, &of->product,
							      &of->product.variants[v]);
		}
	}
	return catalog_store_owners(batch->tx, skus, count, &batch->owners, &batch->owners_count);
}

static const struct catalog_product *existing_of(const struct batch *batch, const char *slug)
{
	for (int i = 0; i < batch->existing_count; i++)
		if (strcmp(batch->existing[i].slug, slug) == 0)
			return &batch->existing[i];
	return NULL;
}

static int compare_owners(const void *a, const void *b)
{
	return strcmp(((const struct catalog_owner *)a)->sku,
		      ((const struct catalog_owner *)b)->sku);
}

/* Whether the SKU is free for, or already of, the product (NULL: a new one). */
enum owned { FREE, OURS, TAKEN };

static enum owned owner_of(const struct batch *batch, const char *sku,
			   const struct catalog_product *existing)
{
	const struct catalog_owner *owner = bsearch(&(struct catalog_owner) { .sku = sku },
						    batch->owners, (size_t)batch->owners_count,
						    sizeof(*batch->owners), compare_owners);

	if (!owner)
		return FREE;
	return existing && strcmp(owner->product_id, existing->id) == 0 ? OURS : TAKEN;
}

/* ---- one product ---- */

/* Settles the SKU of a variant. One that we made may give way to the second choice;
 * where the product has that already, it stays: a SKU is stable. False where it is taken. */
static bool settle_sku(const struct batch *batch, const struct catalog_product *product,
		       const struct catalog_product *existing, struct catalog_variant *variant,
		       bool made)
{
	const char *second = made ? second_choice(batch, product, variant) : NULL;

	if (second && owner_of(batch, second, existing) == OURS)
		variant->sku = second;
	if (owner_of(batch, variant->sku, existing) != TAKEN)
		return true;
	if (!second || owner_of(batch, second, existing) == TAKEN)
		return false;
	variant->sku = second;
	return true;
}

static void settle_skus(const struct batch *batch, struct catalog_import_product *of,
			const struct catalog_product *existing)
{
	for (int i = 0; i < of->product.variants_count; i++) {
		struct catalog_import_line *line = &batch->import->lines[of->variant_lines[i]];
		struct catalog_variant *variant = &of->product.variants[i];

		if (!settle_sku(batch, &of->product, existing, variant, line->sku_made))
			catalog_import_reject(line, of, "the SKU belongs to another product");
		line->sku = variant->sku;
	}
	catalog_import_settle(batch->import, of);
}

/* Whether the variant's SKU or options are among the product's. */
static bool has_variant(const struct catalog_product *product,
			const struct catalog_variant *variant)
{
	for (int i = 0; i < product->variants_count; i++)
		if (catalog_same_options(&product->variants[i], variant))
			return true;
	return catalog_find_sku(product, variant->sku) != NULL;
}

/* Adds the variants that the file does not name, behind those that it does. */
static void keep_others(struct sk_arena *arena, struct catalog_product *product,
			const struct catalog_product *existing)
{
	struct catalog_variant *all = sk_arena_array(arena, CATALOG_VARIANTS_MAX,
						     sizeof(*product->variants));

	memcpy(all, product->variants, (size_t)product->variants_count * sizeof(*all));
	product->variants = all;
	for (int i = 0; i < existing->variants_count; i++)
		if (product->variants_count < CATALOG_VARIANTS_MAX &&
		    !has_variant(product, &existing->variants[i]))
			all[product->variants_count++] = existing->variants[i];
}

static enum sk_status write_product(struct sk_tx *tx, struct catalog_product *product,
				    const struct catalog_product *existing,
				    struct catalog_report *report)
{
	enum sk_status status;

	if (existing && catalog_product_same(product, existing)) {
		report->unchanged++;
		return SK_OK;
	}
	product->id = existing ? existing->id : sk_id_make(sk_tx_arena(tx));
	product->version = existing ? existing->version + 1 : 1;
	if (existing)
		report->updated++;
	else
		report->created++;
	status = existing ? catalog_store_update(tx, product) : catalog_store_insert(tx, product);
	return status == SK_OK ? catalog_publish(tx, product) : status;
}

static enum sk_status apply_product(struct batch *batch, struct catalog_import_product *of,
				    struct catalog_report *report)
{
	const struct catalog_product *existing = existing_of(batch, of->product.slug);

	if (of->rejected)
		return SK_OK;
	settle_skus(batch, of, existing);
	if (of->rejected)
		return SK_OK;
	if (of->keeps_others && existing)
		keep_others(sk_tx_arena(batch->tx), &of->product, existing);
	return write_product(batch->tx, &of->product, existing, report);
}

static enum sk_status apply_batch(struct batch *batch, struct catalog_report *report)
{
	enum sk_status status = load_existing(batch);

	if (status == SK_OK)
		status = load_owners(batch);
	for (int i = 0; i < batch->count && status == SK_OK; i++)
		status = apply_product(batch, batch->products[i], report);
	return status;
}

/* ---- the whole file ---- */

static void count_lines(const struct catalog_import *import, struct catalog_report *report)
{
	for (int i = 0; i < import->lines_count; i++) {
		const struct catalog_import_line *line = &import->lines[i];

		report->errors += line->rejected != NULL;
		report->variants += !line->rejected && line->sku;
	}
}

static enum sk_status audit_import(struct sk_tx *tx, const struct catalog_report *report)
{
	return sk_audit_action(tx, "product.imported", "catalogue", NULL,
			       sk_arena_printf(sk_tx_arena(tx),
					       "%d products created, %d updated, %d lines rejected",
					       report->created, report->updated, report->errors));
}

enum sk_status catalog_import_apply(struct catalog_service *service, struct sk_tx *tx,
				    struct catalog_import *import, struct catalog_report *report)
{
	enum sk_status status = catalog_store_lock_imports(tx);

	*report = (struct catalog_report) { 0 };
	for (int at = 0; at < import->products_count && status == SK_OK; at += BATCH) {
		int left = import->products_count - at;
		struct batch batch = { .tx = tx,
				       .import = import,
				       .products = import->products + at,
				       .count = left < BATCH ? left : BATCH };

		status = apply_batch(&batch, report);
	}
	if (status != SK_OK)
		return status;
	count_lines(import, report);
	if (report->created + report->updated > 0)
		catalog_forget_all(service, tx);
	return audit_import(tx, report);
}

void catalog_report_write(struct sk_json *json, const struct catalog_import *import,
			  const struct catalog_report *report)
{
	sk_json_begin_object(json, NULL);
	sk_json_int(json, "products_created", report->created);
	sk_json_int(json, "products_updated", report->updated);
	sk_json_int(json, "products_unchanged", report->unchanged);
	sk_json_int(json, "variants", report->variants);
	sk_json_int(json, "errors", report->errors);
	sk_json_begin_array(json, "lines");
	for (int i = 0; i < import->lines_count && i < CATALOG_REPORT_LINES_MAX; i++) {
		const struct catalog_import_line *line = &import->lines[i];

		sk_json_begin_object(json, NULL);
		sk_json_int(json, "line", line->line);
		sk_json_text(json, "handle", line->handle);
		sk_json_text(json, "sku", line->sku);
		sk_json_text(json, "status", line->rejected ? "rejected" : "imported");
		sk_json_text(json, "detail", line->rejected);
		sk_json_end_object(json);
	}
	sk_json_end_array(json);
	sk_json_end_object(json);
}
