/* From lines to products; the rules are in shopify.h. */
#include "shopify.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "row.h"

/* A name and the index it stands for, in a balanced tree (tsearch), which no file can
 * make slow as it could a hash table. */
struct named_index {
	const char *name;
	int index;
};

struct reader {
	struct catalog_row row;
	struct catalog_import *import;
	void *slugs, *skus; /* trees: slug → index of product, SKU → index of line */
	bool lost_line;	    /* a rejected line does not say which product it is of */
};

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct named_index *)a)->name, ((const struct named_index *)b)->name);
}

static void leave_node(void *node)
{
	(void)node; /* the arena frees it */
}

static void free_trees(void *arg)
{
	struct reader *reader = arg;

	tdestroy(reader->slugs, leave_node);
	tdestroy(reader->skus, leave_node);
}

static struct sk_arena *arena_of(const struct reader *reader)
{
	return reader->row.context->arena;
}

/* The index that name stands for in the tree; index where it is new. */
static int find_or_add(struct reader *reader, void **tree, const char *name, int index)
{
	struct named_index *node = sk_arena_alloc(arena_of(reader), sizeof(*node));
	struct named_index **found;

	*node = (struct named_index) { name, index };
	found = tsearch(node, tree, compare_names);
	if (!found)
		abort(); /* not even a few bytes: as sk_arena_alloc */
	return (*found)->index;
}

/* Room for one more element: the array doubles whenever count is a power of two from 8. */
static void *grown(struct sk_arena *arena, void *array, int count, size_t size)
{
	size_t n = (size_t)count;
	void *larger;

	if (n > 0 && (n < 8 || (n & (n - 1)) != 0))
		return array;
	larger = sk_arena_array(arena, n < 8 ? 8 : n * 2, size);
	if (n > 0)
		memcpy(larger, array, n * size);
	return larger;
}

/* Adds the variant of the line at hand; returns why it cannot stand beside the others, or NULL. */
static const char *add_variant(struct reader *reader, struct catalog_import_product *to,
			       const struct catalog_variant *variant)
{
	struct sk_arena *arena = arena_of(reader);
	struct catalog_product *product = &to->product;
	const struct catalog_import_line *lines = reader->import->lines;
	int line = reader->import->lines_count - 1;
	int n = product->variants_count;

	if (n == CATALOG_VARIANTS_MAX)
		return "the product has 250 variants already";
	for (int i = 0; i < n; i++)
		if (catalog_same_options(&product->variants[i], variant))
			return sk_arena_printf(arena, "the same options are on line %d",
					       lines[to->variant_lines[i]].line);
	if (variant->sku) {
		int first = find_or_add(reader, &reader->skus, variant->sku, line);

		if (first != line)
			return sk_arena_printf(arena, "the same SKU is on line %d",
					       lines[first].line);
	}
	product->variants = grown(arena, product->variants, n, sizeof(*product->variants));
	to->variant_lines = grown(arena, to->variant_lines, n, sizeof(*to->variant_lines));
	product->variants[n] = *variant;
	to->variant_lines[n] = line;
	product->variants_count++;
	return NULL;
}

/* In the order of their positions, each address once, and as many as a product takes. */
static void add_image(struct reader *reader, struct catalog_import_product *to,
		      const struct catalog_row_image *added)
{
	struct sk_arena *arena = arena_of(reader);
	struct catalog_product *product = &to->product;
	int at = product->images_count;

	for (int i = 0; i < product->images_count; i++)
		if (strcmp(product->images[i].src, added->image.src) == 0)
			return;
	if (at == CATALOG_IMAGES_MAX)
		return;
	product->images = grown(arena, product->images, at, sizeof(*product->images));
	to->image_positions = grown(arena, to->image_positions, at, sizeof(*to->image_positions));
	for (; at > 0 && to->image_positions[at - 1] > added->position; at--) {
		product->images[at] = product->images[at - 1];
		to->image_positions[at] = to->image_positions[at - 1];
	}
	product->images[at] = added->image;
	to->image_positions[at] = added->position;
	product->images_count++;
}

static struct catalog_import_line *add_line(struct reader *reader,
					    const struct sk_csv_record *record)
{
	struct catalog_import *import = reader->import;
	struct catalog_import_line *line;

	import->lines = grown(arena_of(reader), import->lines, import->lines_count,
			      sizeof(*import->lines));
	line = &import->lines[import->lines_count++];
	*line = (struct catalog_import_line) { .line = record->line, .handle = "", .next = -1 };
	return line;
}

/* The product that the line at hand belongs to; a new one at its first line. */
static struct catalog_import_product *product_of_line(struct reader *reader, const char *handle)
{
	struct catalog_import *import = reader->import;
	struct sk_arena *arena = arena_of(reader);
	const char *slug = catalog_slug_make(arena, handle);
	int line = import->lines_count - 1;
	int index = find_or_add(reader, &reader->slugs, slug, import->products_count);
	struct catalog_import_product *product;

	if (index < import->products_count) {
		product = import->products[index];
		import->lines[product->last_line].next = line;
		product->last_line = line;
		return product;
	}
	import->products = grown(arena, import->products, index, sizeof(*import->products));
	product = sk_arena_alloc(arena, sizeof(*product));
	product->product.slug = slug;
	product->first_line = product->last_line = line;
	import->products[import->products_count++] = product;
	return product;
}

/* Takes the line at hand into its product; returns why it is rejected, or NULL. */
static const char *take_line(struct reader *reader, struct catalog_import_product *to, bool first,
			     const char **sku)
{
	struct catalog_row_image images[CATALOG_ROW_IMAGES_MAX];
	struct catalog_variant variant;
	int images_count;
	const char *wrong;

	if (first)
		to->rejected = catalog_row_product(&reader->row, &to->product, to->option_names);
	if (to->rejected)
		return to->rejected;
	wrong = catalog_row_images(&reader->row, images, &images_count);
	if (!wrong && !first && !catalog_row_is_variant(&reader->row) && images_count == 0)
		wrong = "the line is neither a variant nor an image";
	if (!wrong && (first || catalog_row_is_variant(&reader->row))) {
		wrong = catalog_row_variant(&reader->row, to->option_names, &variant);
		*sku = variant.sku;
		if (!wrong)
			wrong = add_variant(reader, to, &variant);
	}
	for (int i = 0; i < images_count && !wrong; i++)
		add_image(reader, to, &images[i]);
	return wrong;
}

static enum sk_status on_record(const struct sk_csv_record *record, void *arg)
{
	struct reader *reader = arg;
	struct catalog_import_product *product;
	struct catalog_import_line *line;
	bool first;

	if (reader->row.header_count == 0)
		return catalog_row_header(&reader->row, record);
	line = add_line(reader, record);
	line->rejected = catalog_row_take(&reader->row, record);
	line->handle = catalog_row_handle(&reader->row);
	if (!line->handle[0]) {
		reader->lost_line = true;
		return SK_OK;
	}
	product = product_of_line(reader, line->handle);
	first = product->first_line == reader->import->lines_count - 1;
	if (!line->rejected)
		line->rejected = take_line(reader, product, first, &line->sku);
	else if (first)
		product->rejected = "the product's first line cannot be read";
	product->keeps_others = product->keeps_others || line->rejected;
	return SK_OK;
}

/* Gives the variants of a product that have no SKU one that no other line has. */
static void make_skus(struct reader *reader, struct catalog_import_product *of)
{
	for (int i = 0; i < of->product.variants_count; i++) {
		struct catalog_variant *variant = &of->product.variants[i];
		int at = of->variant_lines[i];
		struct catalog_import_line *line = &reader->import->lines[at];

		line->sku_made = variant->sku == NULL;
		for (int choice = 1; choice <= 2 && !variant->sku; choice++) {
			const char *sku = catalog_sku_make(arena_of(reader), of->product.slug,
							   variant, choice == 2);

			if (find_or_add(reader, &reader->skus, sku, at) == at)
				variant->sku = sku;
		}
		line->sku = variant->sku;
		if (!variant->sku)
			catalog_import_reject(line, of, "every SKU that could be made is taken");
	}
}

/* Takes variants whose line was rejected after all out of the product. */
static void drop_rejected(const struct catalog_import *import, struct catalog_import_product *from)
{
	struct catalog_product *product = &from->product;
	int kept = 0;

	for (int i = 0; i < product->variants_count; i++) {
		if (import->lines[from->variant_lines[i]].rejected)
			continue;
		product->variants[kept] = product->variants[i];
		from->variant_lines[kept++] = from->variant_lines[i];
	}
	product->variants_count = kept;
}

void catalog_import_reject(struct catalog_import_line *line, struct catalog_import_product *of,
			   const char *why)
{
	line->rejected = why;
	of->keeps_others = true;
}

void catalog_import_settle(struct catalog_import *import, struct catalog_import_product *product)
{
	drop_rejected(import, product);
	if (!product->rejected && product->product.variants_count == 0)
		product->rejected = "the product has no variant that can be imported";
	for (int at = product->first_line; at >= 0; at = import->lines[at].next)
		if (product->rejected && !import->lines[at].rejected)
			import->lines[at].rejected = product->rejected;
}

enum sk_status catalog_shopify_read(struct sk_context *context, const char *text, size_t len,
				    const char *currency, struct catalog_import *import)
{
	struct reader *reader = sk_arena_alloc(context->arena, sizeof(*reader));
	enum sk_status status;

	*import = (struct catalog_import) { .lines = NULL };
	reader->row = (struct catalog_row) { .context = context, .currency = currency };
	reader->import = import;
	sk_arena_defer(context->arena, free_trees, reader);
	status = sk_csv_feed(sk_csv_open(context->arena, on_record, reader), text, len, true);
	if (status == SK_OK && reader->row.header_count == 0)
		status = sk_fail(context, SK_INVALID, "invalid_csv", "the file is empty");
	if (status != SK_OK)
		return status;
	for (int i = 0; i < import->products_count; i++) {
		import->products[i]->keeps_others |= reader->lost_line;
		make_skus(reader, import->products[i]);
		catalog_import_settle(import, import->products[i]);
	}
	return SK_OK;
}
