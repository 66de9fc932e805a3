/* Products as JSON. One decoder reads what clients send and what store.c selects, so
 * that a product has one shape; the stock level, which only the store knows, is
 * read by catalog_parts_decode alone. */
#include "catalog.h"

#include <cJSON.h>
#include <string.h>

/* A text field that is there replaces *out; NULL and absent leave it. */
static void take_text(struct sk_fields *fields, const char *name, size_t max, const char **out)
{
	const char *text = sk_field_text(fields, name, 0, max, SK_FIELD_OPTIONAL);

	if (text)
		*out = text;
}

static void take_status(struct sk_fields *fields, enum catalog_status *status)
{
	const char *text = sk_field_text(fields, "status", 1, 16, SK_FIELD_OPTIONAL);

	if (text && !catalog_status_parse(text, status))
		sk_field_reject(fields, "status", "must be draft, active or archived");
}

/* A slug is an address: it is chosen once. */
static void take_slug(struct sk_fields *fields, struct catalog_product *product)
{
	const char *slug = sk_field_text(fields, "slug", 1, CATALOG_SLUG_MAX_BYTES,
					 SK_FIELD_OPTIONAL);

	if (!slug)
		return;
	if (!catalog_slug_valid(slug))
		sk_field_reject(fields, "slug",
				"must be lower-case words joined by hyphens, and no id");
	else if (product->slug && strcmp(slug, product->slug) != 0)
		sk_field_reject(fields, "slug", "cannot be changed");
	else
		product->slug = slug;
}

static void take_tags(struct sk_fields *fields, struct sk_arena *arena,
		      struct catalog_product *product)
{
	int count;

	if (!sk_field_present(fields, "tags"))
		return;
	count = sk_field_array(fields, "tags", 0, CATALOG_TAGS_MAX, SK_FIELD_OPTIONAL);
	product->tags = sk_arena_array(arena, (size_t)count + 1, sizeof(*product->tags));
	product->tags_count = 0;
	for (int i = 0; i < count; i++) {
		const char *tag = sk_field_element_text(fields, "tags", i, 1,
							CATALOG_TITLE_MAX_BYTES);

		if (tag)
			product->tags[product->tags_count++] = tag;
	}
}

static void take_images(struct sk_fields *fields, struct sk_arena *arena,
			struct catalog_product *product)
{
	if (!sk_field_present(fields, "images"))
		return;
	product->images_count = sk_field_array(fields, "images", 0, CATALOG_IMAGES_MAX,
					       SK_FIELD_OPTIONAL);
	product->images = sk_arena_array(arena, (size_t)product->images_count + 1,
					 sizeof(*product->images));
	for (int i = 0; i < product->images_count; i++) {
		struct sk_fields image = sk_field_element(fields, "images", i);
		const char *src = sk_field_text(&image, "src", 1, CATALOG_URL_MAX_BYTES,
						SK_FIELD_REQUIRED);

		if (src && !catalog_url_valid(src))
			sk_field_reject(&image, "src", "must be an http or https address");
		product->images[i] = (struct catalog_image) { .src = src ? src : "", .alt = "" };
		take_text(&image, "alt", CATALOG_ALT_MAX_BYTES, &product->images[i].alt);
	}
}

/* The names of options are the client's own, so they are walked and not looked up. */
static void decode_options(struct sk_fields *variant_fields, struct catalog_variant *variant)
{
	struct sk_fields options = sk_field_object(variant_fields, "options", SK_FIELD_OPTIONAL);
	const struct cJSON *option = options.object ? options.object->child : NULL;

	for (; option; option = option->next) {
		const char *value;

		if (variant->options_count == CATALOG_OPTIONS_MAX) {
			sk_field_reject(variant_fields, "options", "has more than 3 options");
			return;
		}
		if (option->string[0] == '\0' || strlen(option->string) > CATALOG_TITLE_MAX_BYTES) {
			sk_field_reject(variant_fields, "options",
					"has a name not of 1 to 255 bytes");
			return;
		}
		value = sk_field_text(&options, option->string, 1, CATALOG_TITLE_MAX_BYTES,
				      SK_FIELD_REQUIRED);
		variant->options[variant->options_count++] =
			(struct catalog_option) { option->string, value ? value : "" };
	}
}

static void decode_variant(struct sk_fields *fields, struct sk_arena *arena,
			   struct catalog_variant *variant)
{
	struct sk_money compare_at;

	*variant = (struct catalog_variant) { .barcode = "" };
	variant->sku = sk_field_sku(fields, "sku", SK_FIELD_OPTIONAL);
	decode_options(fields, variant);
	variant->title = catalog_variant_title(arena, variant);
	take_text(fields, "title", (size_t)CATALOG_TITLE_MAX_BYTES * 4, &variant->title);
	take_text(fields, "barcode", CATALOG_TITLE_MAX_BYTES, &variant->barcode);
	if (!sk_field_money(fields, "price", SK_FIELD_REQUIRED, &variant->price))
		variant->price = sk_money_of(0, "");
	if (sk_field_money(fields, "compare_at_price", SK_FIELD_OPTIONAL, &compare_at)) {
		variant->compare_at_minor = compare_at.minor;
		if (strcmp(compare_at.currency, variant->price.currency) != 0)
			sk_field_reject(fields, "compare_at_price",
					"must be in the price's currency");
	}
	variant->weight_grams = sk_field_int(fields, "weight_grams", 0, CATALOG_WEIGHT_MAX_GRAMS,
					     SK_FIELD_OPTIONAL, 0);
	variant->initial_quantity = sk_field_int(fields, "initial_quantity", 0,
						 CATALOG_QUANTITY_MAX, SK_FIELD_OPTIONAL, -1);
}

/* A variant that the product had before keeps what the client did not say again. */
static void inherit(struct catalog_variant *variant, const struct catalog_variant *before)
{
	variant->available = before ? before->available : 0;
	if (variant->initial_quantity < 0)
		variant->initial_quantity = before ? before->initial_quantity : 0;
}

static void take_variants(struct sk_fields *fields, struct sk_arena *arena, bool required,
			  struct catalog_product *product)
{
	struct catalog_product before = *product;

	if (!required && !sk_field_present(fields, "variants"))
		return;
	product->variants_count = sk_field_array(fields, "variants", 1, CATALOG_VARIANTS_MAX,
						 SK_FIELD_REQUIRED);
	product->variants = sk_arena_array(arena, (size_t)product->variants_count + 1,
					   sizeof(*product->variants));
	for (int i = 0; i < product->variants_count; i++) {
		struct sk_fields element = sk_field_element(fields, "variants", i);
		struct catalog_variant *variant = &product->variants[i];

		decode_variant(&element, arena, variant);
		inherit(variant, variant->sku ? catalog_find_sku(&before, variant->sku) : NULL);
	}
}

void catalog_product_decode(struct sk_fields *fields, struct sk_arena *arena, bool creating,
			    struct catalog_product *product)
{
	const char *title = sk_field_text(fields, "title", 1, CATALOG_TITLE_MAX_BYTES,
					  creating ? SK_FIELD_REQUIRED : SK_FIELD_OPTIONAL);

	if (title)
		product->title = title;
	take_slug(fields, product);
	take_text(fields, "description_html", CATALOG_DESCRIPTION_MAX_BYTES,
		  &product->description_html);
	take_text(fields, "vendor", CATALOG_TITLE_MAX_BYTES, &product->vendor);
	take_text(fields, "category", CATALOG_TITLE_MAX_BYTES, &product->category);
	take_status(fields, &product->status);
	take_tags(fields, arena, product);
	take_images(fields, arena, product);
	take_variants(fields, arena, creating, product);
}

/* A variant beside those before it, and in the shop's currency. */
static void check_variant(struct sk_fields *fields, const struct catalog_product *product,
			  int index, const char *currency)
{
	const struct catalog_variant *variant = &product->variants[index];
	struct sk_fields element = sk_field_element(fields, "variants", index);

	for (int i = 0; i < index; i++) {
		if (catalog_same_options(&product->variants[i], variant))
			sk_field_reject(&element, "options", "are those of an earlier variant");
		else if (strcmp(product->variants[i].sku, variant->sku) == 0)
			sk_field_reject(&element, "sku", "is that of an earlier variant");
	}
	if (variant->price.currency[0] && strcmp(variant->price.currency, currency) != 0) {
		struct sk_fields price = sk_field_object(&element, "price", SK_FIELD_OPTIONAL);

		sk_field_reject(&price, "currency", "must be the shop's currency");
	}
}

void catalog_product_complete(struct sk_fields *fields, struct sk_arena *arena,
			      const char *currency, struct catalog_product *product)
{
	if (!product->slug)
		product->slug = catalog_slug_make(arena, product->title ? product->title : "");
	if (!sk_field_present(fields, "variants"))
		return; /* as they are stored */
	for (int i = 0; i < product->variants_count; i++) {
		if (!product->variants[i].sku)
			product->variants[i].sku = catalog_sku_make(arena, product->slug,
								    &product->variants[i], false);
		check_variant(fields, product, i, currency);
	}
}

enum sk_status catalog_parts_decode(struct sk_context *context, const char *json,
				    struct catalog_product *product)
{
	struct sk_field_errors errors = { .arena = context->arena };
	const struct cJSON *root;
	struct sk_fields fields;
	enum sk_status status = sk_json_parse(context, json, strlen(json), &root);

	if (status != SK_OK)
		return status;
	fields = sk_fields_of(root, &errors);
	take_tags(&fields, context->arena, product);
	take_images(&fields, context->arena, product);
	product->variants_count = sk_field_array(&fields, "variants", 0, CATALOG_VARIANTS_MAX,
						 SK_FIELD_REQUIRED);
	product->variants = sk_arena_array(context->arena, (size_t)product->variants_count + 1,
					   sizeof(*product->variants));
	for (int i = 0; i < product->variants_count; i++) {
		struct sk_fields element = sk_field_element(&fields, "variants", i);

		decode_variant(&element, context->arena, &product->variants[i]);
		product->variants[i].available = sk_field_int(
			&element, "available", 0, SK_MONEY_MAX_MINOR, SK_FIELD_REQUIRED, 0);
	}
	if (errors.count > 0)
		return sk_fail(context, SK_INTERNAL, "stored_product", "product %s: %s %s",
			       product->id, errors.list[0].pointer, errors.list[0].detail);
	return SK_OK;
}

/* ---- encoding ---- */

static void write_options(struct sk_json *json, const char *key,
			  const struct catalog_variant *variant)
{
	sk_json_begin_object(json, key);
	for (int i = 0; i < variant->options_count; i++)
		sk_json_text(json, variant->options[i].name, variant->options[i].value);
	sk_json_end_object(json);
}

const char *catalog_options_json(struct sk_arena *arena, const struct catalog_variant *variant)
{
	struct sk_json json;

	/* Escapes take six bytes at most for one. */
	sk_json_init(&json, arena,
		     (size_t)CATALOG_OPTIONS_MAX * 2 * (CATALOG_TITLE_MAX_BYTES * 6 + 8));
	write_options(&json, NULL, variant);
	return sk_buf_text(&json.buf);
}

static void write_variant(struct sk_json *json, const struct catalog_variant *variant)
{
	sk_json_begin_object(json, NULL);
	sk_json_text(json, "sku", variant->sku);
	sk_json_text(json, "title", variant->title);
	write_options(json, "options", variant);
	sk_json_money(json, "price", variant->price);
	if (variant->compare_at_minor > 0)
		sk_json_money(json, "compare_at_price",
			      sk_money_of(variant->compare_at_minor, variant->price.currency));
	else
		sk_json_null(json, "compare_at_price");
	sk_json_text(json, "barcode", variant->barcode[0] ? variant->barcode : NULL);
	sk_json_int(json, "weight_grams", variant->weight_grams);
	sk_json_int(json, "available", variant->available);
	sk_json_end_object(json);
}

static void write_images(struct sk_json *json, const struct catalog_product *product)
{
	sk_json_begin_array(json, "images");
	for (int i = 0; i < product->images_count; i++) {
		sk_json_begin_object(json, NULL);
		sk_json_text(json, "src", product->images[i].src);
		sk_json_text(json, "alt",
			     product->images[i].alt[0] ? product->images[i].alt : NULL);
		sk_json_end_object(json);
	}
	sk_json_end_array(json);
}

void catalog_product_write(struct sk_json *json, const struct catalog_product *product)
{
	sk_json_begin_object(json, NULL);
	sk_json_text(json, "id", product->id);
	sk_json_text(json, "slug", product->slug);
	sk_json_text(json, "title", product->title);
	sk_json_text(json, "description_html", product->description_html);
	sk_json_text(json, "vendor", product->vendor);
	sk_json_text(json, "category", product->category);
	sk_json_begin_array(json, "tags");
	for (int i = 0; i < product->tags_count; i++)
		sk_json_text(json, NULL, product->tags[i]);
	sk_json_end_array(json);
	sk_json_text(json, "status", catalog_status_name(product->status));
	write_images(json, product);
	sk_json_begin_array(json, "variants");
	for (int i = 0; i < product->variants_count; i++)
		write_variant(json, &product->variants[i]);
	sk_json_end_array(json);
	sk_json_time(json, "created_at", product->created_us);
	sk_json_time(json, "updated_at", product->updated_us);
	sk_json_end_object(json);
}
