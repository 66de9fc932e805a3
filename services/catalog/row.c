/* The columns that mean something to us, and what each must look like. */
#include "row.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define POSITION_LAST INT64_MAX

enum column {
	HANDLE,
	TITLE,
	BODY,
	VENDOR,
	TYPE,
	TAGS,
	PUBLISHED,
	STATUS,
	OPTION1_NAME,
	OPTION1_VALUE,
	OPTION2_NAME,
	OPTION2_VALUE,
	OPTION3_NAME,
	OPTION3_VALUE,
	SKU,
	GRAMS,
	QUANTITY,
	PRICE,
	COMPARE_AT,
	BARCODE,
	IMAGE_SRC,
	IMAGE_POSITION,
	IMAGE_ALT,
	VARIANT_IMAGE,
	COLUMNS,
};

_Static_assert(COLUMNS == CATALOG_ROW_COLUMNS, "row.h counts the columns");

static const char *const COLUMN_NAMES[COLUMNS] = {
	[HANDLE] = "Handle",
	[TITLE] = "Title",
	[BODY] = "Body (HTML)",
	[VENDOR] = "Vendor",
	[TYPE] = "Type",
	[TAGS] = "Tags",
	[PUBLISHED] = "Published",
	[STATUS] = "Status",
	[OPTION1_NAME] = "Option1 Name",
	[OPTION1_VALUE] = "Option1 Value",
	[OPTION2_NAME] = "Option2 Name",
	[OPTION2_VALUE] = "Option2 Value",
	[OPTION3_NAME] = "Option3 Name",
	[OPTION3_VALUE] = "Option3 Value",
	[SKU] = "Variant SKU",
	[GRAMS] = "Variant Grams",
	[QUANTITY] = "Variant Inventory Qty",
	[PRICE] = "Variant Price",
	[COMPARE_AT] = "Variant Compare At Price",
	[BARCODE] = "Variant Barcode",
	[IMAGE_SRC] = "Image Src",
	[IMAGE_POSITION] = "Image Position",
	[IMAGE_ALT] = "Image Alt Text",
	[VARIANT_IMAGE] = "Variant Image",
};

enum sk_status catalog_row_header(struct catalog_row *row, const struct sk_csv_record *header)
{
	static const enum column NEEDED[] = { HANDLE, TITLE, PRICE };

	if (header->error)
		return sk_fail(row->context, SK_INVALID, "invalid_csv",
			       "the header line cannot be read: %s", header->error);
	for (int c = 0; c < COLUMNS; c++) {
		row->column_at[c] = -1;
		for (int i = header->count - 1; i >= 0; i--)
			if (strcasecmp(header->fields[i].text, COLUMN_NAMES[c]) == 0)
				row->column_at[c] = i;
	}
	for (size_t i = 0; i < sizeof(NEEDED) / sizeof(*NEEDED); i++)
		if (row->column_at[NEEDED[i]] < 0)
			return sk_fail(row->context, SK_INVALID, "invalid_csv",
				       "the header line has no column \"%s\"",
				       COLUMN_NAMES[NEEDED[i]]);
	row->header_count = header->count;
	return SK_OK;
}

static bool filled(const struct catalog_row *row, enum column column)
{
	return row->values[column][0] != '\0';
}

const char *catalog_row_handle(const struct catalog_row *row)
{
	return row->values[HANDLE];
}

bool catalog_row_is_variant(const struct catalog_row *row)
{
	static const enum column TELLING[] = { OPTION1_VALUE, OPTION2_VALUE, OPTION3_VALUE,
					       SKU,	      GRAMS,	     QUANTITY,
					       PRICE,	      COMPARE_AT,    BARCODE };

	for (size_t i = 0; i < sizeof(TELLING) / sizeof(*TELLING); i++)
		if (filled(row, TELLING[i]))
			return true;
	return false;
}

/* A copy of the field with LF alone as line end; NULL where it is no text that we keep. */
static const char *copy_field(struct sk_arena *arena, const struct sk_csv_field *field)
{
	char *copy = sk_arena_memdup(arena, field->text, field->len);
	size_t len = 0;

	if (!catalog_utf8_valid(field->text, field->len))
		return NULL;
	for (size_t i = 0; i < field->len; i++) {
		unsigned char c = (unsigned char)field->text[i];

		if (c == '\r' && field->text[i + 1] == '\n')
			continue;
		if ((c < ' ' && c != '\n' && c != '\t') || c == 0x7f)
			return NULL;
		copy[len++] = (char)c;
	}
	copy[len] = '\0';
	return copy;
}

const char *catalog_row_take(struct catalog_row *row, const struct sk_csv_record *record)
{
	const char *wrong = record->error;

	for (int c = 0; c < COLUMNS; c++) {
		int at = row->column_at[c];

		row->values[c] = "";
		if (at < 0 || at >= record->count)
			continue;
		row->values[c] = copy_field(row->context->arena, &record->fields[at]);
		if (row->values[c])
			continue;
		row->values[c] = "";
		if (!wrong)
			wrong = sk_arena_printf(row->context->arena,
						"%s is not UTF-8, or has control characters",
						COLUMN_NAMES[c]);
	}
	if (!wrong && record->count > row->header_count)
		wrong = "the line has more columns than the header";
	if (!wrong && !filled(row, HANDLE))
		wrong = "Handle is missing";
	return wrong;
}

/* The first of the columns that is too long for its place, or spans lines. */
static const char *check_texts(const struct catalog_row *row, const enum column *columns,
			       size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *value = row->values[columns[i]];

		if (strlen(value) > CATALOG_TITLE_MAX_BYTES || strchr(value, '\n'))
			return sk_arena_printf(row->context->arena,
					       "%s is longer than %d bytes, or spans lines",
					       COLUMN_NAMES[columns[i]], CATALOG_TITLE_MAX_BYTES);
	}
	return NULL;
}

/* "12", "12.0", "453.59" as a whole number; "" is 0, and so is less: a shop that sold
 * more than it had has none. False where it is no number. */
static bool read_number(const char *text, int64_t max, int64_t *value)
{
	char *end;
	double number;

	*value = 0;
	if (!text[0])
		return true;
	if (strspn(text, "-0123456789.") != strlen(text))
		return false;
	errno = 0;
	number = strtod(text, &end);
	if (*end || errno || number > (double)max)
		return false;
	*value = number < 0 ? 0 : (int64_t)(number + 0.5);
	return true;
}

/* ---- variants ---- */

/* Shopify's "Default Title" says that there is no choice. */
static void read_options(const struct catalog_row *row, const char *const *names,
			 struct catalog_variant *variant)
{
	if (strcmp(row->values[OPTION1_VALUE], "Default Title") == 0)
		return;
	for (int i = 0; i < CATALOG_OPTIONS_MAX; i++) {
		const char *value = row->values[OPTION1_VALUE + 2 * i];

		if (value[0])
			variant->options[variant->options_count++] =
				(struct catalog_option) { names[i], value };
	}
}

static const char *read_money(const struct catalog_row *row, struct catalog_variant *variant)
{
	struct sk_arena *arena = row->context->arena;
	struct sk_money compare_at = { .minor = 0 };

	if (!filled(row, PRICE))
		return "Variant Price is missing";
	if (sk_money_parse(row->values[PRICE], row->currency, &variant->price) != SK_OK)
		return sk_arena_printf(arena, "Variant Price is no amount in %s", row->currency);
	if (filled(row, COMPARE_AT) &&
	    sk_money_parse(row->values[COMPARE_AT], row->currency, &compare_at) != SK_OK)
		return sk_arena_printf(arena, "Variant Compare At Price is no amount in %s",
				       row->currency);
	variant->compare_at_minor = compare_at.minor;
	return NULL;
}

const char *catalog_row_variant(const struct catalog_row *row,
				const char *const option_names[CATALOG_OPTIONS_MAX],
				struct catalog_variant *variant)
{
	static const enum column TEXTS[] = { OPTION1_VALUE, OPTION2_VALUE, OPTION3_VALUE, BARCODE };
	const char *wrong = check_texts(row, TEXTS, sizeof(TEXTS) / sizeof(*TEXTS));

	*variant = (struct catalog_variant) { .barcode = row->values[BARCODE] };
	if (!wrong)
		wrong = read_money(row, variant);
	if (wrong)
		return wrong;
	if (!read_number(row->values[GRAMS], CATALOG_WEIGHT_MAX_GRAMS, &variant->weight_grams))
		return "Variant Grams is no weight";
	if (!read_number(row->values[QUANTITY], CATALOG_QUANTITY_MAX, &variant->initial_quantity))
		return "Variant Inventory Qty is no quantity";
	if (filled(row, SKU) && !sk_sku_valid(row->values[SKU]))
		return "Variant SKU is not 1 to 64 printable ASCII characters";
	variant->sku = filled(row, SKU) ? row->values[SKU] : NULL;
	read_options(row, option_names, variant);
	variant->title = catalog_variant_title(row->context->arena, variant);
	return NULL;
}

/* ---- images ---- */

static const char *check_images(const struct catalog_row *row)
{
	if (filled(row, IMAGE_SRC) && !catalog_url_valid(row->values[IMAGE_SRC]))
		return "Image Src is no http or https address";
	if (filled(row, VARIANT_IMAGE) && !catalog_url_valid(row->values[VARIANT_IMAGE]))
		return "Variant Image is no http or https address";
	if (strlen(row->values[IMAGE_ALT]) > CATALOG_ALT_MAX_BYTES)
		return "Image Alt Text is longer than 512 bytes";
	return NULL;
}

const char *catalog_row_images(const struct catalog_row *row,
			       struct catalog_row_image images[CATALOG_ROW_IMAGES_MAX], int *count)
{
	int64_t position;
	const char *wrong = check_images(row);

	*count = 0;
	if (wrong)
		return wrong;
	if (!read_number(row->values[IMAGE_POSITION], CATALOG_QUANTITY_MAX, &position))
		return "Image Position is no number";
	if (filled(row, IMAGE_SRC))
		images[(*count)++] = (struct catalog_row_image) {
			{ row->values[IMAGE_SRC], row->values[IMAGE_ALT] },
			position > 0 ? position
				     : CATALOG_QUANTITY_MAX, /* behind those with a place */
		};
	if (filled(row, VARIANT_IMAGE))
		images[(*count)++] = (struct catalog_row_image) {
			{ row->values[VARIANT_IMAGE], "" },
			POSITION_LAST,
		};
	return NULL;
}

/* ---- the product ---- */

static enum catalog_status read_status(const struct catalog_row *row)
{
	static const char *const NOT_PUBLISHED[] = { "false", "no", "0" };
	enum catalog_status status;

	if (catalog_status_parse(row->values[STATUS], &status))
		return status;
	for (size_t i = 0; i < sizeof(NOT_PUBLISHED) / sizeof(*NOT_PUBLISHED); i++)
		if (strcasecmp(row->values[PUBLISHED], NOT_PUBLISHED[i]) == 0)
			return CATALOG_DRAFT;
	return CATALOG_ACTIVE;
}

const char *catalog_row_product(const struct catalog_row *row, struct catalog_product *product,
				const char *option_names[CATALOG_OPTIONS_MAX])
{
	static const enum column TEXTS[] = { TITLE,	   VENDOR,	 TYPE,
					     OPTION1_NAME, OPTION2_NAME, OPTION3_NAME };

	for (int i = 0; i < CATALOG_OPTIONS_MAX; i++) {
		const char *name = row->values[OPTION1_NAME + 2 * i];

		option_names[i] =
			name[0] ? name : sk_arena_printf(row->context->arena, "Option %d", i + 1);
	}
	product->title = row->values[TITLE];
	product->description_html = row->values[BODY];
	product->vendor = row->values[VENDOR];
	product->category = row->values[TYPE];
	product->status = read_status(row);
	product->tags_count = catalog_tags_split(row->context->arena, row->values[TAGS],
						 &product->tags);
	if (!filled(row, TITLE))
		return "Title is missing on the product's first line";
	return check_texts(row, TEXTS, sizeof(TEXTS) / sizeof(*TEXTS));
}
